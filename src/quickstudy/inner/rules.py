"""Update rules: how the inner loop moves parameters along a gradient, and the rates it does so at."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.functional import Parameters

State = dict[str, torch.Tensor]


class Rule(Protocol):
    """U of the recursion: elementwise, differentiable in everything that it is given.

    A rule is a module where it has something to learn (its rates).
    """

    def init(self, phi: Parameters) -> State:
        """The optimizer's state before the first step."""
        ...

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """phi_{k+1} and the next state, from phi_k, the state and the gradient at phi_k."""
        ...


Per = Literal["space", "layer", "parameter", "element"]


class Rates(nn.Module):
    """Learned inner learning rates (Meta-SGD, Li et al. 2017; per layer and step: MAML++, Antoniou et al. 2019).

    Args:
        lr: where every rate starts.
        per: one rate for the whole `"space"`, a `"layer"` (the module that owns the parameter), a `"parameter"`
            tensor, or an `"element"` of it (Meta-SGD).
        steps: rates of their own for each of this many inner steps; later steps use the last. None: the same at all.
    """

    def __init__(self, lr: float, *, per: Per = "layer", steps: int | None = None):
        super().__init__()
        self.lr, self.per, self.steps = float(lr), per, steps
        self.rates = nn.ParameterDict()

    def bind(self, shapes: dict[str, torch.Size], like: torch.Tensor) -> None:
        """Makes the rates for parameters of these names and shapes."""
        for name, shape in shapes.items():
            key = self._key(name)
            if key not in self.rates:
                size = ((self.steps,) if self.steps else ()) + (tuple(shape) if self.per == "element" else ())
                self.rates[key] = nn.Parameter(torch.full(size, self.lr, dtype=like.dtype, device=like.device))

    def __getitem__(self, at: tuple[str, int]) -> torch.Tensor:
        name, step = at
        try:
            rate = self.rates[self._key(name)]
        except KeyError:
            raise QuickstudyError(
                f"there is no learned rate for {name!r}: it joined the adaptation space after the rates were made"
            ) from None
        return rate[min(step, self.steps - 1)] if self.steps else rate

    def _key(self, name: str) -> str:
        path = {"space": "all", "layer": name.rpartition(".")[0] or "all"}.get(self.per, name)
        return path.replace(".", "/")


def rate(lr: float | Rates, name: str, step: int) -> float | torch.Tensor:
    """The rate of a parameter at a step, fixed or learned."""
    return lr[name, step] if isinstance(lr, Rates) else lr


class SGD(nn.Module):
    """phi_{k+1} = phi_k - alpha g_k, with a fixed rate or learned ones."""

    def __init__(self, lr: float | Rates):
        super().__init__()
        self.lr = lr

    def init(self, phi: Parameters) -> State:
        """Plain gradient descent remembers nothing."""
        return {}

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step of descent."""
        return {name: value - rate(self.lr, name, step) * gradient[name] for name, value in phi.items()}, state


class Adam(nn.Module):
    """Adam (Kingma and Ba 2015, algorithm 1), differentiable at any gradient.

    The root is sqrt(v + eps^2) in the place of sqrt(v) + eps: where a first gradient is exactly zero (LoRA's A while B
    is zero) the usual form has no derivative. Away from zero the two agree to rounding.
    """

    def __init__(self, lr: float | Rates, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8):
        super().__init__()
        self.lr, self.betas, self.eps = lr, betas, eps

    def init(self, phi: Parameters) -> State:
        """First and second moments, at zero."""
        return {f"{moment}/{name}": torch.zeros_like(value) for moment in "mv" for name, value in phi.items()}

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step, with both moments corrected for their start at zero."""
        first, second = self.betas
        moved, new = {}, {}
        for name, value in phi.items():
            m = new[f"m/{name}"] = first * state[f"m/{name}"] + (1 - first) * gradient[name]
            v = new[f"v/{name}"] = second * state[f"v/{name}"] + (1 - second) * gradient[name].square()
            root = (v / (1 - second ** (step + 1)) + self.eps**2).sqrt()
            moved[name] = value - rate(self.lr, name, step) * (m / (1 - first ** (step + 1))) / root
        return moved, new
