"""MAML for reinforcement on the command line: trained, killed and resumed, judged, and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import quickstudy
from quickstudy.cli.main import run
from quickstudy.runs.build import build_learner, train_episodes
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.shipped import find_recipe
from quickstudy.runs.train import train

RECIPE = """\
learner: {name: maml_rl, epochs: 2, rates: {per: layer}}
model: {policy: 8}
data:
  trials: {points: {horizon: 4, obstacles: 1}, explored: 4, episodes: 3}
episodes: {tasks: 4}
validation: {episodes: 4, every: 2}
steps: 4
checkpoint_every: 1
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(recipe, tmp_path):
    assert train(Recipe.read(recipe), tmp_path / "whole")["metric"] == "return"

    def stop(step, steps, numbers):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Recipe.read(recipe), tmp_path / "stopped", progress=stop)
    train(Recipe.read(recipe), tmp_path / "stopped", resume=True)
    for name in ("learner", "checkpoint"):
        for file in (tmp_path / "whole" / name).iterdir():
            assert file.read_bytes() == (tmp_path / "stopped" / name / file.name).read_bytes()
    learner = quickstudy.load(tmp_path / "whole")
    assert (learner.model.observation, learner.rule.lr.per) == (2, "layer")


def test_it_is_judged_and_its_ways_are_shown(recipe, tmp_path, capsys):
    assert run(["train", str(recipe), "--out", str(tmp_path / "run"), "--set", "steps=1"]) == 0
    page, numbers = tmp_path / "page.html", tmp_path / "found.json"
    arguments = ["--episodes", "12", "--report", str(page), "--json", str(numbers)]
    assert run(["evaluate", str(tmp_path / "run"), *arguments]) == 0
    assert "3 episodes each after 4 for learning alone" in capsys.readouterr().out
    assert [row["learner"] for row in json.loads(numbers.read_text())["results"]] == ["MAMLRL", "RandomAgent"]
    shown = " ".join(page.read_text(encoding="utf-8").split())
    assert "in <b><bdi>the plane, where a goal is hidden</bdi></b>: 12 trials of 3 episodes of at most 4 steps" in shown
    assert "mean return of an episode is" in shown
    assert shown.count("<polyline") >= 12


@pytest.mark.parametrize(("name", "title"), [("navigation-maml", "MAMLRL"), ("navigation-rl2", "RL2")])
def test_the_recipes_that_ship_can_be_built(name, title):
    read = Recipe.read(find_recipe(Path(name)))
    assert build_learner(read).title == title
    assert train_episodes(read)[0].environment == quickstudy.Points()
