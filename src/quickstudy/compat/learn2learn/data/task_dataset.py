"""`Taskset`: tasks that are drawn from a dataset by a list of transforms."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.utils.data import Dataset, default_collate

from quickstudy.compat.learn2learn.data.meta_dataset import MetaDataset
from quickstudy.errors import QuickstudyError


@dataclass
class DataDescription:
    """One example of a task: its place in the dataset, and the functions that make of it what the task holds."""

    index: int
    transforms: list[Callable[[Any], Any]] = field(default_factory=list)


TaskDescription = list[DataDescription]
TaskTransforms = Callable[[Any], TaskDescription] | Sequence[Callable[[Any], TaskDescription]]


class Taskset(Dataset):
    """Tasks by number, each drawn when it is first asked for; its description is kept, so that it stays the same.

    Randomness is Python's own (`random.seed`).

    Args:
        dataset: of the examples.
        task_transforms: functions from a description (None: not yet drawn) to a description, in turn; or one such function.
        num_tasks: how many there are. -1: another one each time, without an end, and a length of 1.
        task_collate: makes a task of the list of its examples. None: torch's `default_collate`.

    Raises:
        QuickstudyError: another number of tasks.
    """

    def __init__(
        self,
        dataset: Dataset,
        task_transforms: TaskTransforms | None = None,
        num_tasks: int = -1,
        task_collate: Callable[[list], Any] | None = None,
    ):
        if num_tasks < -1 or num_tasks == 0:
            raise QuickstudyError(f"num_tasks={num_tasks}: give a number of at least 1, or -1 for tasks without an end")
        self.dataset = dataset if isinstance(dataset, MetaDataset) else MetaDataset(dataset)
        self.task_transforms: TaskTransforms = task_transforms or []
        self.num_tasks, self.task_collate = num_tasks, task_collate or default_collate
        self.sampled_descriptions: dict[int, TaskDescription] = {}

    def sample_task_description(self) -> TaskDescription:
        """Draws the description of a task."""
        steps = [self.task_transforms] if callable(self.task_transforms) else self.task_transforms
        description: Any = None if steps else [DataDescription(index) for index in range(len(self.dataset))]
        for step in steps:
            description = step(description)
        return description

    def get_task(self, task_description: TaskDescription) -> Any:
        """The task of this description: its examples, collated."""
        examples = []
        for described in task_description:
            example: Any = described.index
            for transform in described.transforms:
                example = transform(example)
            examples.append(example)
        return self.task_collate(examples)

    def sample(self) -> Any:
        """A task at random."""
        return self[random.randint(0, len(self) - 1)]

    def __len__(self) -> int:
        return 1 if self.num_tasks == -1 else self.num_tasks

    def __getitem__(self, i: int) -> Any:
        if self.num_tasks == -1:
            return self.get_task(self.sample_task_description())
        if not 0 <= i < self.num_tasks:
            raise IndexError(f"the taskset has {self.num_tasks} tasks, from 0 to {self.num_tasks - 1}; there is none at {i}")
        if i not in self.sampled_descriptions:
            self.sampled_descriptions[i] = self.sample_task_description()
        return self.get_task(self.sampled_descriptions[i])

    def __iter__(self) -> Iterator[Any]:
        i = 0
        while self.num_tasks == -1 or i < self.num_tasks:
            yield self[i]
            i += 1


TaskDataset = Taskset
"""Its name before 0.2."""
