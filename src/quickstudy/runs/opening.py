"""Opens whatever quickstudy saved: `load`, and a run with its recipe."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners import artefact
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.runs import checkpoint
from quickstudy.runs.build import build_learner
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.record import RunFolder


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


def open_run(folder: str | Path, *, allow_files: bool = False) -> tuple[Recipe, Learner]:
    """The recipe of a run, and the learner that it kept.

    Args:
        allow_files: whether a learner in a Python file may be imported, which executes it; only for a run one trusts.

    Raises:
        QuickstudyError: the folder is no run, or a file in it is truncated, changed or of another recipe.
    """
    run = RunFolder(Path(folder))
    if not run.recipe.is_file():
        raise QuickstudyError(f"{folder} is not a run: it holds no recipe.yaml; give a folder that `quickstudy train` wrote")
    if not run.learner.is_file():
        again = f"quickstudy train {run.recipe} --out {folder} --resume"
        raise QuickstudyError(f"{run.learner} is not there: the run has not come so far, or is incomplete; go on with `{again}`")
    recipe = Recipe.read(run.recipe)
    remedy = f"restore it from a copy, or train again with `quickstudy train {run.recipe}` and another --out"
    tensors, facts = checkpoint.read(run.learner, remedy=remedy)
    learner = build_learner(recipe, allow_files=allow_files)
    checkpoint.put_learner(learner, tensors, facts, run.learner, remedy=remedy)
    return recipe, learner.eval()
