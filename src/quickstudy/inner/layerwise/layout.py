"""How the values of several tasks lie in memory: tasks first, channels last, so that each layer is a product of matrices.

Images are `(tasks, examples, height, width, channels)`, their rows `(tasks, examples * height * width, channels)`; features
are `(tasks, examples, features)`. Filters keep their shape `(tasks, outputs, inputs, height, width)`, the inputs last in memory.
"""

from __future__ import annotations

import torch

Tensor = torch.Tensor


def in_layout(images: Tensor) -> Tensor:
    """From `(tasks, examples, channels, height, width)`."""
    return images.permute(0, 1, 3, 4, 2).contiguous()


def rows(images: Tensor) -> Tensor:
    """`(tasks, examples * height * width, channels)`, the same memory."""
    return images.flatten(1, 3)


def merged(images: Tensor) -> Tensor:
    """`(tasks * examples, channels, height, width)` in channels_last, the same memory: as torch's own functions take it."""
    return images.flatten(0, 1).permute(0, 3, 1, 2)


def parted(images: Tensor, tasks: int) -> Tensor:
    """Back from `merged`."""
    return images.permute(0, 2, 3, 1).contiguous().unflatten(0, (tasks, -1))


def filters_in_layout(weight: Tensor) -> Tensor:
    """Filters with the inputs last in memory; other parameters as they are."""
    return weight.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3) if weight.ndim == 5 else weight


def matrix(weight: Tensor) -> Tensor:
    """Filters as `(tasks, outputs, height * width * inputs)`, the order of `windows`; the same memory if they are in layout."""
    return weight.permute(0, 1, 3, 4, 2).flatten(2)


def filters_of(matrix: Tensor, shape: torch.Size) -> Tensor:
    """Back from `matrix`."""
    tasks, outputs, inputs, height, width = shape
    return matrix.view(tasks, outputs, height, width, inputs).permute(0, 1, 4, 2, 3)
