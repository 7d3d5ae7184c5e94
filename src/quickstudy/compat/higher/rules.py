"""torch's optimizers, differentiable: each step is theirs, element by element, and each setting may be a tensor.

These are not the rules of `inner/rules`: those keep away from a root at zero by sqrt(v + eps^2), and these have to be equal to
torch's sqrt(v) + eps for any eps; they go on from a state that torch's optimizer left.
"""

from __future__ import annotations

from typing import Any

import torch

from quickstudy.compat.higher.optimizer import DifferentiableOptimizer

Settings = dict[str, Any]


class DifferentiableSGD(DifferentiableOptimizer):
    """p - lr b with b = momentum b + (1 - dampening) g, and b = g at first; Nesterov moves along g + momentum b."""

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step of descent."""
        g, momentum = _l2(g, p, group), group["momentum"]
        if _counts(momentum):
            b = state.get("momentum_buffer")
            b = state["momentum_buffer"] = g if b is None else momentum * b + (1 - group["dampening"]) * g
            g = g + momentum * b if group["nesterov"] else b
        return p - group["lr"] * g


class DifferentiableAdam(DifferentiableOptimizer):
    """m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, both corrected for their start; p - lr m / (sqrt(v) + eps)."""

    decoupled = False

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step of Adam, or of AMSGrad, which divides by the largest v so far."""
        (beta1, beta2), lr = group["betas"], group["lr"]
        if self.decoupled or group.get("decoupled_weight_decay"):
            p = p * (1 - lr * group["weight_decay"])
        else:
            g = _l2(g, p, group)
        step = state["step"] = state.get("step", 0) + 1
        m = state["exp_avg"] = beta1 * state.get("exp_avg", 0) + (1 - beta1) * g
        v = state["exp_avg_sq"] = beta2 * state.get("exp_avg_sq", 0) + (1 - beta2) * g.square()
        if group["amsgrad"]:
            before = state.get("max_exp_avg_sq")
            v = state["max_exp_avg_sq"] = v if before is None else torch.maximum(before, v)
        root = _root(v) / (1 - beta2**step) ** 0.5 + group["eps"]
        return p - lr / (1 - beta1**step) * m / root


class DifferentiableAdamW(DifferentiableAdam):
    """Adam from parameters that shrink by (1 - lr decay), in the place of an L2 penalty."""

    decoupled = True


class DifferentiableRMSprop(DifferentiableOptimizer):
    """v = alpha v + (1 - alpha) g^2; p - lr g / (sqrt(v) + eps). Centred, v is less the square of the gradients' own average."""

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step along the gradient over its running size."""
        g, alpha, momentum = _l2(g, p, group), group["alpha"], group["momentum"]
        v = state["square_avg"] = alpha * state.get("square_avg", 0) + (1 - alpha) * g.square()
        if group["centered"]:
            mean = state["grad_avg"] = alpha * state.get("grad_avg", 0) + (1 - alpha) * g
            v = v - mean.square()
        g = g / (_root(v) + group["eps"])
        if _counts(momentum):
            g = state["momentum_buffer"] = momentum * state.get("momentum_buffer", 0) + g
        return p - group["lr"] * g


class DifferentiableAdagrad(DifferentiableOptimizer):
    """s = s + g^2; p - lr' g / (sqrt(s) + eps), with lr' = lr / (1 + lr_decay k) at step k, from 0."""

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step along the gradient over the size of all so far."""
        g, k = _l2(g, p, group), state["step"]
        state["step"] = k + 1
        s = state["sum"] = state["sum"] + g.square()
        return p - group["lr"] / (1 + k * group["lr_decay"]) * g / (_root(s) + group["eps"])


class DifferentiableAdadelta(DifferentiableOptimizer):
    """v = rho v + (1 - rho) g^2, d = sqrt(a + eps) / sqrt(v + eps) g, a = rho a + (1 - rho) d^2; p - lr d."""

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step as long as those before it were, for their gradients."""
        g, rho, eps, a = _l2(g, p, group), group["rho"], group["eps"], state.get("acc_delta", 0)
        v = state["square_avg"] = rho * state.get("square_avg", 0) + (1 - rho) * g.square()
        d = ((a + eps) / (v + eps)) ** 0.5 * g
        state["acc_delta"] = rho * a + (1 - rho) * d.square()
        return p - group["lr"] * d


class DifferentiableAdamax(DifferentiableOptimizer):
    """m = beta1 m + (1 - beta1) g, u = max(beta2 u, |g| + eps); p - lr m / (u (1 - beta1^k))."""

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step of Adam by the largest gradient."""
        g, (beta1, beta2), u = _l2(g, p, group), group["betas"], state.get("exp_inf")
        step = state["step"] = state.get("step", 0) + 1
        m = state["exp_avg"] = beta1 * state.get("exp_avg", 0) + (1 - beta1) * g
        size = g.abs() + group["eps"]
        u = state["exp_inf"] = size if u is None else torch.maximum(beta2 * u, size)
        return p - group["lr"] / (1 - beta1**step) * m / u


class DifferentiableASGD(DifferentiableOptimizer):
    """p (1 - lambd eta) - eta g, with eta = lr / (1 + lambd lr k)^alpha after step k; their average is in the state."""

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step of descent, and the average of where it led."""
        g, lr, lambd = _l2(g, p, group), group["lr"], group["lambd"]
        step = state["step"] = state.get("step", 0) + 1
        eta, mu, average = state.get("eta", lr), state.get("mu", 1), state.get("ax", 0)
        p = p * (1 - lambd * eta) - eta * g
        state["ax"] = average + mu * (p - average)
        state["eta"] = lr / (1 + lambd * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1, step - group["t0"])
        return p


class DifferentiableRprop(DifferentiableOptimizer):
    """p - s sign(g); s grows by etaplus while the sign stays, shrinks by etaminus where it turns, and p waits there.

    The gradient's sign alone counts, so nothing passes through it: what is left is the path from p to p.
    """

    def move(self, p: torch.Tensor, g: torch.Tensor, state: Settings, group: Settings) -> torch.Tensor:
        """One step of each element's own length."""
        (minus, plus), (shortest, longest) = group["etas"], group["step_sizes"]
        turned = g.detach() * state.get("prev", 0)
        change = torch.where(turned > 0, plus, torch.where(turned < 0, minus, torch.ones_like(p)))
        s = state["step_size"] = (state.get("step_size", group["lr"]) * change).clamp(shortest, longest)
        state["prev"] = torch.where(turned < 0, torch.zeros_like(p), g.detach())
        return p - state["prev"].sign() * s


def _counts(setting: Any) -> bool:
    """Whether a momentum or a decay does anything; a tensor may be learned, from zero too."""
    return isinstance(setting, torch.Tensor) or setting != 0


def _l2(g: torch.Tensor, p: torch.Tensor, group: Settings) -> torch.Tensor:
    """The gradient of the loss plus decay/2 |p|^2."""
    return g + group["weight_decay"] * p if _counts(group["weight_decay"]) else g


def _root(v: torch.Tensor) -> torch.Tensor:
    """sqrt(v), with a slope of zero at zero, where all gradients were zero: g / (sqrt(v) + eps) has the slope 1 / eps there.

    A variance that was rounded to below zero counts as zero.
    """
    nothing = v <= 0
    return v.masked_fill(nothing, 1).sqrt().masked_fill(nothing, 0)
