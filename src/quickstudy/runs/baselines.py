"""The baselines that a learner is judged beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quickstudy.evaluation.evaluate import Progress
from quickstudy.learners.base import Learner

FINE_TUNE = {"lr": 0.001, "steps": 10}
"""Chosen on validation classes (docs/results/fine-tuning.md)."""


def baselines_for(
    learner: Learner, run: str, name: Any, which: str, *, progress: Progress | None = None
) -> tuple[list[Learner], list[Learner]]:
    """Fresh baselines on the plain pretrained model: those judged on all tasks, and the slow ones.

    Args:
        learner: the judged one; it is not its own baseline.
        run: the run folder it comes from, whose recipe joint training repeats on the same examples and steps.
        name: the pretrained model.
        which: "none", "standard" or "full".
    """
    from quickstudy.learners.baselines.centroid import Centroid
    from quickstudy.learners.baselines.logistic_probe import LogisticProbe
    from quickstudy.learners.baselines.nearest_neighbours import NearestNeighbours
    from quickstudy.learners.baselines.ridge import Ridge
    from quickstudy.learners.baselines.zero_step import ZeroStep
    from quickstudy.models import load

    recipe = Path(run) / "recipe.yaml"
    if which == "none":
        return [], []
    if recipe.is_file():
        from quickstudy.runs.build import build_model
        from quickstudy.runs.recipe import Recipe

        whole = Recipe.read(recipe)
        plain = build_model(whole, adapters=False)
    else:
        whole, plain = None, load(name)
    kinds = (Centroid, LogisticProbe, Ridge, NearestNeighbours, ZeroStep) if hasattr(plain, "dim") else (ZeroStep,)
    standard: list[Learner] = [kind(plain) for kind in kinds if type(learner) is not kind]
    if which == "standard":
        return standard, []
    return standard, _slow(whole, name, progress)


def _slow(recipe: Any, name: Any, progress: Progress | None) -> list[Learner]:
    from quickstudy.learners.baselines.fine_tune import FineTune
    from quickstudy.models import load

    if recipe is None:
        return [FineTune(load(name, lora=8), **FINE_TUNE)]
    from quickstudy.runs.build import build_model
    from quickstudy.runs.train import train_joint

    return [FineTune(build_model(recipe), **FINE_TUNE), train_joint(recipe, progress=progress)]
