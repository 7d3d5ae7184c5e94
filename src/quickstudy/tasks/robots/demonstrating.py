"""`demonstrate`: an expert shows a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.robot import Robot

Spoilt = Literal["failed", "not finite"]
"""Why a demonstration is of no use."""


def demonstrate(
    robot: Robot, part: str, task: int, *, steps: int, noise: float = 0.0, seed: Sequence[int] = (0,)
) -> Batch | Spoilt:
    """Observations `(steps, numbers)`, and what the expert does at each, `(steps, numbers)`.

    Noise goes to the robot and not into what is learned from: so a demonstration shows how one finds back (Laskey et al. 2017).

    Args:
        part: "train" or "test".
        task: its number among those.
        steps: recorded, also after the task is done; fewer where the episode is over.
        noise: standard deviation of what is added to each number of an action.
        seed: of the start and the noise.
    """
    noisy, seen = np.random.default_rng((*seed, 1)), robot.begin(part, task, (*seed, 0))
    observations, actions, done = [], [], False
    for _ in range(steps):
        action = robot.shown(seen)
        if not (np.isfinite(seen).all() and np.isfinite(action).all()):
            return "not finite"
        observations.append(seen)
        actions.append(action)
        seen, succeeded, over = robot.step(action + noise * noisy.standard_normal(action.shape))
        done = done or succeeded
        if over:
            break
    if not done:
        return "failed"
    return Batch(_tensor(observations), _tensor(actions))


def _tensor(rows: list[np.ndarray]) -> torch.Tensor:
    return torch.tensor(np.array(rows), dtype=torch.float32)
