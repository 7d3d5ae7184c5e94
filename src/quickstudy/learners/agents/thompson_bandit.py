"""Thompson sampling (Thompson 1933)."""

from __future__ import annotations

import torch

from quickstudy.learners.agents.bandit_agent import BanditAgent, Pulled


class ThompsonBandit(BanditAgent):
    """The best arm of a draw from the posterior (Thompson 1933), here Beta(1 + paid, 1 + unpaid)."""

    def pull(self, memory: Pulled, generator: torch.Generator) -> torch.Tensor:
        """One draw each."""
        counts = 1 + torch.stack((memory.paid, memory.pulls - memory.paid), dim=-1)
        # What torch.distributions.Beta calls; of the two, only this takes a generator.
        return torch._sample_dirichlet(counts, generator=generator)[..., 0].argmax(-1)  # type: ignore[attr-defined]
