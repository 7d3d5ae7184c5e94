"""Small modules, and parameters that stand still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, lmb: Callable[..., Any]):
        super().__init__()
        self.lmb = lmb

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the function gives."""
        return self.lmb(*args, **kwargs)


class Flatten(nn.Module):
    """`(examples, ...)` to `(examples, numbers)`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A row for each example."""
        return x.flatten(1)


class Scale(nn.Module):
    """Its input times learned factors, of this shape and value at first."""

    def __init__(self, shape: int | Sequence[int] | None = None, alpha: float = 1.0):
        super().__init__()
        sizes = (1,) if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        self.alpha = nn.Parameter(torch.full(sizes, float(alpha)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Element by element."""
        return x * self.alpha


def freeze(module: nn.Module) -> nn.Module:
    """Takes the gradient from all parameters of the module, in place; those of a clone are cut from the original's."""
    for parameter in module.parameters():
        parameter.detach_()
    return module


def unfreeze(module: nn.Module) -> nn.Module:
    """Gives all parameters of the module a gradient, in place."""
    return module.requires_grad_()
