"""The arm that looks best."""

from __future__ import annotations

import torch

from quickstudy.learners.agents.bandit_agent import BanditAgent, Pulled


class GreedyBandit(BanditAgent):
    """The arm of the largest posterior mean under Beta(1, 1): it never explores for what comes later.

    Of equals it takes the first, be it known or not: 6.57 for 5 arms and 10 pulls, where the least pulled one gets 6.66.
    """

    def pull(self, memory: Pulled, generator: torch.Generator) -> torch.Tensor:
        """Deterministic."""
        return ((memory.paid + 1) / (memory.pulls + 2)).argmax(-1)
