"""Convolutions of several tasks at once, as products of matrices: what each filter sees, and the filters."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from quickstudy.inner.layerwise.layers import Values
from quickstudy.inner.layerwise.layout import filters_of, matrix, merged, parted, rows

aten = torch.ops.aten
Tensor = torch.Tensor
ROWS = 1000
"""From so many outputs on, one task alone goes through torch's own convolution, which unfolds nothing."""


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

    def _alone(self, shape: torch.Size) -> bool:
        height, width = self._size(shape)
        return shape[0] == 1 and shape[1] * height * width >= ROWS

    def _unfolded(self, x: Tensor) -> Tensor:
        return x if self._alone(x.shape) else self.windows(x).reshape(len(x), -1, self.seen)

    def _outputs(self, seen: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        if self._alone(shape):
            return parted(torch.conv2d(merged(seen), weight[0], None, self.stride, self.padding, self.dilation), 1)
        return torch.bmm(seen, matrix(weight).mT).view(*shape[:2], *self._size(shape), -1)

    def _weights(self, gy: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
        if seen.ndim == 5:
            return self._pulled(gy, seen, weight, [False, True, False])[1].unsqueeze(0)
        return filters_of(torch.bmm(rows(gy).mT, seen), weight.shape)

    def _inputs(self, pairs: list[tuple[Tensor, Tensor]], shape: torch.Size) -> Tensor:
        """The sum over pairs of gy and w."""
        (gy, weight), *more = pairs
        if self._alone(shape):
            x = gy.new_empty(shape)
            found = [parted(self._pulled(g, x, w, [True, False, False])[0], 1) for g, w in pairs]
            return found[0] if not more else found[0].add_(found[1])
        seen = torch.bmm(rows(gy), matrix(weight))
        for g, w in more:
            seen.baddbmm_(rows(g), matrix(w))
        return self._folded(seen.view(*gy.shape[:4], *self.kernel, -1), shape)

    def _pulled(self, gy: Tensor, x: Tensor, weight: Tensor, mask: list[bool]):
        settings = (None, self.stride, self.padding, self.dilation, False, [0, 0], 1, mask)
        return aten.convolution_backward(merged(gy), merged(x), weight[0], *settings)

    def _folded(self, seen: Tensor, shape: torch.Size) -> Tensor:
        """The transpose of `windows`: what each pixel gets from all the windows that it is in.

        As many elements of a window as the stride is wide lie side by side for all windows, and are added in one go.
        """
        tasks, examples, height, width, *_, channels = seen.shape
        (above, left), (down, right) = self.padding, self.stride
        x = seen.new_zeros(tasks, examples, shape[2] + 2 * above, shape[3] + 2 * left, channels)
        a, b, c, d, e = x.stride()
        for i, high, y in self._runs(0):
            for j, wide, z in self._runs(1):
                sizes, strides = (tasks, examples, height, high, width, wide, channels), (a, b, c * down, c, d * right, d, e)
                some = seen[:, :, :, :, i : i + high, j : j + wide].transpose(3, 4)
                x.as_strided(sizes, strides, c * y + d * z).add_(some)
        return x[:, :, above : above + shape[2], left : left + shape[3]]

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
