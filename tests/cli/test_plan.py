"""`quickstudy plan`: what it prints, and what it writes."""

from __future__ import annotations

import json

import pytest

from quickstudy.cli.main import run

RECIPE = """\
learner: {name: maml, inner_lr: 0.01, inner_steps: 4}
model: {mlp: [1, 16, 1]}
data: {source: sinusoids}
episodes: {shots: 20, queries: 9, tasks: 6}
validation: {shots: 5, queries: 5, episodes: 3, every: 10}
steps: 20
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def test_says_memory_time_and_what_lowers_them(folder, capsys):
    assert run(["plan", "recipe.yaml", "--set", "learner.inner_steps=6", "--json", "plan.json"]) == 0
    said, numbers = capsys.readouterr().out, json.loads((folder / "plan.json").read_text())
    lines = said.splitlines()
    assert lines[0].startswith("memory  ")
    assert lines[0].endswith(" at the peak, beside Python and its libraries")
    assert " what the steps keep, " in lines[1]
    assert lines[2].startswith("time    ")
    assert " Hessian-vector products, " in lines[3]
    assert " for 20 steps and 3 validations of " in lines[4]
    assert numbers["seconds"] == pytest.approx(20 * numbers["step"] + 3 * numbers["validation"])
    parts = ("weights", "optimizer", "kept", "activations", "frozen")
    assert numbers["memory"] == pytest.approx(sum(numbers[part] for part in parts))
    memory = said.partition("to lower memory\n")[2].partition("\n\n")[0]
    assert "episodes.tasks=3 " in memory
    assert list(numbers["lower_memory"])[:1] == [memory.split()[0]]
    assert numbers["bases"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["absent"], "absent is neither a file nor a recipe that comes with quickstudy"),
        (["own-labels"], "own-labels leaves the data to you: add --set data.table=FILE"),
        (["recipe.yaml", "--set", "learner=zero_step"], "ZeroStep has nothing to meta-learn, so there is no outer step to plan"),
        (["recipe.yaml", "--base", "8B"], "give a recipe of sentences with model.lora"),
        (["recipe.yaml", "--tokens", "0"], "--tokens 0: give a number of at least 1"),
        (["recipe.yaml", "--device", "nowhere"], "device 'nowhere' is not there"),
    ],
)
def test_what_cannot_be_planned_is_one_line(folder, capsys, options, said):
    assert run(["plan", *options]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1
