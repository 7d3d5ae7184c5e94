"""`methods`: what a language model's way of adapting is judged beside."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.language.holding import holding
from quickstudy.evaluation.language.method import Method
from quickstudy.learners.baselines.fine_tune import FineTune
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.learners.baselines.joint import JointTraining
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.models.adapters import is_adapter, without_adapters
from quickstudy.models.device import device_of
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.loading import load, made
from quickstudy.runs.recipe import Recipe

Which = Literal["none", "standard", "full"]
FRESH = "Fresh LoRA"
ALL_RATES = (0.00001, 0.00003, 0.0001, 0.0003)
"""Adam's on all weights: as many as adapters are tried at."""
LONG = (5, 10, 15, 20, 25, 30)
"""Steps of which the ceiling takes the best."""
SLOW_TASKS = 10
"""How many of the tasks a slow baseline is judged on: the first ones."""
WHOLE = 2**31
"""Blocks in a step, at most: all that the support has."""


def methods(
    judged: Method,
    which: Which,
    *,
    lora: Any,
    lr: float,
    micro_batch: int | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> list[Method]:
    """The judged method, then its baselines on the same base.

    Adapters are in the same places for all, and where the judged model has some, all share its base and what the frozen layers
    give of a block.

    Args:
        judged: its learner's model is a `LanguageModel`; it is not its own baseline.
        which: "none"; "standard" (no step, fresh adapters, the support in the context window); "full" (all weights, joint
            training on what the run was trained on, and long fine-tuning as a ceiling, too).
        lora: where adapters go if the judged model has none.
        lr: Adam's rate on adapters where none is chosen.
        micro_batch: blocks in one call of the model while a baseline learns.
        recipe: of the run that is judged, for joint training.
    """
    if which not in get_args(Which):
        raise QuickstudyError(f"baselines={which!r}: give {', '.join(get_args(Which))}")
    if which == "none":
        return [judged]
    model = cast(LanguageModel, judged.learner.model)
    base, fresh = base_of(model), model if judged.name == FRESH else _untrained(model, lora)
    found = [
        Method("ZeroStep", ZeroStep(base), "the base as it comes, without a step"),
        fresh_adapters(fresh, lr, micro_batch),
        Method("In context", InContext(base), "the base, with the support before each query in its window; no step"),
    ]
    if which == "full":
        every = FineTune(base, ALL_RATES[1], batch=WHOLE, space=".", micro_batch=micro_batch)
        factors = [rate / ALL_RATES[1] for rate in ALL_RATES]
        found.append(Method("Full tuning", every, "all weights of the base move, by Adam", factors, first=SLOW_TASKS))
        if recipe is not None and recipe.model.lora and not isinstance(judged.learner, JointTraining):
            joint = _jointly_trained(fresh, recipe, progress)
            about = "adapters trained on the same tasks without an inner loop, then Adam"
            found.append(Method("Joint training", adam(joint, lr, micro_batch), about))
        about = f"the ceiling: fresh adapters after up to {max(LONG)} steps"
        found.append(Method("Long tuning", adam(fresh, lr, micro_batch), about, first=SLOW_TASKS, ceiling=LONG))
    its = type(judged.learner)
    return [judged, *(each for each in found if each.name != judged.name and (each.takes_steps or type(each.learner) is not its))]


def fresh_adapters(model: LanguageModel, lr: float, micro_batch: int | None) -> Method:
    """Adam on adapters that have learned nothing yet."""
    return Method(FRESH, adam(model, lr, micro_batch), "adapters in the same places from their untrained start, by Adam")


def adam(model: LanguageModel, lr: float, micro_batch: int | None) -> FineTune:
    """Adam on a model's adapters, with the whole support in each step."""
    return FineTune(model, lr, batch=WHOLE, micro_batch=micro_batch)


def base_of(model: LanguageModel) -> LanguageModel:
    """The model as it was before any training."""
    if "lora" in model.spec:
        return cast(LanguageModel, without_adapters(model))
    return made(model.spec).to(device_of(model))


def _untrained(model: LanguageModel, lora: Any) -> LanguageModel:
    spec = model.spec
    if "lora" not in spec:
        return load(spec["name"], lora=lora, dtype=spec.get("dtype", "float32")).to(device_of(model))
    return holding(model, _adapters(made(spec).to(device_of(model))))


def _jointly_trained(model: LanguageModel, recipe: Recipe, progress: Progress | None) -> LanguageModel:
    from quickstudy.runs.joint import train_joint

    trained = train_joint(recipe, device=device_of(model), progress=progress)
    return holding(model, _adapters(cast(LanguageModel, trained.model)))


def _adapters(model: LanguageModel) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if is_adapter(name)}
