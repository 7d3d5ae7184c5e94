"""`Attempts`: episodes of a task that are still to be tried."""

from __future__ import annotations

from collections.abc import Sequence
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
        """Whether the task was done at any step, of each episode; an action that is not a number ends it."""
        return [self._succeeds(adapted, seed) for seed in self.seeds]

    def _succeeds(self, adapted: Adapted, seed: tuple[int, ...]) -> bool:
        seen = self.robot.begin(self.part, self.task, seed)
        for _ in range(self.robot.horizon):
            predicted = torch.as_tensor(adapted.predict(torch.tensor(seen[None], dtype=torch.float32)))
            action = predicted[0].double().cpu().numpy()
            if not np.isfinite(action).all():
                return False
            seen, succeeded, over = self.robot.step(action)
            if succeeded or over:
                return succeeded
        return False
