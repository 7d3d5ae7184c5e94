"""What MODEL on the command line means."""

from __future__ import annotations

from pathlib import Path

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner

PRIORS = Path(__file__).parents[1] / "priors"


def resolve(model: str) -> tuple[Learner, str]:
    """A learner for MODEL, and the name of the pretrained model below it.

    In this order: a folder (a run; a Hugging Face model), a name in `priors/`, a packaged model, a hub id. A model
    without a run has learned nothing yet, so a logistic probe on its features learns for it.
    """
    from quickstudy.learners.artefact import is_artefact
    from quickstudy.learners.baselines.logistic_probe import LogisticProbe
    from quickstudy.models import load
    from quickstudy.runs.train import open_run

    folder = Path(model).expanduser()
    if folder.is_dir() and is_artefact(folder):
        raise QuickstudyError(
            f"{model} has already learned its labels; use it with `quickstudy predict {model}`, or name the model "
            "it was made from"
        )
    shipped = PRIORS / model
    for place in (folder, shipped) if "/" not in model and "\\" not in model else (folder,):
        if (place / "recipe.yaml").is_file():
            recipe, learner = open_run(place)
            return learner, str(recipe.model.name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise QuickstudyError(
            f"{model} is a folder, but neither a run (recipe.yaml), an artefact nor a Hugging Face model (config.json)"
        )
    return LogisticProbe(load(model)), model
