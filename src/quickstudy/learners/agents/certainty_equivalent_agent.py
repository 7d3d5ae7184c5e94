"""Certainty equivalence: what is expected is taken for certain."""

from __future__ import annotations

import torch

from quickstudy.learners.agents.planning_agent import Lived, PlanningAgent, posterior


class CertaintyEquivalentAgent(PlanningAgent):
    """An episode is played as is best in the MDP that is expected: it never explores for what comes later."""

    def believe(self, memory: Lived, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean of the posterior."""
        means, transitions = posterior(memory)
        return means, transitions / transitions.sum(-1, keepdim=True)
