"""The site is built without a warning, and has every public name."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import quickstudy

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="needs quickstudy[docs]")


def test_it_is_built_without_a_warning(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", DOCS, tmp_path], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    reference = "".join(page.read_text(encoding="utf-8") for page in (tmp_path / "reference").glob("*.html"))
    text = re.sub("<[^>]+>", "", reference)
    for name in quickstudy.__all__:
        assert f"quickstudy.{name}" in text
    for command in ("adapt", "evaluate", "robots record"):
        assert f"quickstudy {command}" in text
