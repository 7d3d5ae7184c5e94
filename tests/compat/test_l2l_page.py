"""The code on the page about learn2learn runs, old and new, and both give a gradient."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from quickstudy.tasks.named import known

PAGE = Path(__file__).parents[2] / "docs" / "from-learn2learn.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_code_of_the_page_runs(number, capsys):
    block = BLOCKS[number]
    if "omniglot" in block and "omniglot" not in known():
        pytest.skip("no Omniglot in the data folder")
    torch.manual_seed(0)
    scope: dict = {}
    exec(re.sub(r"1000|16\b", "1", block), scope)
    models = [value for value in scope.values() if isinstance(value, torch.nn.Module)]
    gradients = [p.grad for model in models for p in model.parameters() if p.is_leaf]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert bool(gradients) == (number > 0)
