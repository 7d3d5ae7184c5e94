"""A recipe whose tasks are demonstrations: their division, and the network that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner
from quickstudy.models.networks import Standardized, mlp
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.recordings import read_demonstrations
from quickstudy.tasks.robots.demonstrations import Demonstrations

VALIDATION = 0.2
"""The share of the training tasks by which the best learner is chosen."""


def demonstrations_of(recipe: Recipe, name: str) -> Demonstrations:
    """Those of the training tasks that are learned from ("train") or chosen by ("valid"), or of the robot's test tasks.

    Raises:
        QuickstudyError: none were recorded.
    """
    folder = str(recipe.data.demonstrations)
    if name == "test":
        return read_demonstrations(folder, "test")
    every = read_demonstrations(folder, "train")
    order = np.random.default_rng(recipe.data.seed).permutation(list(every.tasks))
    first = max(1, round(VALIDATION * len(order)))
    return every.only(order[:first] if name == "valid" else order[first:])


def build_policy(recipe: Recipe) -> nn.Sequential:
    """The recipe's perceptron, on observations that are standardized by the demonstrations that are learned from.

    A run is opened without its data: the numbers are in its own file.
    """
    widths = recipe.model.mlp or []
    spread = demonstrations_of(recipe, "train").spread if _recorded(recipe) else ()
    return nn.Sequential(Standardized(widths[0], *spread), *mlp(widths, seed=recipe.seed))


def check_policy(recipe: Recipe, learner: Learner, shown: Demonstrations | None = None) -> None:
    """Whether the perceptron reads what was observed and gives what was done.

    Args:
        shown: what it is to learn from. None: what the recipe names, if that is there.

    Raises:
        QuickstudyError: it has another number of inputs, or of outputs.
    """
    if shown is None and (recipe.data.demonstrations is None or not _recorded(recipe)):
        return
    (seen, done), context = (shown or demonstrations_of(recipe, "train")).numbers, getattr(learner, "context", 0)
    widths = recipe.model.mlp or [0]
    if (widths[0], widths[-1]) == (seen + context, done):
        return
    if shown is not None:
        raise QuickstudyError(
            f"a demonstration of {shown.robot} has {seen} numbers in an observation and {done} in an action, and this policy "
            f"reads {widths[0] - context} and gives {widths[-1]}; give demonstrations of the robot that it has learned from"
        )
    beside = f" beside a context of {context}" if context else ""
    message = f"mlp: an observation has {seen} numbers{beside} and an action {done}; "
    raise recipe.problem(f"{message}give widths from {seen + context} to {done}", ("model", "mlp"))


def _recorded(recipe: Recipe) -> bool:
    return (Path(str(recipe.data.demonstrations)).expanduser() / "train").is_dir()
