"""Omniglot's tasks (Lake et al. 2015), from a local copy."""

from __future__ import annotations

import random
from typing import NamedTuple

import torch
from torch.utils.data import TensorDataset

from quickstudy.compat.learn2learn.data import FilteredMetaDataset, MetaDataset, Taskset
from quickstudy.compat.learn2learn.data.transforms import ConsecutiveLabels, FusedNWaysKShots, LoadData, RemapLabels
from quickstudy.compat.learn2learn.vision.transforms import RandomClassRotation
from quickstudy.errors import QuickstudyError
from quickstudy.tasks.image_archives import Archive
from quickstudy.tasks.named import data_folder
from quickstudy.tasks.named_images import FILES

TRAIN, VALIDATION = 1100, 100
"""Characters of the 1,623; the others are for testing."""


class BenchmarkTasksets(NamedTuple):
    """The three tasksets of a benchmark, whose classes are different ones."""

    train: Taskset
    validation: Taskset
    test: Taskset


def get_tasksets(
    name: str,
    train_ways: int = 5,
    train_samples: int = 10,
    test_ways: int = 5,
    test_samples: int = 10,
    num_tasks: int = -1,
    root: str = "~/data",
    device: torch.device | str | None = None,
) -> BenchmarkTasksets:
    """Tasks of Omniglot: images `(ways * samples, 1, 28, 28)` from 0 to 1, ink is 1, and their labels, class by class.

    Python's own randomness (`random.seed`) divides the characters 1,100 : 100 : 423. All images of a class are turned alike
    in each task, by 0, 90, 180 or 270 degrees.

    Args:
        name: "omniglot".
        train_ways: classes of a training task, and `test_ways` those of any other.
        train_samples: images of each, support and query together; `test_samples` likewise.
        num_tasks: of each taskset; -1: without an end.
        root: not read: the data folder is the one that QUICKSTUDY_DATA names.
        device: where the images are.

    Raises:
        QuickstudyError: another name, or no Omniglot in the data folder.
    """
    if name != "omniglot":
        raise QuickstudyError(
            f"get_tasksets has 'omniglot', not {name!r}; make Taskset(MetaDataset(dataset), transforms) of your own copy of it"
        )
    dataset = _omniglot(device)
    classes = list(dataset.labels)
    random.shuffle(classes)
    parts = classes[:TRAIN], classes[TRAIN : TRAIN + VALIDATION], classes[TRAIN + VALIDATION :]
    sizes = (train_ways, train_samples), (test_ways, test_samples), (test_ways, test_samples)
    return BenchmarkTasksets(*(_taskset(dataset, part, *size, num_tasks) for part, size in zip(parts, sizes, strict=True)))


def _taskset(dataset: MetaDataset, classes: list[int], ways: int, samples: int, num_tasks: int) -> Taskset:
    """Tasks of these classes."""
    part = FilteredMetaDataset(dataset, classes)
    transforms = [
        FusedNWaysKShots(part, ways, samples),
        LoadData(part),
        RemapLabels(part),
        ConsecutiveLabels(part),
        RandomClassRotation(part, [0, 90, 180, 270]),
    ]
    return Taskset(part, transforms, num_tasks)


def _omniglot(device: torch.device | str | None) -> MetaDataset:
    folder = data_folder()
    if folder is None or not (folder / FILES["omniglot"]).is_file():
        raise QuickstudyError(f"no Omniglot was found: set QUICKSTUDY_DATA to a folder that holds {FILES['omniglot']}")
    held = Archive.open(folder / FILES["omniglot"])
    if held.images is None or held.labels is None:
        raise QuickstudyError(f"{held.path} is not Omniglot: it needs the arrays `images` and `labels`; fetch the file again")
    images, labels = torch.from_numpy(held.images).unsqueeze(1).to(device) / held.full, held.labels.tolist()
    pairs = TensorDataset(images, torch.tensor(labels, device=device))
    return MetaDataset(pairs, indices_to_labels=dict(enumerate(labels)))
