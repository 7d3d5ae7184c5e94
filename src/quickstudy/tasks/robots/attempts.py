"""`Attempts`: episodes of a task that are still to be tried."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from quickstudy.tasks.robots.robot import Robot

if TYPE_CHECKING:
    from quickstudy.learners.adapted import Adapted


@dataclass(frozen=True)
class Attempts:
    """Episodes of one task, each from another start.

    Args:
        robot: whose.
        part: "train" or "test".
        task: its number among those.
        seeds: one an episode.
    """

    robot: Robot
    part: str
    task: int
    seeds: Sequence[tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.seeds)

    def successes(self, adapted: Adapted) -> list[bool]:
        """Whether the task was done at any step, of each episode."""
        return [any(self.steps(adapted, seed)) for seed in self.seeds]

    def steps(self, adapted: Adapted, seed: Sequence[int]) -> Iterator[bool]:
        """One episode: whether the task is done, at its start and after each step.

        It ends where the environment says so, and with an action that is not finite; a warning says where what was observed is
        not, which is no fault of the policy's.
        """
        seen = self.robot.begin(self.part, self.task, seed)
        yield False
        for _ in range(self.robot.horizon):
            predicted = torch.as_tensor(adapted.predict(torch.tensor(seen[None], dtype=torch.float32)))
            action = predicted[0].double().cpu().numpy()
            if not np.isfinite(action).all():
                if not np.isfinite(seen).all():
                    where = f"{self.robot.name}, {self.part} task {self.task}"
                    warnings.warn(f"{where}: what is observed is not finite; the episode counts as failed", stacklevel=2)
                return
            seen, done, over = self.robot.step(action)
            yield done
            if over:
                return
