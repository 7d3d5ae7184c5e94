"""Clipping the gradient before any rule sees it."""

from __future__ import annotations

import torch

from quickstudy.inner.rules.rates import positive
from quickstudy.inner.rules.rule import OnGradient, Rule
from quickstudy.models.functional import Parameters


class ClipNorm(OnGradient):
    """The rule with g min(1, norm / (|g| + 1e-6)), |g| over the whole space; as `torch.nn.utils.clip_grad_norm_`.

    The one rule here that is not elementwise: each parameter's step depends on every gradient, and the pull-back knows.

    Raises:
        QuickstudyError: a norm that is not above 0.
    """

    def __init__(self, rule: Rule, norm: float):
        super().__init__(rule)
        self.norm = positive("norm", norm)

    def change(self, gradient: Parameters) -> Parameters:
        """Scaled down as a whole."""
        sizes = torch.stack([torch.linalg.vector_norm(g) for g in gradient.values()])
        scale = (self.norm / (torch.linalg.vector_norm(sizes) + 1e-6)).clamp(max=1)
        return {name: scale * g for name, g in gradient.items()}


class ClipValue(OnGradient):
    """The rule with each element of g cut to [-value, value]; as `torch.nn.utils.clip_grad_value_`.

    Raises:
        QuickstudyError: a value that is not above 0.
    """

    by_element = True

    def __init__(self, rule: Rule, value: float):
        super().__init__(rule)
        self.value = positive("value", value)

    def change(self, gradient: Parameters) -> Parameters:
        """Cut, element by element."""
        return {name: g.clamp(-self.value, self.value) for name, g in gradient.items()}
