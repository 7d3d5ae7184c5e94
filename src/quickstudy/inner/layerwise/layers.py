"""Layers with parameters, for several tasks at once: each with its derivative, and the tangents of both.

A tangent is the derivative along one direction of the parameters. The tangent of a gradient is the Hessian times that
direction: two sweeps through the net, and no graph.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from quickstudy.inner.layerwise.layout import images_of, merged, parted, rows

aten = torch.ops.aten
Tensor = torch.Tensor
Values = dict[str, Tensor]
"""A layer's parameters, their gradients or their tangents, `(tasks, ...)`, as `weight` and `bias`."""


class Layer(Protocol):
    """One layer, as functions of values in `layout`. `kept` is what its forward pass leaves for the other three."""

    def forward(self, x: Tensor, p: Values) -> tuple[Tensor, Any]:
        """The output, and what is kept."""
        ...

    def backward(self, kept: Any, p: Values, gy: Tensor, first: bool) -> tuple[Any, Values]:
        """From dL/dy: dL/dx (None of the first layer: nobody asks about the images) and dL/dp."""
        ...

    def tangent(self, kept: Any, p: Values, dx: Tensor | None, dp: Values) -> tuple[Any, Any]:
        """The output's tangent, and what is kept of it. `dx` is None where the input does not move."""
        ...

    def backward_tangent(
        self, kept: Any, moved: Any, p: Values, dp: Values, gy: Tensor, dgy: Tensor, first: bool
    ) -> tuple[Any, Any, Values]:
        """dL/dx, its tangent, and that of dL/dp."""
        ...


class Convolution:
    """`nn.Conv2d`: bilinear, so every derivative is a convolution, an input gradient or a weight gradient."""

    def __init__(self, module: nn.Conv2d):
        self.stride, self.padding, self.dilation = list(module.stride), [int(p) for p in module.padding], list(module.dilation)

    def forward(self, x, p):
        return self._convolve(x, p["weight"], p.get("bias")), x

    def backward(self, kept, p, gy, first):
        gx, gw = self._pull(gy, kept, p["weight"], not first)
        return gx, self._slopes(p, gw, gy)

    def tangent(self, kept, p, dx, dp):
        dy = self._convolve(kept, dp["weight"], dp.get("bias"))
        return dy if dx is None else dy + self._convolve(dx, p["weight"], None), dx

    def backward_tangent(self, kept, moved, p, dp, gy, dgy, first):
        dgx, dgw = self._pull(dgy, kept, p["weight"], not first)
        if first:
            return None, None, self._slopes(p, dgw, dgy)
        gx, _ = self._pull(gy, kept, p["weight"], weights=False)
        also, more = self._pull(gy, kept if moved is None else moved, dp["weight"], weights=moved is not None)
        return gx, dgx + also, self._slopes(p, dgw if moved is None else dgw + more, dgy)

    def _convolve(self, x, weight, bias):
        flat = weight.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        bias = bias if bias is None else bias.flatten()
        return parted(torch.conv2d(merged(x), flat, bias, self.stride, self.padding, self.dilation, len(weight)), len(weight))

    def _pull(self, gy, x, weight, inputs=True, weights=True) -> tuple[Any, Any]:
        flat = weight.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        settings = (None, self.stride, self.padding, self.dilation, False, [0, 0], len(weight), [inputs, weights, False])
        gx, gw, _ = aten.convolution_backward(merged(gy), merged(x), flat, *settings)
        return parted(gx, len(weight)) if inputs else None, gw.reshape(weight.shape) if weights else None

    @staticmethod
    def _slopes(p, gw, gy):
        return {"weight": gw, "bias": rows(gy).sum(0).view(p["bias"].shape)} if "bias" in p else {"weight": gw}


class BatchNorm:
    """`nn.BatchNorm2d` by the statistics of the batch: y = weight * n + bias, n = (x - mean) * r, r = (var + eps)^(-1/2)."""

    def __init__(self, module: nn.BatchNorm2d):
        self.eps = module.eps

    def forward(self, x, p):
        settings = (_flat(p, "weight"), _flat(p, "bias"), None, None, True, 0.0, self.eps)
        y, mean, r = torch.native_batch_norm(merged(x), *settings)
        return parted(y, len(x)), (x, mean, r)

    def backward(self, kept, p, gy, first):
        x, mean, r = kept
        settings = (_flat(p, "weight"), None, None, mean, r, True, self.eps, [True, True, True])
        gx, gw, gb = aten.native_batch_norm_backward(merged(gy), merged(x), *settings)
        return parted(gx, len(x)), _shaped(p, weight=gw, bias=gb)

    def tangent(self, kept, p, dx, dp):
        x, mean, r = kept
        n = rows(x).sub(mean).mul_(r)
        dx_rows = torch.zeros_like(n) if dx is None else rows(dx)
        centred = dx_rows - dx_rows.mean(0)
        dr = -(n * centred).mean(0) * r  # over r
        dn = (centred * r).add_(n * dr)
        dy = dn * _flat(p, "weight") if "weight" in p else dn.clone()
        if "weight" in dp:
            dy = dy.addcmul_(n, _flat(dp, "weight")).add_(_flat(dp, "bias"))
        return images_of(dy, x.shape), (n, dn, dr)

    def backward_tangent(self, kept, moved, p, dp, gy, dgy, first):
        (n, dn, dr), r, g, dg = moved, kept[2], rows(gy), rows(dgy)
        along, dalong = (g * n).mean(0), (dg * n).add_(g * dn).mean(0)
        total, dtotal = g.mean(0), dg.mean(0)
        inner = (g - total).sub_(n * along)  # gx = weight * r * inner
        dinner = (dg - dtotal).sub_(dn * along).sub_(n * dalong)
        weight, dweight = (_flat(p, "weight"), _flat(dp, "weight")) if "weight" in p else (torch.ones_like(r), 0.0)
        gx = inner * (weight * r)
        dgx = dinner.mul_(weight * r).add_(inner.mul_((dweight + weight * dr) * r))
        slopes = _shaped(p, weight=dalong * len(g), bias=dtotal * len(g))
        return images_of(gx, gy.shape), images_of(dgx, gy.shape), slopes


class Linear:
    """`nn.Linear` on features."""

    def __init__(self, module: nn.Linear | None = None):
        pass

    def forward(self, x, p):
        y = x @ p["weight"].mT
        return y + p["bias"].unsqueeze(1) if "bias" in p else y, x

    def backward(self, kept, p, gy, first):
        return None if first else gy @ p["weight"], self._slopes(p, gy.mT @ kept, gy)

    def tangent(self, kept, p, dx, dp):
        dy = kept @ dp["weight"].mT
        if dx is not None:
            dy = dy + dx @ p["weight"].mT
        return dy + dp["bias"].unsqueeze(1) if "bias" in dp else dy, dx

    def backward_tangent(self, kept, moved, p, dp, gy, dgy, first):
        gw = dgy.mT @ kept
        if moved is not None:
            gw = gw + gy.mT @ moved
        slopes = self._slopes(p, gw, dgy)
        return (None, None, slopes) if first else (gy @ p["weight"], dgy @ p["weight"] + gy @ dp["weight"], slopes)

    @staticmethod
    def _slopes(p, gw, gy):
        return {"weight": gw, "bias": gy.sum(1)} if "bias" in p else {"weight": gw}


def _flat(p: Values, name: str) -> Tensor | None:
    return p[name].flatten() if name in p else None


def _shaped(p: Values, **found: Tensor) -> Values:
    return {name: value.view(p[name].shape) for name, value in found.items() if name in p}
