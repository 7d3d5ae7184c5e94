"""Clipping the gradient before any rule sees it."""

from __future__ import annotations

import torch

from quickstudy.inner.rules.rates import positive
from quickstudy.inner.rules.rule import Rule, State
from quickstudy.models.functional import Parameters


class ClipNorm(Rule):
    """The rule with g min(1, norm / (|g| + 1e-6)), |g| over the whole space; as `torch.nn.utils.clip_grad_norm_`.

    The one rule here that is not elementwise: each parameter's step depends on every gradient, and the pull-back knows.

    Raises:
        QuickstudyError: a norm that is not above 0.
    """

    def __init__(self, rule: Rule, norm: float):
        super().__init__()
        self.rule, self.norm = rule, positive("norm", norm)

    def init(self, phi: Parameters) -> State:
        """The rule's own."""
        return self.rule.init(phi)

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step of the rule along the scaled gradient."""
        sizes = torch.stack([torch.linalg.vector_norm(g) for g in gradient.values()])
        scale = (self.norm / (torch.linalg.vector_norm(sizes) + 1e-6)).clamp(max=1)
        return self.rule.update(step, phi, state, {name: scale * g for name, g in gradient.items()})


class ClipValue(Rule):
    """The rule with each element of g cut to [-value, value]; as `torch.nn.utils.clip_grad_value_`.

    Raises:
        QuickstudyError: a value that is not above 0.
    """

    def __init__(self, rule: Rule, value: float):
        super().__init__()
        self.rule, self.value = rule, positive("value", value)

    def init(self, phi: Parameters) -> State:
        """The rule's own."""
        return self.rule.init(phi)

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step of the rule along the cut gradient."""
        return self.rule.update(step, phi, state, {name: g.clamp(-self.value, self.value) for name, g in gradient.items()})
