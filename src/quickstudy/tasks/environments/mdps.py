"""Tabular Markov decision processes (Duan et al. 2016, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments.environment import Tensors
from quickstudy.tasks.environments.spaces import Discrete


@dataclass(frozen=True)
class MDPs:
    """Transitions from a flat Dirichlet(1) prior; rewards N(mean, 1) by state and action, with means from N(1, 1).

    An episode begins in state 0 and has `horizon` steps; the state is observed one-hot.

    Raises:
        QuickstudyError: no states, actions or steps.
    """

    states: int = 10
    actions: int = 5
    horizon: int = 10

    def __post_init__(self):
        for name in ("states", "actions", "horizon"):
            if getattr(self, name) < 1:
                raise QuickstudyError(f"{name}={getattr(self, name)}: give at least 1")

    @property
    def observation(self) -> int:
        """The states."""
        return self.states

    @property
    def action(self) -> Discrete:
        """The actions."""
        return Discrete(self.actions)

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """`means` of rewards `(trials, states, actions)`, and `transitions`, added up: `(trials, states, actions, states)`."""
        shape = trials, self.states, self.actions
        # Dirichlet(1): exponential variables over their sum.
        waits = torch.empty(*shape, self.states).exponential_(generator=generator)
        return {
            "means": 1 + torch.randn(shape, generator=generator),
            "transitions": (waits / waits.sum(-1, keepdim=True)).cumsum(-1),
        }

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """State 0."""
        state = torch.zeros(len(tasks["means"]), dtype=torch.long)
        return state, self._seen(state)

    def step(self, tasks: Tensors, state: torch.Tensor, actions: torch.Tensor, generator: torch.Generator):
        """A transition; an episode is over by its horizon alone."""
        rows = torch.arange(len(state))
        reward = tasks["means"][rows, state, actions] + torch.randn(len(state), generator=generator)
        drawn = torch.rand(len(state), 1, generator=generator)
        below = tasks["transitions"][rows, state, actions, :-1] <= drawn  # the last one is 1, but for rounding
        state = below.sum(-1)
        return state, self._seen(state), reward, torch.zeros(len(state), dtype=torch.bool)

    def _seen(self, state: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(state, self.states).float()
