"""Learned weights of the support's examples (Meta-Weight-Net; Shu et al. 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from quickstudy.inner.losses import total
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.device import like
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch


class ExampleWeights(GradientLearner):
    """MAML that learns, beside the initialisation, how much an example with a given loss should count in the inner loop.

    The inner loss is 1/n sum_i V(l_i) l_i with V a small network from an example's loss to its weight, 0 to 2 (equations 3
    and 4); the outer loss is the query's, unweighted. So examples that contradict their label can be made to count less.
    V is differentiated where the paper holds it constant: so the inner step descends a loss, and its gradient is exact.

    Args:
        width: units of V's hidden layer (the paper: 100).
    """

    def __init__(self, model: nn.Module, inner_lr: Any = 0.01, outer_lr: float = 0.001, *, width: int = 100, **settings: Any):
        super().__init__(model, inner_lr, outer_lr, **settings)
        # unit hinges spread over losses from 0 to 5, all without a say at first: every example counts 1
        self.hinges = nn.Parameter(torch.linspace(0, 5, width).to(like(model)))
        self.slopes = nn.Parameter(like(model).new_zeros(width))
        self.level = nn.Parameter(like(model).new_zeros(()))

    def weight(self, losses: torch.Tensor, seen: torch.Tensor | float = 0.0) -> torch.Tensor:
        """V: how much examples with these losses count, `(examples,)`.

        Args:
            seen: what its units see beside the loss, `(examples, width)`.
        """
        return 2 * torch.sigmoid(self.level + torch.tanh(losses.unsqueeze(-1) - self.hinges + seen) @ self.slopes)

    def weights(self, losses: torch.Tensor, batch: Batch) -> torch.Tensor:
        """How much these examples count, which have these losses now."""
        return self.weight(losses)

    def inner_objective(self, phi: Parameters, batch: Batch, whole: bool) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The support's loss with every value weighed."""

        def weighed(output: Any, targets: Any) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
            found = self.loss(output, targets)
            values, counts = found if isinstance(found, tuple) else (found, None)
            values = self.weights(values, batch) * values
            return values if counts is None else (values, counts)

        return total(weighed, self.call(phi, batch.inputs), batch.targets, whole=whole)
