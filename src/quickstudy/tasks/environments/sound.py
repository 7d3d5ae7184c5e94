"""`Sound`: an environment some of whose trials may break."""

from __future__ import annotations

from typing import Any

import torch

from quickstudy.tasks.environments.environment import Environment, Tensors


class Sound:
    """Another environment; an episode in which a number is not finite is over with that, and noted.

    Attributes:
        broken: of which trials the last episode was, `(trials,)`.
    """

    def __init__(self, its: Environment):
        self.its, self.name = its, getattr(its, "name", type(its).__name__)
        self.observation, self.action, self.horizon = its.observation, its.action, its.horizon
        self.broken = self._over = torch.zeros(0, dtype=torch.bool)

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """The other's."""
        return self.its.draw(trials, generator)

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[Any, torch.Tensor]:
        """Begins anew; nothing is broken but what begins broken."""
        state, seen = self.its.reset(tasks, generator)
        self.broken = self._over = ~torch.isfinite(seen).all(1)
        return state, self._mended(seen)

    def step(self, tasks: Tensors, state: Any, actions: torch.Tensor, generator: torch.Generator):
        """The other's; what is broken sees and earns zeros."""
        state, seen, reward, done = self.its.step(tasks, state, actions, generator)
        sound = torch.isfinite(seen).all(1) & torch.isfinite(reward)
        self.broken = self.broken | ~(sound | self._over)  # what comes after the end of an episode counts for nothing
        self._over = self._over | done | self.broken
        return state, self._mended(seen), self._mended(reward), done | self.broken

    def _mended(self, values: torch.Tensor) -> torch.Tensor:
        return torch.nan_to_num(values, 0.0, 0.0, 0.0)
