"""`quickstudy.load`: opens whatever quickstudy saved."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from quickstudy.learners import artefact
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.runs.train import open_run


def load(folder: str | Path, *, model: nn.Module | None = None) -> Adapted | Learner:
    """An artefact as `Adapted`, a run as its learner.

    Args:
        model: the module that an artefact without a pretrained model belongs to.

    Raises:
        QuickstudyError: not a folder of ours, or a file in it is truncated, changed or missing. Nothing is executed.
    """
    folder = Path(folder)
    if (folder / "recipe.yaml").is_file():
        return open_run(folder)[1]
    return artefact.load(folder, model=model)
