"""Actions at random: what every other agent has to beat."""

from __future__ import annotations

import math

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Agent
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.environment import Environment
from quickstudy.tasks.environments.spaces import Box, Discrete


class RandomAgent(Agent):
    """Uniform over what may be done; standard normal where a `Box` has no bounds. It learns nothing.

    Raises:
        QuickstudyError: actions that are neither of a `Discrete` nor of a `Box`.
    """

    def __init__(self, environment: Environment):
        super().__init__()
        if not isinstance(environment.action, (Discrete, Box)):
            raise QuickstudyError(
                f"RandomAgent draws from a Discrete or a Box, and an action of {type(environment).__name__} is "
                f"a {type(environment.action).__name__}; write its draw as an Agent of your own"
            )
        self.environment = environment

    def begin(self, support: Batch) -> torch.Generator:
        """Its chance is all that it remembers."""
        return torch.Generator().manual_seed(support.seed)

    def choose(self, memory: torch.Generator, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Generator]:
        """Whatever was seen."""
        action, generator = self.environment.action, memory.clone_state()
        if isinstance(action, Discrete):
            return torch.randint(action.count, (len(seen),), generator=generator), generator
        shape = len(seen), action.dim
        if math.isfinite(action.high - action.low):
            return action.low + (action.high - action.low) * torch.rand(shape, generator=generator), generator
        return torch.randn(shape, generator=generator), generator

    def told(self, memory: torch.Generator, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> torch.Generator:
        """Whatever came of it."""
        return memory
