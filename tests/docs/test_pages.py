"""What the pages show is what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch

from quickstudy.cli.main import run

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)


def test_the_training_loop_of_the_docs_learns(capsys):
    torch.manual_seed(0)
    scope: dict = {}
    exec(blocks(ROOT / "docs" / "training-loop.md")[0], scope)
    trained = scope["task"].score(scope["maml"].adapt(scope["task"].support))["squared_error"]
    assert f"{trained}" in capsys.readouterr().out
    assert scope["loss"].requires_grad


def test_the_learned_schedule_of_the_docs_runs(capsys):
    scope: dict = {}
    exec(blocks(ROOT / "docs" / "learned-schedule.md")[0], scope)
    rates = list(map(float, capsys.readouterr().out.split()))
    assert len(rates) == 12
    assert max(rates) > 0.04  # it began far too low
    assert rates[-1] <= max(rates) / 4
    assert scope["loss_of"](scope["held_out"]) < 1.0


@pytest.mark.parametrize(("page", "commands"), [("trusting-a-gradient.md", 1), ("the-gradient-through-learning.md", 0)])
def test_the_pages_on_gradients_say_what_their_code_says(page, commands, capsys):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    samples = re.findall(r"```(?:python\n(.*?)```\n\n```\n|\n\$ quickstudy (.*?)\n)(.*?)```", text, flags=re.S)
    scope: dict = {}
    assert len(samples) == len(blocks(ROOT / "docs" / page)) + commands
    for code, command, shown in samples:
        run(command.split()) if command else exec(code, scope)
        said = capsys.readouterr().out
        numbers = r"\d\.\de-(\d\d)"  # of which the last digits are rounding
        assert re.sub(numbers, "#", said).strip() == re.sub(numbers, "#", shown).strip()
        assert all(int(size) >= 8 for size in re.findall(rf"agree with .* to {numbers}", said))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_parses(page):
    for block in blocks(page):
        assert ast.parse(block).body


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_contributing_quotes_cavia_as_it_is():
    def code(source: str) -> list[str]:
        tree = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
        lines = []
        for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
            body = [n for n in function.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
            lines += [function.name, *(ast.unparse(node) for node in body)]
        return lines

    quoted = next(block for block in blocks(ROOT / "CONTRIBUTING.md") if "class CAVIA" in block)
    assert code(quoted) == code((ROOT / "src/quickstudy/learners/cavia.py").read_text(encoding="utf-8"))
