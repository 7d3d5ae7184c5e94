"""What MODEL on the command line means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner
from quickstudy.runs.shipped import find_run

DEFAULT_MODEL, DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL = "minilm", "efficientnet-lite0", "smollm2-start"
TEXT = {"lr": 0.002, "steps": 8, "batch": 4, "micro_batch": 2}
"""How plain text is learned where nobody says otherwise: Adam's rate, steps, blocks in a step and in a call."""
RANK = 8
"""Of fresh adapters for text, on all layers: on the four top ones a step takes half the time, and learns a third as much."""


def default_model(source: Any) -> str:
    """The pretrained model for a table's sentences or images."""
    return DEFAULT_IMAGE_MODEL if getattr(source, "reads", "sentence") == "image" else DEFAULT_MODEL


def require_reader(learner: Learner, source: Any, model: str, *, inputs: Any = None) -> None:
    """Makes sure that a learner's model can read what a table holds.

    Args:
        inputs: what makes the table's texts into numbers, if anything does.

    Raises:
        QuickstudyError: an encoder of sentences is to read images, or one of images sentences, or a network neither.
    """
    encoder, asked = getattr(learner, "model", None), getattr(source, "reads", None)
    if asked and inputs is None and encoder is not None and not hasattr(encoder, "reads"):
        remedy = "train an image network without ways, or name an encoder"
        raise QuickstudyError(f"{model}: its network takes numbers and {source.name} holds {asked}s; {remedy}")
    reads = getattr(encoder, "reads", asked)
    if asked and reads != asked:
        remedy = f"name a model such as {default_model(source)}"
        raise QuickstudyError(f"{model} reads {reads}s and {source.name} holds {asked}s; {remedy}")


def resolve(model: str, *, thorough: bool = False, base: str = DEFAULT_MODEL) -> tuple[Learner, str]:
    """A learner for MODEL, and the name of the pretrained model below it.

    In this order: `default` (what `quickstudy adapt` does on `base`), a folder (a run; a Hugging Face model), a name in
    `priors/`, a packaged model, a hub id. A model without a run has learned nothing yet, so a logistic probe on its
    features learns for it.

    Args:
        thorough: whether `default` is to try fine-tuning too.
        base: the pretrained model of `default`.
    """
    from quickstudy.learners.artefact import is_artefact
    from quickstudy.learners.baselines.logistic_probe import LogisticProbe
    from quickstudy.models import load
    from quickstudy.runs.opening import open_run

    if model == "default":
        from quickstudy.learners.default import Default

        return Default(load(base), thorough=thorough), base
    if thorough:
        raise QuickstudyError(f"--thorough: {model} is judged as it is; give `default` in its place, or leave --thorough out")
    folder = Path(model).expanduser()
    if folder.is_dir() and is_artefact(folder):
        raise QuickstudyError(
            f"{model} has already learned its labels; use it with `quickstudy predict {model}`, or name the model "
            "it was made from"
        )
    if (run := find_run(model)) is not None:
        recipe, learner = open_run(run)
        if recipe.data.trials is not None:
            raise QuickstudyError(f"{model} learned to act, not to name labels; see how well with `quickstudy evaluate {model}`")
        return learner, str(recipe.model.name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise QuickstudyError(
            f"{model} is a folder, but neither a run (recipe.yaml), an artefact nor a Hugging Face model (config.json)"
        )
    return LogisticProbe(load(model)), model


def resolve_for_adapting(model: str, *, names: Any = "auto", unlabelled: Sequence[str] = (), thorough: bool = False) -> Learner:
    """What `quickstudy adapt MODEL` learns with.

    On a plain encoder, the head that cross-validation chooses (`Default`); a run that leaves its encoder as it is while
    it learns a task is one candidate more, on its own encoder. Any other run learns as it was trained to.
    """
    from quickstudy.learners.default import Default
    from quickstudy.models.encoder import Encoder

    learner, _ = resolve(model)
    encoder: Any = getattr(learner, "model", None)
    if not (isinstance(encoder, Encoder) and learner.frozen_features):
        if unlabelled:
            raise QuickstudyError(f"--unlabelled: {type(learner).__name__} has no use for sentences without labels; leave it out")
        if names != "auto":
            raise QuickstudyError(f"--names: {type(learner).__name__} learns from examples alone; leave it out")
        if thorough:
            raise QuickstudyError(f"--thorough: {type(learner).__name__} has no other candidate to try; leave it out")
        return learner
    trained = [learner] if any(True for _ in learner.parameters()) else []
    return Default(encoder, names=names, unlabelled=unlabelled, others=trained, thorough=thorough)


def resolve_for_text(model: str, *, steps: int | None = None, lr: float | None = None) -> Any:
    """What `quickstudy adapt MODEL --text` learns with: fine-tuning of the adapters of a language model.

    MODEL is an adapter that `adapt` wrote, a run (its start, at the rate in its recipe), or a language model, which gets fresh
    adapters.

    Args:
        steps, lr: in place of what the run's recipe or `TEXT` says.

    Raises:
        QuickstudyError: it is no language model, or has no adapters to learn.
    """
    from quickstudy.learners.artefact import is_artefact
    from quickstudy.learners.artefact import load as load_artefact
    from quickstudy.learners.baselines.fine_tune import FineTune
    from quickstudy.models import load
    from quickstudy.models.adapters import add_lora
    from quickstudy.models.language_model import LanguageModel
    from quickstudy.runs.opening import open_run

    settings: dict[str, Any] = dict(TEXT)
    if (folder := find_run(model)) is not None:
        recipe, learner = open_run(folder)
        network: Any = getattr(learner, "model", None)
        settings["lr"] = (recipe.learner.model_extra or {}).get("lr", settings["lr"])
    elif is_artefact(Path(model).expanduser()):
        network = load_artefact(Path(model).expanduser()).model
    else:
        network = load(model)
        if isinstance(network, LanguageModel):
            network.spec["lora"] = add_lora(network.module, RANK, seed=0)
            network.eval()
    if not isinstance(network, LanguageModel):
        raise QuickstudyError(f"--text: {model} is no language model; name one such as {DEFAULT_TEXT_MODEL}, or give --support")
    settings |= {key: value for key, value in (("steps", steps), ("lr", lr)) if value is not None}
    return FineTune(network, **settings)
