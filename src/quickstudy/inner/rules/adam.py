"""Adam, and AdamW beside it."""

from __future__ import annotations

from quickstudy.inner.rules.rates import FRACTION, NOT_NEGATIVE, REAL, Rate, at, positive, product, within
from quickstudy.inner.rules.rule import Rule, State, l2, zeros
from quickstudy.models.functional import Parameters


class Adam(Rule):
    """Adam (Kingma and Ba 2015, algorithm 1), differentiable at any gradient; `torch.optim.Adam` but for its root.

    m_k = beta1 m_{k-1} + (1 - beta1) g_k,  v_k = beta2 v_{k-1} + (1 - beta2) g_k^2,  both divided by 1 - prod_j beta_j,
    phi_{k+1} = phi_k - lr m_k / sqrt(v_k + eps^2).

    The root is sqrt(v + eps^2) in the place of sqrt(v) + eps: where a first gradient is exactly zero (LoRA's A while B
    is zero) the usual form has no derivative. A step is longer than the usual one, by a share below eps / sqrt(v). At a
    first gradient of exactly zero its derivative is lr / eps: finite, and large where eps is small.

    Args:
        weight_decay: of the L2 penalty, whose gradient joins g_k.

    Raises:
        QuickstudyError: a number out of its range; eps of 0 is.
    """

    by_element = True

    def __init__(self, lr: Rate, *, betas: tuple[Rate, Rate] = (0.9, 0.999), eps: float = 1e-8, weight_decay: Rate = 0.0):
        super().__init__()
        self.lr, self.eps = within(REAL, "lr", lr), positive("eps", eps)
        self.beta1, self.beta2 = (within(FRACTION, f"beta{i}", beta) for i, beta in enumerate(betas, 1))
        self.weight_decay = within(NOT_NEGATIVE, "weight_decay", weight_decay)

    def init(self, phi: Parameters) -> State:
        """First and second moments, at zero."""
        return zeros(("m", "v"), phi)

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step, with both moments corrected for their start at zero."""
        directions, new = self._directions(step, state, l2(self.weight_decay, step, phi, gradient))
        return {name: value - at(self.lr, name, step) * directions[name] for name, value in phi.items()}, new

    def _directions(self, step: int, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        directions, new = {}, {}
        for name, g in gradient.items():
            beta1, beta2 = at(self.beta1, name, step), at(self.beta2, name, step)
            m = new[f"m/{name}"] = state[f"m/{name}"].lerp(g, 1 - beta1)
            v = new[f"v/{name}"] = state[f"v/{name}"].lerp(g.square(), 1 - beta2)
            first, second = 1 - product(self.beta1, name, step), 1 - product(self.beta2, name, step)
            directions[name] = (m / first) / (v / second + self.eps**2).sqrt()
        return directions, new


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): phi_{k+1} = (1 - lr decay) phi_k - lr m_k / root."""

    def __init__(self, lr: Rate, *, betas: tuple[Rate, Rate] = (0.9, 0.999), eps: float = 1e-8, weight_decay: Rate = 0.01):
        super().__init__(lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step of Adam along the plain gradient, from parameters that shrank."""
        directions, new = self._directions(step, state, gradient)
        moved = {}
        for name, value in phi.items():
            lr, decay = at(self.lr, name, step), at(self.weight_decay, name, step)
            moved[name] = value * (1 - lr * decay) - lr * directions[name]
        return moved, new
