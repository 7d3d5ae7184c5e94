"""The image sets that are known by name, with their published division of classes."""

from __future__ import annotations

import json
from pathlib import Path

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.image_tables import Rows, of_archive, turned

FILES = {"omniglot": "omniglot/omniglot28.npz", "tiny_imagenet": "tiny_imagenet_fewshot/train.npz"}
"""A file of each set, below the data folder. References are relative to that folder, so that they are the same everywhere."""
_PARTS = ("train", "valid", "test")


def rows(name: str, folder: Path) -> Rows:
    """All images of a set.

    `omniglot` as few-shot learning takes it: each rotation by 90 degrees makes classes of their own, 6,492 in all. The
    images are Lake et al.'s (2015), 28x28. `tiny_imagenet`: photographs of 64x64, 160 classes.
    """
    if name == "omniglot":
        return turned(of_archive(folder / FILES[name], FILES[name]))
    references, labels = [], []
    for part in _PARTS:
        more = of_archive(folder / _tiny(part), _tiny(part))
        references += more[0]
        labels += more[1]
    return references, labels


def folds(name: str, folder: Path) -> list[dict[str, list[str]]]:
    """The one published fold: part -> labels.

    Of `omniglot` that of Vinyals et al. (2016), as prototypical networks use it: 4,112 classes to train on, 688 and 1,692.
    """
    if name == "tiny_imagenet":
        return [{part: sorted(set(of_archive(folder / _tiny(part), "")[1])) for part in _PARTS}]
    path = folder / "omniglot" / "vinyals_split.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        parts = {"train": said["train"], "valid": said["val"], "test": said["test"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QuickstudyError(f"cannot read the folds in {path} ({error}); fetch the file again") from None
    return [{part: turned(([], characters))[1] for part, characters in parts.items()}]


def _tiny(part: str) -> str:
    return f"tiny_imagenet_fewshot/{part}.npz"
