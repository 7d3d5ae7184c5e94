"""Posterior sampling for reinforcement learning (Strens 2000; Osband, Russo and Van Roy 2013)."""

from __future__ import annotations

import torch

from quickstudy.learners.agents.planning_agent import Lived, PlanningAgent, posterior


class PSRLAgent(PlanningAgent):
    """Posterior sampling: an episode is played as is best in an MDP that is drawn (Strens 2000; Osband et al. 2013)."""

    def believe(self, memory: Lived, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """A draw from the posterior."""
        means, transitions = posterior(memory)
        rewards = means + torch.randn(means.shape, generator=generator) / (1 + memory.visits).sqrt()
        # What torch.distributions.Dirichlet calls; of the two, only this takes a generator.
        return rewards, torch._sample_dirichlet(transitions, generator=generator)  # type: ignore[attr-defined]
