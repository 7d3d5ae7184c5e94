"""`quickstudy evaluate` of a run that learned to act."""

from __future__ import annotations

import json

import pytest

from quickstudy.cli.main import run

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "RUN", "--data", "banking77"], "--data: RUN learned to act, and its recipe says in what; leave --data out"),
        (["evaluate", "RUN", "--report", "r.html"], "--report: there is no page about agents; --json gives the numbers"),
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
    assert run([places.get(each, each) for each in arguments]) == 2
    assert message.replace("RUN", trained) in " ".join(capsys.readouterr().err.split())
