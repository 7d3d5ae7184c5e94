"""`quickstudy evaluate` of a run that learned to act."""

from __future__ import annotations

import json

import pytest
import torch

from quickstudy.cli.main import run
from quickstudy.inner.training_loop import TrainingEnvironment
from quickstudy.runs.trials_part import TrainingPart

RECIPE = """\
learner: {name: rl2, minibatches: 2, epochs: 1}
model: {gru: 4}
data:
  trials: {bandits: {arms: 2}, episodes: 4}
episodes: {tasks: 16}
validation: null
steps: 1
"""


@pytest.fixture
def trained(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    assert run(["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return str(tmp_path / "run")


def test_agents_stand_beside_it(trained, tmp_path, capsys):
    assert run(["evaluate", trained, "--episodes", "500", "--json", str(tmp_path / "found.json")]) == 0
    said = capsys.readouterr().out
    assert "The same trials for every agent, 4 episodes each" in said
    found = json.loads((tmp_path / "found.json").read_text())
    rows = {row["learner"]: row for row in found["results"]}
    assert rows.keys() == {"RL2", "RandomAgent", "GreedyBandit", "ThompsonBandit", "UCB1Bandit", "OptimalBandit"}
    assert all(row["count"] == 500 and row["metric"] == "return" for row in rows.values())
    assert rows["RandomAgent"]["mean"] == pytest.approx(2, abs=0.2)
    assert max(rows, key=lambda name: rows[name]["mean"]) in ("OptimalBandit", "GreedyBandit")


def test_a_page_says_what_is_printed(trained, tmp_path, capsys):
    page, numbers = tmp_path / "r.html", tmp_path / "found.json"
    assert run(["evaluate", trained, "--episodes", "64", "--report", str(page), "--json", str(numbers)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"Report: {page}"
    found, shown = json.loads(numbers.read_text()), page.read_text(encoding="utf-8")
    assert found["episodes"]["hash"] in shown
    for row in found["results"]:
        assert f"{row['mean']:.4g}" in shown
    assert "gru: 4" in shown


def test_a_page_about_trainings_has_a_schedule_that_was_tuned_on_those_of_training(tmp_path, capsys, monkeypatch):
    def pool(part, name):
        asked.append(name)
        inputs = torch.randn(120, 3, generator=torch.Generator().manual_seed(len(name)))
        sizes = {"classes": 2, "rows": (20, 20), "validation": 10, "hidden": 4, "steps": 1, "horizon": 2}
        return TrainingEnvironment(inputs, torch.arange(120) % 3, **sizes)

    asked = []
    monkeypatch.setattr(TrainingPart, "environment", pool)
    (tmp_path / "recipe.yaml").write_text(
        RECIPE.replace("rl2", "strategy")
        .replace("gru: 4", "policy: 4")
        .replace("{bandits: {arms: 2}, episodes: 4}", "{training: {}}")
    )
    assert run(["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run"), "--set", "data.trials.episodes=1"]) == 0
    asked.clear()
    page = tmp_path / "r.html"
    assert run(["evaluate", str(tmp_path / "run"), "--episodes", "16", "--report", str(page)]) == 0
    assert asked == ["test", "train"]
    assert "on 64 trainings of the data" in " ".join(page.read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "RUN", "--data", "banking77"], "--data: RUN learned to act, and its recipe says in what; leave --data out"),
        (["evaluate", "RUN", "--report", "OUT/r.html"], "does not exist; make it first"),
        (["evaluate", "RUN", "--report", "CSV"], "is there already and is no report of quickstudy"),
        (["evaluate", "RUN", "--episodes", "0"], "--episodes 0: give a number of at least 1"),
        (["adapt", "RUN", "--support", "CSV", "--out", "OUT"], "RUN learned to act, not to name labels"),
        (["plan", "RECIPE"], "a plan knows examples, not trials"),
        (["check", "RECIPE"], "those of an agent are estimates"),
    ],
)
def test_what_an_agent_cannot_do_is_said(trained, tmp_path, capsys, arguments, message):
    table = tmp_path / "some.csv"
    table.write_text("text,label\nlost card,a\nmy card,a\nlate money,b\nwaiting,b\n")
    places = {"RUN": trained, "CSV": str(table), "OUT": str(tmp_path / "out"), "RECIPE": str(tmp_path / "recipe.yaml")}
    assert run([places.get(each) or each.replace("OUT", places["OUT"]) for each in arguments]) == 2
    assert message.replace("RUN", trained) in " ".join(capsys.readouterr().err.split())
