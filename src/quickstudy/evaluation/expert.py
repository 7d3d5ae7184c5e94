"""`Expert`: the one who shows, as one that is judged."""

from __future__ import annotations

from typing import Any

import torch

from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.robot import Robot


class Expert(Learner):
    """Knows the task, which is hidden from all others: what can be hoped for.

    Args:
        robot: whose expert.
    """

    def __init__(self, robot: Robot):
        super().__init__()
        self.robot = robot

    def adapt(self, support: Batch) -> Adapted:
        """Learns nothing."""
        return _Knowing(self.robot)


class _Knowing(Adapted):
    def __init__(self, robot: Robot):
        self.robot = robot

    def predict(self, inputs: Any) -> torch.Tensor:
        return torch.tensor(self.robot.shown(inputs[0].double().numpy()))[None]
