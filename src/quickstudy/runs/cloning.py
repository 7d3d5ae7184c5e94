"""Cloning, the baseline of imitation: one policy for all tasks, as it is and fine-tuned on the one demonstration."""

from __future__ import annotations

from typing import Any

from torch import nn

from quickstudy.evaluation.evaluate import Progress, evaluate
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.fine_tune import FineTune
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.models.device import device_of
from quickstudy.runs.build import data_part
from quickstudy.runs.joint import train_joint
from quickstudy.runs.recipe import LearnerPart, Recipe
from quickstudy.tasks.robots.robot import Robot

RATES, STEPS = (0.0003, 0.001, 0.003, 0.01), (5, 20, 100)
"""Of Adam; fine-tuning takes those with which the robot does most validation tasks."""
TRIED = 10
"""Validation tasks for that, at most, of one episode each."""


class Cloning(ZeroStep):
    """Behaviour cloning (Pomerleau 1989) of the demonstrations of all tasks; it does not look at the one of a new task."""


class FineTunedCloning(FineTune):
    """The same, and then Adam on that demonstration."""

    @property
    def title(self) -> str:
        """Its name alone."""
        return type(self).__name__


def clone(recipe: Recipe, learner: Learner, progress: Progress | None = None) -> nn.Module:
    """A policy trained on a recipe's demonstrations, with its steps and outer optimizer, and without tasks.

    Args:
        learner: that of the recipe; a context that its network reads is left out.
    """
    widths = recipe.model.mlp or []
    context = getattr(learner, "context", 0)
    model = recipe.model.model_copy(update={"mlp": [widths[0] - context, *widths[1:]]})
    joint = LearnerPart(name="joint", outer_lr=learner.outer_lr)  # type: ignore[call-arg]
    plain = recipe.model_copy(update={"model": model, "learner": joint})
    trained: Any = train_joint(plain, device=device_of(learner), progress=progress)
    return trained.model.eval()


def fine_tuned(recipe: Recipe, policy: nn.Module, robot: Robot, progress: Progress | None = None) -> FineTunedCloning:
    """The clone with the rate and the number of steps that are best in the simulator, on validation tasks."""
    source: Any = data_part(recipe, "valid")
    tasks = source.only(list(source.tasks)[:TRIED]).attempts(robot, episodes=1, seed=recipe.seed)
    tried = [FineTunedCloning(policy, rate, steps=steps, space=".") for steps in STEPS for rate in RATES]
    found = []
    for number, learner in enumerate(tried, start=1):
        found.append(evaluate(learner, tasks)["results"][0]["mean"])
        if progress:
            progress("FineTunedCloning: settings tried", number, len(tried))
    return tried[found.index(max(found))]
