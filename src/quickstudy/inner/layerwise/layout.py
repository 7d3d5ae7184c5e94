"""How the values of several tasks lie in memory, so that tasks are the groups of one convolution in channels_last.

Images are `(tasks, examples, channels, height, width)`, in memory `(examples, height, width, tasks, channels)`; features are
`(tasks, examples, features)`.
"""

from __future__ import annotations

import torch

Tensor = torch.Tensor


def in_layout(images: Tensor) -> Tensor:
    """The same images as the layers want them in memory."""
    strides = _strides(images.shape)
    if images.stride() == strides:
        return images
    # said outright: a dimension of one leaves strides open, and torch would go on in the other, slower layout
    return images.permute(1, 3, 4, 0, 2).contiguous().as_strided(images.shape, strides)


def filters_in_layout(weight: Tensor) -> Tensor:
    """Filters `(tasks, outputs, inputs, height, width)`, the inputs last in memory; other parameters as they are."""
    return weight.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3) if weight.ndim == 5 else weight


def merged(images: Tensor) -> Tensor:
    """`(examples, tasks * channels, height, width)`, the same memory: one image of all tasks' channels."""
    tasks, examples, channels, height, width = images.shape
    along = tasks * channels
    return in_layout(images).as_strided((examples, along, height, width), (height * width * along, 1, width * along, along))


def parted(images: Tensor, tasks: int) -> Tensor:
    """Back from `merged`."""
    examples, along, height, width = images.shape
    if images.stride() != (height * width * along, 1, width * along, along):
        images = images.permute(0, 2, 3, 1).contiguous()
    shape = torch.Size((tasks, examples, along // tasks, height, width))
    return images.as_strided(shape, _strides(shape))


def rows(images: Tensor) -> Tensor:
    """`(examples * height * width, tasks * channels)`, the same memory."""
    tasks, examples, channels, height, width = images.shape
    return in_layout(images).as_strided((examples * height * width, tasks * channels), (tasks * channels, 1))


def images_of(rows: Tensor, shape: torch.Size) -> Tensor:
    """Back from `rows`."""
    return rows.as_strided(shape, _strides(shape))


def _strides(shape: torch.Size) -> tuple[int, ...]:
    tasks, _, channels, height, width = shape
    along = tasks * channels
    return (channels, height * width * along, 1, width * along, along)
