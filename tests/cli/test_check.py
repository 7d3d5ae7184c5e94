"""`quickstudy check`: a table, a verdict in words, and an exit code that a script can read."""

from __future__ import annotations

import pytest

from quickstudy.cli.main import run

RECIPE = """\
learner: {name: maml, inner_lr: 0.01, inner_steps: 2}
model: {mlp: [1, 4, 1]}
data: {source: sinusoids}
episodes: {shots: 9, queries: 8, tasks: 5}
"""
WRONG = """\
from quickstudy.learners.maml import MAML


class Wrong(MAML):
    def learn(self, task, learned):
        value, gradients = super().learn(task, learned)
        return value, [1.01 * g for g in gradients]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "wrong.py").write_text(WRONG)
    return tmp_path


def test_a_right_gradient(folder, capsys):
    assert run(["check", "recipe.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("MAML, 2 inner steps; a task of 2 + 1 examples, seed ")
    assert all(f"model.{layer}.{name}\n" in said for layer in (0, 2) for name in ("weight", "bias"))
    assert said.splitlines()[-1].startswith("The gradient is right: 4 tensors agree with finite differences to ")
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == ["recipe.yaml", "wrong.py"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("learner={name: wrong.py:Wrong}", "the gradient of `model.0.weight` is off by 9.9e-03 (relative)"),
        ("learner={name: maml, inner_lr: 1e200}", "the inner loss is inf at step 2 of 5"),
    ],
)
def test_a_gradient_that_is_not_to_be_trusted(folder, capsys, change, said):
    assert run(["check", "recipe.yaml", "--set", change]) == 2
    out = capsys.readouterr().out
    assert "The gradient is not to be trusted:\n- " in out
    assert said in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("learner=zero_step", "ZeroStep has nothing to meta-learn"),
        ("learner={name: imaml, rule: {name: adamw}}", "needs a rule that rests where the loss's gradient is zero, and AdamW"),
        ("learner={name: imaml, rates: {per: layer}}", "does not depend on rates: give fixed ones, or use MAML"),
        ("learner={name: maml, gradient: implicit}", "should be 'exact' or 'first_order', not 'implicit'"),
    ],
)
def test_what_cannot_be_checked_is_one_line(folder, capsys, change, said):
    assert run(["check", "recipe.yaml", "--set", change]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1
