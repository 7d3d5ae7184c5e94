"""Fast context adaptation (CAVIA; Zintgraf, Shiarlis, Kurin, Hofmann and Whiteson 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.device import like
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch


class CAVIA(GradientLearner):
    """MAML whose inner loop moves a context vector alone, from zero; the network is learned by the outer loop.

    phi_{k+1} = phi_k - alpha dL_support(phi_k, theta)/dphi from phi_0 = 0 (equation 3). The network reads the context
    beside its inputs, a tensor `(examples, ..., inputs)`, so its first layer takes `inputs + context` numbers.
    """

    def __init__(self, model: nn.Module, inner_lr: Any = 1.0, outer_lr: float = 0.001, *, context: int = 4, **settings: Any):
        super().__init__(model, inner_lr, outer_lr, **settings)
        self.context = context

    def resolve(self, space: Any) -> list[str]:
        """None of the model's own parameters move."""
        return []

    @property
    def added(self) -> Sequence[str]:
        """The context."""
        return ("context",)

    def start(self, support: Batch) -> Parameters:
        """The context at zero."""
        return {"context": like(self.model).new_zeros(self.context)}

    def call(self, phi: Parameters, inputs: torch.Tensor) -> Any:
        """The network on inputs and context."""
        return self._function({}, torch.cat([inputs, phi["context"].expand(*inputs.shape[:-1], -1)], dim=-1))
