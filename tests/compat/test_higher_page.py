"""The page `from-higher.md`: old code and new code give the same gradients and predictions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

PAGE = (Path(__file__).parents[2] / "docs" / "from-higher.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("pair", [0, 1])
def test_old_code_and_new_code_are_one(pair):
    _, *blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    old, new = ({}, {})
    for scope, block in ((old, blocks[2 * pair]), (new, blocks[2 * pair + 1])):
        torch.manual_seed(0)
        exec(block, scope)
    gradients = [[p.grad for p in scope["model"].parameters()] for scope in (old, new)]
    assert_close(*gradients, rtol=1e-4, atol=1e-6)
    if pair == 0:
        assert_close(*(list(scope["model"].parameters()) for scope in (old, new)), rtol=1e-3, atol=1e-5)
        assert list(map(int, old["predicted"])) == list(map(int, new["predicted"]))
    else:
        assert_close(
            [rate.grad for rate in old["rates"]], [rate.grad for rate in new["maml"].rule.parameters()], rtol=1e-4, atol=1e-6
        )
