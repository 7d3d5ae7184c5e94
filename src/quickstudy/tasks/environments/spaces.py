"""`Discrete` and `Box`: what an agent may do, and the distributions over it that a policy's outputs mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

STD = 0.2, 2.7
"""The least and the largest deviation of real-valued actions, unless a `Box` says otherwise."""


@dataclass(frozen=True)
class Discrete:
    """One of `count` actions, `(...)` of int64; a policy gives their logits, `(..., count)`."""

    count: int

    @property
    def outputs(self) -> int:
        """Numbers that a policy gives."""
        return self.count

    @property
    def width(self) -> int:
        """Numbers that say which action was taken."""
        return self.count

    def encode(self, actions: torch.Tensor) -> torch.Tensor:
        """One-hot, `(..., count)`; zeros for -1, no action yet."""
        return F.one_hot(actions + 1, self.count + 1)[..., 1:].float()

    def none(self, trials: int) -> torch.Tensor:
        """No action yet, `(trials,)`."""
        return torch.full((trials,), -1)

    def sample(self, outputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """An action each, of outputs `(trials, count)`."""
        return torch.multinomial(outputs.softmax(-1), 1, generator=generator).squeeze(-1)

    def mode(self, outputs: torch.Tensor) -> torch.Tensor:
        """The most likely actions."""
        return outputs.argmax(-1)

    def log_prob(self, outputs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Of these actions."""
        return outputs.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self, outputs: torch.Tensor) -> torch.Tensor:
        """Of the distributions, in nats."""
        logs = outputs.log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)


@dataclass(frozen=True)
class Box:
    """Real numbers `(..., dim)`, cut to [low, high]; a policy gives means, and what makes deviations, `(..., 2 dim)`.

    Args:
        std: the least and the largest deviation. The gradient of a log-probability grows as 1 / std^2.
    """

    dim: int
    low: float = -math.inf
    high: float = math.inf
    std: tuple[float, float] = STD

    @property
    def outputs(self) -> int:
        """Numbers that a policy gives."""
        return 2 * self.dim

    @property
    def width(self) -> int:
        """Numbers that say which action was taken."""
        return self.dim

    def encode(self, actions: torch.Tensor) -> torch.Tensor:
        """The actions themselves."""
        return actions

    def none(self, trials: int) -> torch.Tensor:
        """No action yet, `(trials, dim)`."""
        return torch.zeros(trials, self.dim)

    def sample(self, outputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """An action each; the environment cuts it, so that its probability is that of a normal variable."""
        mean, std = self._normal(outputs)
        return mean + std * torch.randn(mean.shape, generator=generator)

    def mode(self, outputs: torch.Tensor) -> torch.Tensor:
        """The most likely actions."""
        return self._normal(outputs)[0]

    def log_prob(self, outputs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Of these actions."""
        mean, std = self._normal(outputs)
        return (-0.5 * ((actions - mean) / std).square() - std.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self, outputs: torch.Tensor) -> torch.Tensor:
        """Of the distributions, in nats."""
        return (self._normal(outputs)[1].log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def _normal(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, spread = outputs.chunk(2, dim=-1)
        low, high = map(math.log, self.std)
        return mean, (low + (high - low) * spread.sigmoid()).exp()


Space = Discrete | Box
