"""Convolutions of several tasks at once, as products of matrices: what each filter sees, and the filters."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.functional import pad

from quickstudy.inner.layerwise.layers import Values
from quickstudy.inner.layerwise.layout import filters_of, in_layout, matrix, rows

aten = torch.ops.aten
Tensor = torch.Tensor
ROWS = {"cpu": 1000, "cuda": 20_000}
"""From so many outputs a task on, torch's own convolution takes one task after the other, and unfolds nothing.

Measured on a CPU; on an accelerator many small calls cost more, and its bound is a guess."""
UNFOLDED = 2**17
"""So many numbers of an unfolded gradient at a time, or those of one task: they stay in a processor's cache."""


class Convolution:
    """`nn.Conv2d`: bilinear, so every derivative is one of three products: y(x, w), dx(gy, w) and dw(gy, x).

    The images are unfolded once, `(tasks, outputs of all examples, what a filter sees)`, for each product they are part of.
    """

    def __init__(self, module: nn.Conv2d):
        self.stride, self.padding, self.dilation = list(module.stride), [int(p) for p in module.padding], list(module.dilation)
        self.kernel, self.seen = list(module.kernel_size), module.weight[0].numel()
        self.centred = False
        """Whether batch norm follows, which takes away any bias: its gradient is exactly zero."""

    def forward(self, x, p):
        seen = self._unfolded(x)
        return self._biased(self._outputs(seen, p["weight"], x.shape), p), (seen, x.shape)

    def backward(self, kept, p, gy, first):
        return None if first else self._inputs([(gy, p["weight"])], kept[1]), gy

    def slopes(self, kept, p, pulled):
        return self._named(p, self._weights(pulled, kept[0], p["weight"]), pulled)

    def tangent(self, kept, p, dx, dp):
        seen, shape = kept
        dy = self._outputs(seen, dp["weight"], shape)
        moved = None if dx is None else self._unfolded(dx)
        if moved is not None:
            dy = dy.add_(self._outputs(moved, p["weight"], shape))
        return self._biased(dy, dp), moved

    def backward_tangent(self, kept, pulled, moved, p, dp, dgy, first):
        seen, shape = kept
        dgw = self._weights(dgy, seen, p["weight"])
        if moved is not None:
            dgw = dgw.add_(self._weights(pulled, moved, p["weight"]))
        slopes = self._named(p, dgw, dgy)
        return None if first else self._inputs([(dgy, p["weight"]), (pulled, dp["weight"])], shape), slopes

    def windows(self, x: Tensor) -> Tensor:
        """`(tasks, examples, height, width, height of the filter, width of the filter, channels)`, overlapping in memory."""
        (above, left), (down, right), (far, wide) = self.padding, self.stride, self.dilation
        sizes = self._size(x.shape)
        x = pad(x, (0, 0, left, left, above, above)) if above or left else x
        a, b, c, d, e = x.stride()
        strides = (a, b, c * down, d * right, c * far, d * wide, e)
        return x.as_strided((*x.shape[:2], *sizes, *self.kernel, x.shape[4]), strides)

    def _size(self, shape: torch.Size) -> list[int]:
        """Height and width of the output."""
        each = zip(shape[2:4], self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return [(size + 2 * around - far * (kernel - 1) - 1) // stride + 1 for size, kernel, stride, around, far in each]

    def _large(self, shape: torch.Size, device: torch.device) -> bool:
        height, width = self._size(shape)
        return shape[1] * height * width >= ROWS.get(device.type, ROWS["cuda"])

    def _unfolded(self, x: Tensor) -> Tensor:
        return x if self._large(x.shape, x.device) else self.windows(x).reshape(len(x), -1, self.seen)

    def _outputs(self, seen: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        if seen.ndim == 5:
            settings = (None, self.stride, self.padding, self.dilation)
            return in_layout(_stacked([torch.conv2d(x, w, *settings) for x, w in zip(_each(seen), weight, strict=True)]))
        return torch.bmm(seen, matrix(weight).mT).view(*shape[:2], *self._size(shape), -1)

    def _weights(self, gy: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
        if seen.ndim == 5:
            return _stacked(self._pulled(gy, seen, weight, [False, True, False]))
        return filters_of(torch.bmm(rows(gy).mT, seen), weight.shape)

    def _inputs(self, pairs: list[tuple[Tensor, Tensor]], shape: torch.Size) -> Tensor:
        """The sum over pairs of gy and w."""
        (gy, weight), *more = pairs
        if self._large(shape, gy.device):
            x = gy.new_empty(shape)
            found = [in_layout(_stacked(self._pulled(g, x, w, [True, False, False]))) for g, w in pairs]
            return found[0] if len(found) == 1 else found[0].add_(found[1])
        (above, left), (tasks, examples, height, width, channels) = self.padding, shape
        x = gy.new_zeros(tasks, examples, height + 2 * above, width + 2 * left, channels)
        size = tasks if gy.is_cuda else max(1, UNFOLDED // (rows(gy).shape[1] * self.seen))
        for at in range(0, tasks, size):
            some = slice(at, at + size)
            seen = torch.bmm(rows(gy[some]), matrix(weight[some]))
            for g, w in more:
                seen.baddbmm_(rows(g[some]), matrix(w[some]))
            self._fold(seen.view(*gy[some].shape[:4], *self.kernel, -1), x[some])
        return x[:, :, above : above + height, left : left + width]

    def _pulled(self, gy: Tensor, x: Tensor, weight: Tensor, mask: list[bool]) -> list[Tensor]:
        """Each task's gradient for x or for the weight, by torch's own convolution."""
        settings = (None, self.stride, self.padding, self.dilation, False, [0, 0], 1, mask)
        each = zip(_each(gy), _each(x), weight, strict=True)
        return [aten.convolution_backward(*one, *settings)[mask.index(True)] for one in each]

    def _fold(self, seen: Tensor, x: Tensor) -> None:
        """The transpose of `windows`: adds to each pixel, padding included, what it gets from all the windows that it is in.

        As many elements of a window as the stride is wide lie side by side for all windows, and are added in one go.
        """
        tasks, examples, height, width, *_, channels = seen.shape
        down, right = self.stride
        a, b, c, d, e = x.stride()
        for i, high, y in self._runs(0):
            for j, wide, z in self._runs(1):
                sizes, strides = (tasks, examples, height, high, width, wide, channels), (a, b, c * down, c, d * right, d, e)
                some = seen[:, :, :, :, i : i + high, j : j + wide].transpose(3, 4)
                x.as_strided(sizes, strides, x.storage_offset() + c * y + d * z).add_(some)

    def _runs(self, axis: int) -> list[tuple[int, int, int]]:
        """Elements of a filter that no two windows share: the first, how many, and where it is in the first window."""
        kernel, stride, dilation = self.kernel[axis], self.stride[axis], self.dilation[axis]
        if dilation > 1:
            return [(i, 1, i * dilation) for i in range(kernel)]
        return [(i, min(stride, kernel - i), i) for i in range(0, kernel, stride)]

    def _biased(self, y: Tensor, p: Values) -> Tensor:
        return y if self.centred or "bias" not in p else y.add_(p["bias"][:, None, None, None])

    def _named(self, p: Values, weight: Tensor, gy: Tensor) -> Values:
        if "bias" not in p:
            return {"weight": weight}
        return {"weight": weight, "bias": torch.zeros_like(p["bias"]) if self.centred else rows(gy).sum(1)}


def _each(images: Tensor) -> Iterable[Tensor]:
    """Each task's images `(examples, channels, height, width)`, the same memory: as torch's own functions take them."""
    return images.permute(0, 1, 4, 2, 3)


def _stacked(values: list[Tensor]) -> Tensor:
    return torch.stack(values) if len(values) > 1 else values[0].unsqueeze(0)
