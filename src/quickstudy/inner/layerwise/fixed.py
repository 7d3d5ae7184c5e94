"""Layers without parameters: linear once the forward pass has chosen where (kinks, maxima), so tangents go the same way."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from quickstudy.inner.layerwise.layout import in_layout, merged, parted
from quickstudy.models import networks

aten = torch.ops.aten
Tensor = torch.Tensor


class Fixed:
    """What these layers share: `along` is the derivative, `back` its transpose."""

    def __init__(self, module: nn.Module):
        pass

    def along(self, kept: Any, dx: Tensor) -> Tensor:
        """The output's tangent."""
        raise NotImplementedError

    def back(self, kept: Any, gy: Tensor) -> Tensor:
        """The input's gradient."""
        raise NotImplementedError

    def backward(self, kept, p, gy, first):
        return None if first else self.back(kept, gy), None

    def slopes(self, kept, p, pulled):
        return {}

    def tangent(self, kept, p, dx, dp):
        return None if dx is None else self.along(kept, dx), None

    def backward_tangent(self, kept, pulled, moved, p, dp, dgy, first):
        return None if first else self.back(kept, dgy), {}


class Standardized(Fixed):
    """`networks.Standardized`; it is always the net's first, so that nothing goes back through it."""

    def __init__(self, module: networks.Standardized):
        self.module = module

    def forward(self, x, p):
        return self.module(x), None


class ReLU(Fixed):
    """`nn.ReLU`; the kink has slope 0, as torch has it.

    In place, since no other layer needs its own output or gradient again; it is never the net's first.
    """

    def forward(self, x, p):
        y = torch.relu_(x)
        return y, y

    def along(self, kept, dx):
        return aten.threshold_backward.grad_input(dx, kept, 0, grad_input=dx)

    def back(self, kept, gy):
        return self.along(kept, gy)


class MaxPool(Fixed):
    """`nn.MaxPool2d`."""

    def __init__(self, module: nn.MaxPool2d):
        each = (module.kernel_size, module.stride, module.padding, module.dilation)
        self.window = ([[value, value] if isinstance(value, int) else list(value) for value in each], module.ceil_mode)

    def forward(self, x, p):
        y, places = aten.max_pool2d_with_indices(merged(x), *self.window[0], self.window[1])
        return parted(y, len(x)), (x, places)

    def along(self, kept, dx):
        places = kept[1]
        chosen = merged(dx).flatten(2).gather(2, places.flatten(2)).view(places.shape)
        return parted(chosen, len(dx))

    def back(self, kept, gy):
        x, places = kept
        return parted(
            aten.max_pool2d_with_indices_backward(merged(gy), merged(x), *self.window[0], self.window[1], places), len(x)
        )


class Mean(Fixed):
    """`nn.AdaptiveAvgPool2d(1)`: the mean over space."""

    def forward(self, x, p):
        return x.mean((2, 3), keepdim=True), x.shape

    def along(self, kept, dx):
        return dx.mean((2, 3), keepdim=True)

    def back(self, kept, gy):
        return (gy / (kept[2] * kept[3])).expand(kept).contiguous()


class Flatten(Fixed):
    """`nn.Flatten`: from images to features, in torch's order; features stay as they are."""

    def forward(self, x, p):
        return self.along(x.shape, x), x.shape

    def along(self, kept, dx):
        return dx.permute(0, 1, 4, 2, 3).flatten(2) if len(kept) == 5 else dx

    def back(self, kept, gy):
        if len(kept) < 5:
            return gy
        tasks, examples, height, width, channels = kept
        return in_layout(gy.reshape(tasks, examples, channels, height, width))
