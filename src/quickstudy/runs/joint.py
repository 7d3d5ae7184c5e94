"""The baseline of joint training, on what a run learns from."""

from __future__ import annotations

from collections.abc import Callable

import torch

from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.fine_tune import CHOSEN
from quickstudy.learners.baselines.joint import JointTraining
from quickstudy.models.device import CPU
from quickstudy.runs.build import build_learner, build_model, train_episodes
from quickstudy.runs.outer import OuterLoop
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe
from quickstudy.tasks.table import Table


def train_joint(
    recipe: Recipe, *, device: torch.device = CPU, progress: Callable[[str, int, int], None] | None = None
) -> Learner:
    """A recipe's model, tasks, steps and outer optimizer, without an inner loop."""
    episodes = train_episodes(recipe)
    classes = episodes.source.classes if isinstance(episodes.source, Table) else ()
    outer_lr = build_learner(recipe).outer_lr
    with torch.random.fork_rng(devices=[]):
        learner = JointTraining(build_model(recipe), outer_lr=outer_lr, classes=classes, **CHOSEN["LoRA"]).to(device)
        outer = OuterLoop(learner, recipe, Processes())
        for index in range(recipe.steps):
            outer.step(index, episodes[index])
            if progress:
                progress("JointTraining: steps", index + 1, recipe.steps)
    return learner
