"""Small networks that are made from a seed rather than loaded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


def mlp(widths: Sequence[int], *, seed: int = 0) -> nn.Sequential:
    """Linear layers of these widths, from inputs to outputs, with ReLU between; the same seed gives the same weights."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Standardized(nn.Module):
    """Each number less its mean and divided by its scale, which are data of the model and not learned.

    Args:
        width: numbers that the model reads at most. Fewer than these are the first ones.
        mean: of the first numbers `(numbers,)`; those after them (a context) stay as they are. None: all stay.
        scale: likewise.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, width: int, mean: torch.Tensor | None = None, scale: torch.Tensor | None = None):
        super().__init__()
        for name, value, default in (("mean", mean, 0.0), ("scale", scale, 1.0)):
            given = torch.zeros(0) if value is None else value
            self.register_buffer(name, torch.cat([given, torch.full((width - len(given),), default)]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the same shape, `(..., numbers)`."""
        numbers = x.shape[-1]
        return (x - self.mean[:numbers]) / self.scale[:numbers]
