"""Gradient descent, with momentum or Nesterov's."""

from __future__ import annotations

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules.rates import FRACTION, NOT_NEGATIVE, REAL, Rate, at, within
from quickstudy.inner.rules.rule import Rule, State, l2, zeros
from quickstudy.models.functional import Parameters


class SGD(Rule):
    """phi_{k+1} = phi_k - lr b_k with b_k = momentum b_{k-1} + (1 - dampening) g_k, and b_0 = g_0; as `torch.optim.SGD`.

    Nesterov (Sutskever et al. 2013) moves along g_k + momentum b_k. Without momentum b_k is g_k, and nothing is remembered.

    Args:
        weight_decay: of the L2 penalty, whose gradient joins g_k.

    Raises:
        QuickstudyError: a number out of its range, or Nesterov without momentum or with dampening.
    """

    by_element = True

    def __init__(
        self, lr: Rate, *, momentum: Rate = 0.0, dampening: Rate = 0.0, nesterov: bool = False, weight_decay: Rate = 0.0
    ):
        super().__init__()
        self.lr, self.momentum = within(REAL, "lr", lr), within(FRACTION, "momentum", momentum)
        self.dampening, self.nesterov = within(FRACTION, "dampening", dampening), nesterov
        self.weight_decay = within(NOT_NEGATIVE, "weight_decay", weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise QuickstudyError("nesterov=True needs a momentum above 0 and no dampening: give momentum=0.9, for example")

    def init(self, phi: Parameters) -> State:
        """The momentum of each parameter."""
        return {} if self.momentum == 0 else zeros(("momentum",), phi)

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step of descent."""
        moved, new = {}, {}
        for name, g in l2(self.weight_decay, step, phi, gradient).items():
            if self.momentum != 0:
                momentum, kept = at(self.momentum, name, step), 1 if step == 0 else 1 - at(self.dampening, name, step)
                buffer = new[f"momentum/{name}"] = momentum * state[f"momentum/{name}"] + kept * g
                g = g + momentum * buffer if self.nesterov else buffer
            lr = at(self.lr, name, step)
            moved[name] = phi[name] - lr * g if isinstance(lr, torch.Tensor) else torch.sub(phi[name], g, alpha=lr)
        return moved, new
