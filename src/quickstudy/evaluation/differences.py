"""Finite differences: how a function really changes along one tensor, or along all of them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch

Tensors = Mapping[str, torch.Tensor]
Value = Callable[[Tensors], float]
"""The function, with some of its tensors moved."""

STEP = 1e-2
"""How far a tensor moves (its norm, against elements of about 1): far, since a gradient may be tiny beside the value."""


def joint_error(f: Value, at: Tensors, gradients: Tensors, *, floor: float, tolerance: float) -> float:
    """The error of all gradients along one random direction, in which none hides behind the others.

    Each tensor moves along a random vector of its own, divided by the slope to expect there, |g| / sqrt(n), but by no less
    than `floor`. So the error of one tensor, relative to its own gradient, counts as much as that of any other, however few
    elements it has and however small its gradient is. The lengths are drawn too, lest two numbers (learned rates) cancel.

    Args:
        f: the function, differentiated at `at`.
        gradients: of `f`, to be judged; for every tensor in `at`.
        floor: the slope below which errors count as absolute.
        tolerance: an error that is small enough to look no further.
    """
    direction = {}
    for name, gradient in gradients.items():
        expected = max(gradient.norm().item() / max(1, gradient.numel()) ** 0.5, floor, 1e-12)
        direction[name] = _unit(gradient) * (0.5 + torch.rand(()).item()) / expected
    reach = max((direction[name].norm().item() / _size(value) for name, value in at.items()), default=1.0)
    exact = sum((gradients[name] * direction[name]).sum().item() for name in direction)
    if not math.isfinite(exact):
        return math.nan  # nor is the direction, and the model must not be called there
    slopes = _slopes(lambda t: f({name: at[name] + t * direction[name] for name in direction}), STEP / max(reach, 1e-300))
    return _least((abs(exact - slope) for slope in slopes), tolerance)


def tensor_error(f: Value, at: Tensors, gradients: Tensors, name: str, *, floor: float, tolerance: float) -> float:
    """The error of one tensor's gradient along a random direction, relative to the slope there but to no less than `floor`."""
    direction = _unit(gradients[name])
    exact = (gradients[name] * direction).sum().item()
    slopes = _slopes(lambda t: f({name: at[name] + t * direction}), STEP * _size(at[name]))
    return _least((abs(exact - slope) / max(abs(exact), abs(slope), floor, 1e-12) for slope in slopes), tolerance)


def slope(f: Callable[[float], float], step: float) -> float:
    """The central difference at 0."""
    return (f(step) - f(-step)) / (2 * step)


def _slopes(f: Callable[[float], float], step: float) -> Iterator[float]:
    """The slope at 0: extrapolated from two wide differences, then from near ones, as a kink may lie inside the wide."""
    wide, half = slope(f, step), slope(f, step / 2)
    yield half + (half - wide) / 3
    yield slope(f, step / 100)
    yield slope(f, step / 1000)


def _least(errors: Iterable[float], tolerance: float) -> float:
    """The smallest error, or the first within the tolerance; not a number only where all are."""
    best = math.nan
    for error in errors:
        best = error if math.isnan(best) else min(best, error)
        if best <= tolerance:
            break
    return best


def _unit(like: torch.Tensor) -> torch.Tensor:
    vector = torch.randn_like(like)
    return vector / vector.norm().clamp(min=1e-12)


def _size(tensor: torch.Tensor) -> float:
    """The root mean square of the elements, at least 1."""
    return max(1.0, tensor.norm().item() / max(1, tensor.numel()) ** 0.5)
