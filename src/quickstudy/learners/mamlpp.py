"""MAML++ (Antoniou, Edwards and Storkey 2019)."""

from __future__ import annotations

from typing import Any

from torch import nn

from quickstudy.inner.rules import Rates
from quickstudy.learners.gradient import GradientLearner


class MAMLpp(GradientLearner):
    """MAML with what makes it stable: multi-step loss, cheap gradients first, rates for each layer and step.

    The query loss counts after every step, sum_k v_k L_query(phi_k) (equation 4); the weights v_k go from equal to the last
    step alone while training passes from 0 to `multi_step`. The gradient is of first order until `first_order_until`. The
    sixth of the paper's changes, a cosine outer rate, is the recipe's: `outer: {schedule: cosine}`; batch normalisation is the
    model's own (the published code normalises with the batch at hand, in training and after).

    Args:
        multi_step: share of training after which the last step alone counts (the published settings: 10 of 100 epochs).
        first_order_until: share of training before which second-order terms are left out (section 4: 50 of 100 or 150).
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.01,
        outer_lr: float = 0.001,
        *,
        inner_steps: int = 5,
        multi_step: float = 0.1,
        first_order_until: float = 0.3,
        **settings: Any,
    ):
        rates = Rates(inner_lr, per="layer", steps=max(1, inner_steps))
        super().__init__(model, rates, outer_lr, inner_steps=inner_steps, **settings)
        self.multi_step, self.first_order_until = multi_step, first_order_until

    def step_weights(self) -> list[float]:
        """The v_k at this point of training; before the last step never below 0.03 / K, as published, until they are none."""
        steps = max(1, self.inner_steps)
        if self.progress >= self.multi_step:
            return [0.0] * (steps - 1) + [1.0]
        early = max(1 - self.progress / self.multi_step, 0.03) / steps
        return [early] * (steps - 1) + [1 - (steps - 1) * early]

    @property
    def second_order(self) -> bool:
        """Exact from `first_order_until` on."""
        return super().second_order and self.progress >= self.first_order_until
