"""RMSprop."""

from __future__ import annotations

from quickstudy.inner.rules.rates import FRACTION, NOT_NEGATIVE, REAL, Rate, at, positive, within
from quickstudy.inner.rules.rule import Rule, State, l2, zeros
from quickstudy.models.functional import Parameters


class RMSprop(Rule):
    """RMSprop (Tieleman and Hinton 2012, lecture 6.5), differentiable at any gradient; `torch.optim.RMSprop` but for its root.

    v_k = alpha v_{k-1} + (1 - alpha) g_k^2,  b_k = momentum b_{k-1} + g_k / sqrt(v_k + eps^2),  phi_{k+1} = phi_k - lr b_k.

    The root is that of `Adam`, for the same reason. Centred (Graves 2013), v is the variance, v - mean^2; it is followed
    by itself, v_k = alpha (v_{k-1} + (1 - alpha) (g_k - mean_{k-1})^2), which is equal and cannot round below zero.

    Args:
        weight_decay: of the L2 penalty, whose gradient joins g_k.

    Raises:
        QuickstudyError: a number out of its range; eps of 0 is.
    """

    by_element = True

    def __init__(
        self,
        lr: Rate,
        *,
        alpha: Rate = 0.99,
        eps: float = 1e-8,
        momentum: Rate = 0.0,
        centered: bool = False,
        weight_decay: Rate = 0.0,
    ):
        super().__init__()
        self.lr, self.alpha, self.eps = within(REAL, "lr", lr), within(FRACTION, "alpha", alpha), positive("eps", eps)
        self.momentum, self.centered = within(FRACTION, "momentum", momentum), centered
        self.weight_decay = within(NOT_NEGATIVE, "weight_decay", weight_decay)

    def init(self, phi: Parameters) -> State:
        """Running averages and the momentum, at zero."""
        return zeros(("v", *(("mean",) if self.centered else ()), *(() if self.momentum == 0 else ("momentum",))), phi)

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step along the gradient over its running size."""
        moved, new = {}, {}
        for name, g in l2(self.weight_decay, step, phi, gradient).items():
            alpha, v = at(self.alpha, name, step), state[f"v/{name}"]
            if self.centered:
                mean = state[f"mean/{name}"]
                v = alpha * (v + (1 - alpha) * (g - mean).square())
                new[f"mean/{name}"] = mean.lerp(g, 1 - alpha)
            else:
                v = v.lerp(g.square(), 1 - alpha)
            new[f"v/{name}"] = v
            direction = g / (v + self.eps**2).sqrt()
            if self.momentum != 0:
                direction = at(self.momentum, name, step) * state[f"momentum/{name}"] + direction
                new[f"momentum/{name}"] = direction
            moved[name] = phi[name] - at(self.lr, name, step) * direction
        return moved, new
