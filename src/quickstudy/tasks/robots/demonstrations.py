"""`Demonstrations`: a source of tasks; each is to do what one demonstration shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.attempts import Attempts
from quickstudy.tasks.robots.robot import Robot
from quickstudy.tasks.task import Task

FLOOR = 0.01
"""The least scale of a number in an observation, beside the largest: what hardly ever moves is not blown up."""

ATTEMPTS = 2
"""In the seed of an attempt, where that of a demonstration has 0 or 1."""


@dataclass(frozen=True)
class Demonstrations:
    """Demonstrations by task.

    Args:
        tasks: by a task's number, its demonstrations: observations `(steps, numbers)`, and the actions `(steps, numbers)`.
        robot: whose, by name.
        part: which of its tasks: "train" or "test".

    Raises:
        QuickstudyError: no demonstration, or some that are not of the same robot.
    """

    tasks: Mapping[int, list[Batch]]
    robot: str
    part: str = "train"

    def __post_init__(self):
        every = [(task, each) for task, several in self.tasks.items() for each in several]
        if not every:
            raise QuickstudyError(f"there is no {self.part} demonstration of {self.robot}; record some")
        for task, each in every:
            if _numbers(each) != self.numbers:
                raise QuickstudyError(
                    f"a demonstration of {self.robot}, {self.part} task {task}, has {_said(_numbers(each))}, and the first has "
                    f"{_said(self.numbers)}; they are not of the same robot: record them apart"
                )

    def __len__(self) -> int:
        return sum(map(len, self.tasks.values()))

    @cached_property
    def numbers(self) -> tuple[int, int]:
        """How many an observation has, and how many an action."""
        return next(_numbers(each) for several in self.tasks.values() for each in several)

    @cached_property
    def spread(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and scale of each number in an observation, `(numbers,)`."""
        seen = torch.cat([each.inputs for several in self.tasks.values() for each in several])
        deviation = seen.std(dim=0)
        return seen.mean(dim=0), deviation.clamp(min=max(FLOOR * deviation.max().item(), 1e-6))

    def only(self, tasks: Collection[int]) -> Demonstrations:
        """Those of these tasks."""
        return replace(self, tasks={task: several for task, several in self.tasks.items() if task in tasks})

    def draw(self, generator: np.random.Generator, shots: int, queries: int) -> tuple[Batch, Batch]:
        """Demonstrations of one task to learn from, and others of it; steps of several one after the other.

        Raises:
            QuickstudyError: no task has as many.
        """
        enough = [several for several in self.tasks.values() if len(several) >= shots + queries]
        if not enough:
            most = max(map(len, self.tasks.values()))
            raise QuickstudyError(
                f"{shots} shots and {queries} queries ask for {shots + queries} demonstrations of a task, and no {self.part} "
                f"task of {self.robot} has more than {most}; record more of each, or ask for fewer"
            )
        several = enough[generator.integers(len(enough))]
        chosen = [several[i] for i in generator.permutation(len(several))[: shots + queries]]
        return _joined(chosen[:shots]), _joined(chosen[shots:])

    def attempts(self, robot: Robot, *, shots: int = 1, episodes: int = 3, seed: int = 0) -> list[Task]:
        """Each task as one to be tried: learned from its first demonstrations, and judged by how often the robot does it.

        Args:
            episodes: of each task, from starts that the seed decides.

        Raises:
            QuickstudyError: the robot is another than the one that was shown the tasks.
        """
        if robot.numbers != self.numbers:
            raise QuickstudyError(
                f"{robot.name} has {_said(robot.numbers)}, and the demonstrations of {self.robot} {_said(self.numbers)}; "
                "give the robot that they were recorded with"
            )
        if robot.name != self.robot:
            raise QuickstudyError(
                f"the demonstrations are of {self.robot}, not of {robot.name}; give the robot that they were recorded with"
            )
        return [
            Task(
                _joined(several[:shots]),
                Batch(Attempts(robot, self.part, task, [(seed, ATTEMPTS, task, i) for i in range(episodes)])),
                seed=task,
            )
            for task, several in self.tasks.items()
            if len(several) >= shots
        ]


def _numbers(each: Batch) -> tuple[int, int]:
    return each.inputs.shape[1], each.targets.shape[1]


def _said(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]} numbers in an observation and {numbers[1]} in an action"


def _joined(several: list[Batch]) -> Batch:
    if len(several) == 1:
        return several[0]
    return Batch(torch.cat([each.inputs for each in several]), torch.cat([each.targets for each in several]))
