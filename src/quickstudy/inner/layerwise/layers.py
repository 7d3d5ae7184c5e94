"""What a layer is to the net, and the layers with parameters that are not convolutions; for several tasks at once.

A tangent is the derivative along one direction of the parameters. The tangent of a gradient is the Hessian times that
direction: two sweeps through the net, and no graph.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from quickstudy.inner.layerwise.layout import rows

Tensor = torch.Tensor
Values = dict[str, Tensor]
"""A layer's parameters, their gradients or their tangents, `(tasks, ...)`, as `weight` and `bias`."""


class Layer(Protocol):
    """One layer, as functions of values in `layout`.

    `kept` is what its forward pass leaves for the others, and `pulled` what its backward pass leaves.
    """

    def forward(self, x: Tensor, p: Values) -> tuple[Tensor, Any]:
        """The output, and what is kept."""
        ...

    def backward(self, kept: Any, p: Values, gy: Tensor, first: bool) -> tuple[Any, Any]:
        """From dL/dy: dL/dx (None of the first layer: nobody asks about the images), and what is kept of it."""
        ...

    def slopes(self, kept: Any, p: Values, pulled: Any) -> Values:
        """dL/dp."""
        ...

    def tangent(self, kept: Any, p: Values, dx: Tensor | None, dp: Values) -> tuple[Any, Any]:
        """The output's tangent, and what is kept of it. `dx` is None where the input does not move."""
        ...

    def backward_tangent(
        self, kept: Any, pulled: Any, moved: Any, p: Values, dp: Values, dgy: Tensor, first: bool
    ) -> tuple[Any, Values]:
        """The tangents of dL/dx and of dL/dp."""
        ...


class BatchNorm:
    """`nn.BatchNorm2d` by the statistics of the batch: y = bias + weight * r * c, c = x - mean, r = (mean(c^2) + eps)^(-1/2).

    Every derivative is a sum of a few images, each times a number for its channel; these numbers are means over the rows.
    """

    def __init__(self, module: nn.BatchNorm2d):
        self.eps = module.eps

    def forward(self, x, p):
        c = rows(x)
        c = c - c.mean(1, keepdim=True)
        r = (_mean(c, c) + self.eps).rsqrt()
        weight, bias = self._affine(p, r, 1.0)
        return torch.addcmul(bias, c, weight * r).view(x.shape), (c, r)

    def backward(self, kept, p, gy, first):
        (c, r), g = kept, rows(gy)
        total, along = g.mean(1, keepdim=True), _mean(g, c)
        if first:
            return None, (g, total, along)
        scale = self._affine(p, r, 1.0)[0] * r  # gx = scale (g - total - c r^2 along)
        return _sum(-scale * total, (g, scale), (c, -scale * r**2 * along)).view(gy.shape), (g, total, along)

    def slopes(self, kept, p, pulled):
        (c, r), (_, total, along) = kept, pulled
        return self._named(p, r * along * c.shape[1], total * c.shape[1])

    def tangent(self, kept, p, dx, dp):
        c, r = kept
        (weight, _), (dweight, dbias) = self._affine(p, r, 1.0), self._affine(dp, r, 0.0)
        if dx is None:
            return torch.addcmul(dbias, c, dweight * r), (None, 0.0, torch.zeros_like(r), dweight * r)
        d = rows(dx)
        mean, scale = d.mean(1, keepdim=True), weight * r
        dr = -(r**3) * _mean(d, c)
        dscale = dweight * r + weight * dr
        return _sum(dbias - scale * mean, (d, scale), (c, dscale)).view(dx.shape), (d, mean, dr, dscale)

    def backward_tangent(self, kept, pulled, moved, p, dp, dgy, first):
        (c, r), (g, total, along), (d, mean, dr, dscale) = kept, pulled, moved
        dg = rows(dgy)
        dtotal, dalong = dg.mean(1, keepdim=True), _mean(dg, c)
        if d is not None:
            dalong = dalong + _mean(g, d) - mean * total
        slopes = self._named(p, (dr * along + r * dalong) * c.shape[1], dtotal * c.shape[1])
        if first:
            return None, slopes
        scale, back, dback = self._affine(p, r, 1.0)[0] * r, r**2 * along, r**2 * dalong + 2 * r * dr * along
        constant = scale * (back * mean - dtotal) - dscale * total
        terms = [(dg, scale), (g, dscale), (c, -dscale * back - scale * dback)]
        return _sum(constant, *terms, *([] if d is None else [(d, -scale * back)])).view(dgy.shape), slopes

    @staticmethod
    def _affine(p: Values, like: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        """Weight and bias, or what stands for them in a norm without any: `(tasks, 1, channels)`."""
        if "weight" in p:
            return p["weight"].unsqueeze(1), p["bias"].unsqueeze(1)
        return torch.full_like(like, weight), torch.zeros_like(like)

    @staticmethod
    def _named(p: Values, weight: Tensor, bias: Tensor) -> Values:
        return {"weight": weight.squeeze(1), "bias": bias.squeeze(1)} if "weight" in p else {}


class Linear:
    """`nn.Linear` on features."""

    def __init__(self, module: nn.Linear | None = None):
        pass

    def forward(self, x, p):
        y = x @ p["weight"].mT
        return y + p["bias"].unsqueeze(1) if "bias" in p else y, x

    def backward(self, kept, p, gy, first):
        return None if first else gy @ p["weight"], gy

    def slopes(self, kept, p, pulled):
        return self._named(p, pulled.mT @ kept, pulled)

    def tangent(self, kept, p, dx, dp):
        dy = kept @ dp["weight"].mT
        if dx is not None:
            dy = dy + dx @ p["weight"].mT
        return dy + dp["bias"].unsqueeze(1) if "bias" in dp else dy, dx

    def backward_tangent(self, kept, pulled, moved, p, dp, dgy, first):
        dgw = dgy.mT @ kept
        if moved is not None:
            dgw = dgw + pulled.mT @ moved
        return None if first else dgy @ p["weight"] + pulled @ dp["weight"], self._named(p, dgw, dgy)

    @staticmethod
    def _named(p: Values, weight: Tensor, gy: Tensor) -> Values:
        return {"weight": weight, "bias": gy.sum(1)} if "bias" in p else {"weight": weight}


def _mean(a: Tensor, b: Tensor) -> Tensor:
    """The mean of the product over the rows."""
    return (a * b).mean(1, keepdim=True)


def _sum(constant: Tensor, *terms: tuple[Tensor, Tensor]) -> Tensor:
    """constant + the sum of rows times numbers of their channels."""
    (first, by), *more = terms
    total = torch.addcmul(constant, first, by)
    for each, by in more:
        total.addcmul_(each, by)
    return total
