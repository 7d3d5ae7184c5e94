"""Multi-armed bandits (Duan et al. 2016, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments.environment import Tensors
from quickstudy.tasks.environments.spaces import Discrete


@dataclass(frozen=True)
class Bandits:
    """Arms that pay 1 with a probability of their own, uniform on [0, 1], and 0 otherwise; an episode is one pull.

    There is nothing to observe but what a pull paid.

    Raises:
        QuickstudyError: fewer arms than 2.
    """

    arms: int = 5

    def __post_init__(self):
        if self.arms < 2:
            raise QuickstudyError(f"arms={self.arms}: there is nothing to choose from; give at least 2")

    observation = 0
    horizon = 1

    @property
    def action(self) -> Discrete:
        """Which arm is pulled."""
        return Discrete(self.arms)

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """`{"arms": (trials, arms)}`, the probabilities."""
        return {"arms": torch.rand(trials, self.arms, generator=generator)}

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[None, torch.Tensor]:
        """Nothing to observe."""
        return None, torch.zeros(len(tasks["arms"]), 0)

    def step(self, tasks: Tensors, state: None, actions: torch.Tensor, generator: torch.Generator):
        """A pull."""
        arms = tasks["arms"]
        paid = torch.rand(len(arms), generator=generator) < arms.gather(1, actions[:, None]).squeeze(1)
        return None, torch.zeros(len(arms), 0), paid.float(), torch.ones(len(arms), dtype=torch.bool)
