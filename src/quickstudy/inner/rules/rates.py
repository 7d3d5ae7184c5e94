"""`Rates`: a rule's numbers, learned; rates, momenta and decay alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from quickstudy.errors import QuickstudyError

Per = Literal["space", "layer", "parameter", "element"]


@dataclass(frozen=True)
class Domain:
    """Where a number of a rule has to stay, and the number without bounds that is learned in its place.

    A fixed one lies in [low, high), a learned one in (low, high).
    """

    low: float
    high: float
    words: str
    free: Callable[[float], float]
    """Value -> what is learned."""
    bound: Callable[[torch.Tensor], torch.Tensor]
    """What is learned -> value."""


def _itself(raw: torch.Tensor) -> torch.Tensor:
    return raw


def _logit(value: float) -> float:
    return math.log(value) - math.log1p(-value)


def _sigmoid(raw: torch.Tensor) -> torch.Tensor:
    """Below 1 after rounding too, since 1 - beta divides; where this cuts, the sigmoid's own derivative is zero."""
    return raw.sigmoid().clamp(max=1 - torch.finfo(raw.dtype).eps)


REAL = Domain(-math.inf, math.inf, "a finite number", float, _itself)
FRACTION = Domain(0.0, 1.0, "from 0 to below 1", _logit, _sigmoid)
NOT_NEGATIVE = Domain(0.0, math.inf, "0 or above", math.log, torch.exp)


class Rates(nn.Module):
    """Learned numbers of an update rule (Meta-SGD, Li et al. 2017; per layer and step: MAML++, Antoniou et al. 2019).

    The rule says what they are. Learning rates are learned as they are, and may turn negative, as in Meta-SGD; momenta and
    the decay rates of averages by their logit, so that they stay in (0, 1); weight decay by its logarithm.

    Args:
        lr: where every rate (or momentum, or decay) starts.
        per: one for the whole `"space"`, a `"layer"` (the module that owns the parameter), a `"parameter"` tensor, or an
            `"element"` of it (Meta-SGD).
        steps: numbers of their own for each of this many inner steps; later steps use the last. None: the same at all.

    Raises:
        QuickstudyError: an unknown `per`, or fewer steps than one.
    """

    def __init__(self, lr: float, *, per: Per = "layer", steps: int | None = None):
        super().__init__()
        if per not in get_args(Per):
            raise QuickstudyError(f"per={per!r} is not known; it is one of {', '.join(get_args(Per))}")
        if steps is not None and steps < 1:
            raise QuickstudyError(f"steps={steps}: rates of their own need 1 inner step or more; leave steps out for none")
        self.lr, self.per, self.steps = float(lr), per, steps
        self.domain: Domain | None = None
        self.rates = nn.ParameterDict()

    def bind(self, shapes: dict[str, torch.Size], like: torch.Tensor) -> None:
        """Makes what is learned, for parameters of these names and shapes."""
        start = (self.domain or REAL).free(self.lr)
        for name, shape in shapes.items():
            key = self._key(name)
            if key not in self.rates:
                size = ((self.steps,) if self.steps else ()) + (tuple(shape) if self.per == "element" else ())
                self.rates[key] = nn.Parameter(torch.full(size, start, dtype=like.dtype, device=like.device))

    def __getitem__(self, at: tuple[str, int]) -> torch.Tensor:
        name, step = at
        raw = self._raw(name)
        return (self.domain or REAL).bound(raw[min(step, self.steps - 1)] if self.steps else raw)

    def product(self, name: str, step: int) -> torch.Tensor:
        """The product of steps 0 to `step`."""
        if not self.steps:
            return self[name, step] ** (step + 1)
        values = (self.domain or REAL).bound(self._raw(name))
        return values[: step + 1].prod(0) * values[-1] ** max(0, step + 1 - self.steps)

    def _raw(self, name: str) -> nn.Parameter:
        try:
            return self.rates[self._key(name)]
        except KeyError:
            raise QuickstudyError(
                f"there is no learned rate for {name!r}: it joined the adaptation space after the rates were made"
            ) from None

    def _key(self, name: str) -> str:
        path = {"space": "all", "layer": name.rpartition(".")[0] or "all"}.get(self.per, name)
        return path.replace(".", "/")


Rate = float | Rates
"""A number of a rule, fixed or learned."""


def within(domain: Domain, name: str, value: Rate) -> Rate:
    """A rule's number, once it is known to be one that it can have.

    Raises:
        QuickstudyError: it is out of its domain, or one `Rates` is to be numbers of two kinds.
    """
    number = value.lr if isinstance(value, Rates) else value
    if not (math.isfinite(number) and domain.low <= number < domain.high):
        raise QuickstudyError(f"{name}={number:g} cannot be: it has to be {domain.words}")
    if isinstance(value, Rates):
        if number == domain.low:
            raise QuickstudyError(f"a learned {name} cannot start at {number:g}, which it never leaves: start it above")
        if value.domain not in (None, domain):
            raise QuickstudyError(f"one Rates is given as {name} and as a number of another kind too: make one for each")
        value.domain = domain
    return value


def positive(name: str, value: float) -> float:
    """A fixed number of a rule, once it is known to be above 0.

    Raises:
        QuickstudyError: it is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise QuickstudyError(f"{name}={value:g} cannot be: it has to be a finite number above 0")
    return value


def at(value: Rate, name: str, step: int) -> float | torch.Tensor:
    """The number for a parameter at a step."""
    return value[name, step] if isinstance(value, Rates) else value


def product(value: Rate, name: str, step: int) -> float | torch.Tensor:
    """The product of the numbers for a parameter at steps 0 to `step`: a running average's weight on its start at zero."""
    return value.product(name, step) if isinstance(value, Rates) else value ** (step + 1)
