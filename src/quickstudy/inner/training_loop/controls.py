"""`Controls`: what is chosen in a training that goes on: the rate, the optimizer, the part of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules import SGD, Adam

FACTORS = (1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""What the rate is multiplied by."""

OPTIMIZERS = {"sgd": SGD(1.0), "momentum": SGD(0.1, momentum=0.9), "adam": Adam(0.01)}
"""At a rate of 1. The rate of momentum 0.9 is a tenth and that of Adam a hundredth of the rate that is chosen, so that one
rate means steps of a like length: momentum adds up ten gradients, and Adam's step has the rate itself for each number."""

PARTS = {"all": (0.0, 1.0), "easiest half": (0.0, 0.5), "hardest half": (0.5, 1.0), "without the hardest fifth": (0.0, 0.8)}
"""Training rows that minibatches are drawn from, between these quantiles of the loss."""

COUNTS = {"rate": len(FACTORS), "optimizer": len(OPTIMIZERS), "data": len(PARTS)}


@dataclass(frozen=True)
class Controls:
    """Some of `rate`, `optimizer` and `data`, as one whole number: the last of them changes fastest.

    Args:
        names: which.

    Raises:
        QuickstudyError: one that is not known, one given twice, or none.
    """

    names: tuple[str, ...]

    def __post_init__(self):
        if isinstance(self.names, str) or not self.names:
            raise QuickstudyError(f"control={self.names!r}: give a tuple out of {', '.join(COUNTS)}, such as ('rate', 'data')")
        for name in self.names:
            if name not in COUNTS:
                raise QuickstudyError(f"control has {name!r}, which is not known; it is made of {', '.join(COUNTS)}")
        if len(set(self.names)) < len(self.names):
            raise QuickstudyError(f"control={self.names!r} has a name twice; give each once")

    @property
    def count(self) -> int:
        """Combinations."""
        return math.prod(COUNTS[name] for name in self.names)

    def decode(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Factor of the rate, number of the optimizer and number of the part, `(trials,)` each.

        What is not controlled stays: the rate as it is, plain SGD, all of the data.
        """
        numbers = {"rate": torch.full_like(actions, FACTORS.index(1.0)), "optimizer": torch.zeros_like(actions)}
        numbers["data"] = torch.zeros_like(actions)
        for name in reversed(self.names):
            numbers[name] = actions % COUNTS[name]
            actions = actions // COUNTS[name]
        return torch.tensor(FACTORS)[numbers["rate"]], numbers["optimizer"], numbers["data"]


def draw_rows(
    losses: torch.Tensor, counts: torch.Tensor, parts: torch.Tensor, size: int, generator: torch.Generator
) -> torch.Tensor:
    """Places of `size` rows of each trial, drawn with replacement out of its part of the data: `(trials, size)`.

    Args:
        losses: of the rows, `(trials, rows)`.
        counts: how many rows a trial has, the first ones; what comes after them is never drawn. `(trials,)`
        parts: numbers in `PARTS`, `(trials,)`.
    """
    low, high = torch.tensor(list(PARTS.values()))[parts].unbind(1)
    share = low[:, None] + (high - low)[:, None] * torch.rand(len(losses), size, generator=generator)
    places = (share * counts[:, None]).long().minimum(counts[:, None] - 1)  # a share may round up to 1
    if (parts == 0).all():  # in which case the order is of no account
        return places
    past = torch.arange(losses.shape[1]) >= counts[:, None]
    order = torch.nan_to_num(losses, nan=torch.finfo(losses.dtype).max).masked_fill(past, math.inf).argsort(dim=1)
    return order.gather(1, places)
