"""`Environment`: what an agent acts in; many of its tasks at once, in tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from quickstudy.tasks.environments.spaces import Space

Tensors = dict[str, torch.Tensor]
"""What distinguishes tasks from each other, `(trials, ...)` each."""


@dataclass(frozen=True)
class Interface:
    """What a policy has to know of an environment, with none of its tasks at hand.

    Args:
        observation: numbers in an observation.
        action: what an agent may do.
    """

    observation: int
    action: Space


class Environment(Protocol):
    """A family of tasks to act in. It holds no state: `reset` and `step` give what the next step needs.

    Attributes:
        observation: numbers in an observation; may be 0.
        action: what an agent may do.
        horizon: steps of an episode at most.
    """

    @property
    def observation(self) -> int: ...

    @property
    def action(self) -> Space: ...

    @property
    def horizon(self) -> int: ...

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """Tasks, drawn independently."""
        ...

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[Any, torch.Tensor]:
        """Begins an episode of every trial: state, and observations `(trials, observation)`."""
        ...

    def step(
        self, tasks: Tensors, state: Any, actions: torch.Tensor, generator: torch.Generator
    ) -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
        """State, observations, rewards `(trials,)`, and whether an episode is over `(trials,)`.

        What a trial does after the end of its episode, before all of them begin the next one, counts for nothing.
        """
        ...
