"""What would lower a run's memory or time: other settings, planned as the recipe itself is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from quickstudy.errors import QuickstudyError
from quickstudy.learners.baselines.joint import JointTraining
from quickstudy.learners.gradient import GradientLearner
from quickstudy.runs.plan.plan import Plan, Planner
from quickstudy.runs.suggestions import changed

LOOKS = 3
"""Steps looked at for each: the recipe's own are known to differ little by then."""
WORTH = 0.1
"""The least share that is worth saying."""
LEAST = 4
"""The smallest `micro_batch` that is tried: smaller calls take much longer."""


@dataclass(frozen=True)
class Lower:
    """Another setting, and what it would need.

    Attributes:
        change: as `--set` takes it.
        same: whether the numbers of the run stay the same.
    """

    change: str
    same: bool
    plan: Plan


def lower(planner: Planner, plan: Plan) -> tuple[list[Lower], list[Lower]]:
    """What lowers memory, and what lowers the time of a step, each with the largest gain first."""
    found = [
        Lower(f"{key}={value}", same, new) for key, value, same in _tried(planner, plan) if (new := _planned(planner, key, value))
    ]

    def best(what: str) -> list[Lower]:
        worth = [each for each in found if getattr(each.plan, what) < (1 - WORTH) * getattr(plan, what)]
        return sorted(worth, key=lambda each: (not each.same, getattr(each.plan, what)))

    return best("memory"), best("step")


def _tried(planner: Planner, plan: Plan) -> Iterator[tuple[str, Any, bool]]:
    """Keys of the recipe, values that are less of what they stand for, and whether the numbers stay the same."""
    recipe, learner = planner.recipe, planner.learner
    episodes, rows = recipe.episodes, plan.rows[0]
    if isinstance(learner, GradientLearner) and not isinstance(learner, JointTraining):  # which has no inner loop to change
        yield "learner.keep_graph", str(not learner.keep_graph).lower(), True
        if rows > LEAST:
            yield "learner.micro_batch", max(LEAST, rows // 4), True
        if learner.gradient == "exact":
            yield "learner.gradient", "first_order", False
        if learner.inner_steps > 1:
            yield "learner.inner_steps", learner.inner_steps // 2, False
    if recipe.model.lora is not None:
        layers = recipe.model.lora.get("layers") if isinstance(recipe.model.lora, dict) else None
        if layers is None or layers > 1:
            yield "model.lora.layers", 2 if layers is None else layers // 2, False
    if episodes.tasks > 1:
        yield "episodes.tasks", episodes.tasks // 2, False
    if isinstance(episodes.queries, int) and episodes.queries > 1:
        yield "episodes.queries", episodes.queries // 2, False
    if isinstance(episodes.ways, int) and episodes.ways > 9:
        yield "episodes.ways", episodes.ways // 2, False


def _planned(planner: Planner, key: str, value: Any) -> Plan | None:
    """The plan with this setting; None where the recipe cannot have it."""
    try:
        if key == "model.lora.layers":
            lora = planner.recipe.model.lora
            fields = {"r": lora} if isinstance(lora, int) else dict(lora or {})
            recipe = changed(planner.recipe, {"model.lora": {**fields, "layers": value}})
            other = planner.like(recipe)
            return other.of(recipe, other.learner, looks=LOOKS, judge=False)
        recipe = changed(planner.recipe, {key: value == "true" if value in ("true", "false") else value})
        cls = recipe.learner_class(allow_files=True)
        learner = cls(planner.learner.model, **recipe.learner_settings(cls))  # type: ignore[call-arg]
        return planner.of(recipe, learner.to(planner.device), looks=LOOKS, judge=False)
    except QuickstudyError:
        return None
