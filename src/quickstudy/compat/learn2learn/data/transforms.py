"""Transforms of task descriptions: which examples a task has, in which order, and what is done with each.

A transform is any function from a description, a list of `DataDescription`, to another one. The first one gets None, for all
examples of the dataset. Randomness is Python's own (`random.seed`).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from functools import partial
from typing import Any

from torch.utils.data import Dataset

from quickstudy.compat.learn2learn.data.meta_dataset import Label, MetaDataset
from quickstudy.compat.learn2learn.data.task_dataset import DataDescription, TaskDescription
from quickstudy.errors import QuickstudyError


class TaskTransform:
    """A transform of descriptions of tasks from one dataset; a subclass defines `change`, and `first` for a short cut."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __call__(self, task_description: TaskDescription | None) -> TaskDescription:
        return self.first() if task_description is None else self.change(task_description)

    def new_task(self) -> TaskDescription:
        """The description that holds every example of the dataset."""
        return [DataDescription(index) for index in range(len(self.dataset))]

    def first(self) -> TaskDescription:
        """What the transform makes of the whole dataset."""
        return self.change(self.new_task())

    def change(self, task_description: TaskDescription) -> TaskDescription:
        """What the transform makes of a description."""
        raise TypeError(f"{type(self).__name__} must define change(task_description)")

    def by_label(self, task_description: TaskDescription) -> dict[Label, TaskDescription]:
        """The examples of each label, in the order in which the labels come up."""
        found: dict[Label, TaskDescription] = {}
        for described in task_description:
            found.setdefault(self.dataset.indices_to_labels[described.index], []).append(described)
        return found


class LoadData(TaskTransform):
    """Reads each example from the dataset."""

    def __init__(self, dataset: Dataset):
        super().__init__(dataset)

    def change(self, task_description: TaskDescription) -> TaskDescription:
        for described in task_description:
            described.transforms.append(self.dataset.__getitem__)
        return task_description


class FilterLabels(TaskTransform):
    """Keeps the examples of these labels."""

    def __init__(self, dataset: MetaDataset, labels: Iterable[Label]):
        super().__init__(dataset)
        self.labels = set(labels)

    def change(self, task_description: TaskDescription) -> TaskDescription:
        return [d for d in task_description if self.dataset.indices_to_labels[d.index] in self.labels]


class ConsecutiveLabels(TaskTransform):
    """Sorts the examples by their label in the dataset, so that those of one stand together."""

    def change(self, task_description: TaskDescription) -> TaskDescription:
        return sorted(task_description, key=lambda described: self.dataset.indices_to_labels[described.index])


class RemapLabels(TaskTransform):
    """Numbers the task's labels from 0, in random order or (`shuffle=False`) in that of the labels. Stands after `LoadData`."""

    def __init__(self, dataset: MetaDataset, shuffle: bool = True):
        super().__init__(dataset)
        self.shuffle = shuffle

    def change(self, task_description: TaskDescription) -> TaskDescription:
        labels = list(self.by_label(task_description))
        if self.shuffle:
            random.shuffle(labels)
        else:
            labels.sort()
        renumber = partial(_renumbered, {label: number for number, label in enumerate(labels)})
        for described in task_description:
            described.transforms.append(renumber)
        return task_description


class NWays(TaskTransform):
    """Keeps the examples of n labels, drawn at random."""

    def __init__(self, dataset: MetaDataset, n: int = 2):
        super().__init__(dataset)
        self.n = n

    def first(self) -> TaskDescription:
        drawn = _drawn(self.dataset.labels, self.n, "labels in the dataset", "n")
        return [DataDescription(index) for label in drawn for index in self.dataset.labels_to_indices[label]]

    def change(self, task_description: TaskDescription) -> TaskDescription:
        kept = set(_drawn(list(self.by_label(task_description)), self.n, "labels to draw from", "n"))
        return [d for d in task_description if self.dataset.indices_to_labels[d.index] in kept]


class KShots(TaskTransform):
    """Keeps k examples of each label, drawn at random, with or without replacement."""

    def __init__(self, dataset: MetaDataset, k: int = 1, replacement: bool = False):
        super().__init__(dataset)
        self.k, self.replacement = k, replacement

    def change(self, task_description: TaskDescription) -> TaskDescription:
        kept: TaskDescription = []
        for label, examples in self.by_label(task_description).items():
            if self.replacement:
                kept += map(copy.deepcopy, random.choices(examples, k=self.k))
            else:
                kept += _drawn(examples, self.k, f"examples of the label {label!r}", "k")
        return kept


class FusedNWaysKShots(TaskTransform):
    """`FilterLabels`, `NWays` and `KShots` in one, which as the first transform looks at nothing but what it draws.

    Args:
        n: labels of a task.
        k: examples of each.
        replacement: whether an example may be drawn twice.
        filter_labels: the labels to draw from. None: all.
    """

    def __init__(
        self,
        dataset: MetaDataset,
        n: int = 2,
        k: int = 1,
        replacement: bool = False,
        filter_labels: Iterable[Label] | None = None,
    ):
        super().__init__(dataset)
        self.n, self.k, self.replacement = n, k, replacement
        self.filter_labels = list(dataset.labels if filter_labels is None else filter_labels)
        self._filter = FilterLabels(dataset, self.filter_labels)
        self._ways, self._shots = NWays(dataset, n), KShots(dataset, k, replacement)

    def first(self) -> TaskDescription:
        drawn = _drawn(self.filter_labels, self.n, "labels to draw from", "n")
        return self._shots([DataDescription(index) for label in drawn for index in self.dataset.labels_to_indices[label]])

    def change(self, task_description: TaskDescription) -> TaskDescription:
        return self._shots(self._ways(self._filter(task_description)))


def _drawn(among: list, count: int, what: str, name: str) -> list:
    """So many of them, at random, each once."""
    if count > len(among):
        raise QuickstudyError(f"{name}={count}, but there are {len(among)} {what}; give at most {len(among)}")
    return random.sample(among, count)


def _renumbered(numbers: dict[Label, int], example: Any) -> list[Any]:
    if isinstance(example, int):
        raise QuickstudyError("RemapLabels got the place of an example instead of the example; put LoadData before it")
    data, label, *more = example
    return [data, numbers[label.item() if hasattr(label, "item") else label], *more]
