"""Agents hold no more after many outer steps than after a few."""

from __future__ import annotations

import os

import pytest

from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

STEPS = int(os.environ.get("STEPS", "9"))
"""Outer steps after which memory is to be as it was; STEPS=2000 for a long look."""
BANDITS = "data: {trials: {bandits: {arms: 3}, episodes: 5}}"
POINTS = "data: {trials: {points: {horizon: 5}, explored: EXPLORED, episodes: 2}}"
AGENTS = {
    "rl2": ("{name: rl2, outer_lr: 0.01}", "{gru: 8}", BANDITS),
    "fast_weights": ("{name: rl2, outer_lr: 0.01}", "{fast_weights: 8}", BANDITS),
    "ppo": ("{name: ppo, outer_lr: 0.01}", "{policy: 8}", POINTS.replace("EXPLORED", "0")),
    "maml_rl": ("{name: maml_rl, inner_lr: 0.1, outer_lr: 0.005}", "{policy: 8}", POINTS.replace("EXPLORED", "2")),
}


@pytest.mark.parametrize("name", AGENTS)
def test_outer_steps_leave_nothing_behind(name, tmp_path, in_use):
    learner, model, data = AGENTS[name]
    recipe = f"learner: {learner}\nmodel: {model}\n{data}\nepisodes: {{tasks: 8}}\nsteps: {STEPS}\ncheckpoint_every: {STEPS}\n"
    (tmp_path / "recipe.yaml").write_text(recipe)
    found = []

    def look(step, steps, numbers):
        if step in (steps // 3, steps - 1):
            found.append(in_use())

    train(Recipe.read(tmp_path / "recipe.yaml"), tmp_path / "run", progress=look)
    (*held, before), (*held_after, after) = found
    assert held_after == held
    assert after - before < 2**23
