"""The baselines that a learner is judged beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from quickstudy.evaluation.evaluate import Progress
from quickstudy.learners.base import Learner
from quickstudy.models.device import device_of
from quickstudy.tasks.names import is_word


def baselines_for(
    learner: Learner, run: str, name: Any, which: str, *, labels: Sequence[str] = (), progress: Progress | None = None
) -> tuple[list[Learner], list[Learner]]:
    """Fresh baselines on the plain pretrained model: those judged on all tasks, and the slow ones.

    Args:
        learner: the judged one; it is not its own baseline.
        run: the run folder it comes from, whose recipe joint training repeats on the same examples and steps.
        name: the pretrained model.
        which: "none", "standard" or "full".
        labels: those of the tasks. Where most are no words, or the encoder reads images, it has nothing to say of the names
            alone (`ZeroStep`).
    """
    from quickstudy.learners.baselines.centroid import Centroid
    from quickstudy.learners.baselines.logistic_probe import LogisticProbe
    from quickstudy.learners.baselines.nearest_neighbours import NearestNeighbours
    from quickstudy.learners.baselines.ridge import Ridge
    from quickstudy.learners.baselines.zero_step import ZeroStep
    from quickstudy.models import load
    from quickstudy.models.encoder import reads_images

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
    plain = plain.to(device_of(learner))
    kinds = (Centroid, LogisticProbe, Ridge, NearestNeighbours, ZeroStep) if hasattr(plain, "dim") else (ZeroStep,)
    if hasattr(plain, "dim") and (reads_images(plain) or sum(map(is_word, labels)) < len(labels) / 2):
        kinds = kinds[:-1]
    standard: list[Learner] = [kind(plain) for kind in kinds if type(learner) is not kind]
    if which == "standard":
        return standard, []
    return standard, _slow(whole, name, plain, progress)


def _slow(recipe: Any, name: Any, plain: nn.Module, progress: Progress | None) -> list[Learner]:
    """Fine-tuning of all weights, of LoRA adapters and of the head alone; joint training, of a run that has adapters to train.

    A network that is no encoder is fine-tuned as it is; a model without parameters cannot be.
    """
    from quickstudy.learners.baselines.fine_tune import CHOSEN, FineTune
    from quickstudy.models import load
    from quickstudy.models.encoder import Encoder
    from quickstudy.runs.build import build_model
    from quickstudy.runs.joint import train_joint

    if not any(True for _ in plain.parameters()):
        return []
    moving: dict[str, nn.Module] = {"LoRA": plain}
    if isinstance(plain, Encoder) and "name" in plain.spec:
        adapters = build_model(recipe) if recipe and recipe.model.lora else load(name, lora=8)
        adapters = adapters.to(device_of(plain))
        moving = {"all": plain, "LoRA": adapters, "head": plain}
    slow: list[Learner] = [FineTune(model, **CHOSEN[moved]) for moved, model in moving.items()]
    if recipe and (recipe.model.lora or not isinstance(plain, Encoder)):
        slow.append(train_joint(recipe, device=device_of(plain), progress=progress))
    return slow
