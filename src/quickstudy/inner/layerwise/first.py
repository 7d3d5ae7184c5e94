"""A convolution and the batch norm after it as one linear map, where the images are given and do not move.

With u what a filter sees, less its mean over the task's batch, and S = mean(u u^T), a filter w has the variance w^T S w. So

    y = a u + bias,  a = weight * r * w,  r = (w^T S w + eps)^(-1/2),

and statistics, gradients and tangents are those of the small a: no pass over the images but the product with u. A bias of
the convolution changes nothing, and its gradient is exactly zero.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from quickstudy.inner.layerwise.convolution import Convolution
from quickstudy.inner.layerwise.layers import BatchNorm, Values
from quickstudy.inner.layerwise.layout import filters_of, matrix, rows

Tensor = torch.Tensor
SEEN = 100
"""At most so many numbers in a filter: S costs their square."""


class FirstBlock:
    """`nn.Conv2d` and `nn.BatchNorm2d` as the first layers of a net.

    Args:
        names: of their parameters: filters, their bias, the norm's weight and bias.
    """

    def __init__(self, convolution: Convolution, norm: BatchNorm, names: list[str]):
        self.convolution, self.eps = convolution, norm.eps
        self.filters, self.silent, self.weight, self.bias = names

    def forward(self, x, p):
        seen = self.convolution.windows(x)
        u = seen.permute(0, 4, 5, 6, 1, 2, 3).reshape(len(x), self.convolution.seen, -1)
        u = u - u.mean(2, keepdim=True)
        s = torch.bmm(u, u.mT) / u.shape[2]
        w, weight, bias = self._own(p, 1.0)
        sw = s @ w
        r = ((w * sw).sum(1, keepdim=True) + self.eps).rsqrt()
        u = pad(u, (0, 0, 0, 1), value=1.0)  # the bias is one more row of a
        shape = (*seen.shape[:4], w.shape[2])
        return _product(u, w * (weight * r), bias).view(shape), (u, s, sw, r, shape)

    def backward(self, kept, p, gy, first):
        return None, torch.bmm(kept[0], rows(gy))

    def slopes(self, kept, p, pulled):
        _, _, sw, r, _ = kept
        (w, weight, _), (ga, bias) = self._own(p, 1.0), pulled.tensor_split([-1], 1)
        g = (ga * w).sum(1, keepdim=True)  # for weight * r
        return self._named(p, ga * (weight * r) - sw * (r**3 * weight * g), g * r, bias)

    def tangent(self, kept, p, dx, dp):
        u, s, sw, r, shape = kept
        (w, weight, _), (dw, dweight, dbias) = self._own(p, 1.0), self._own(dp, 0.0)
        dr = -(r**3) * (dw * sw).sum(1, keepdim=True)
        dscale = dweight * r + weight * dr
        return _product(u, dw * (weight * r) + w * dscale, dbias).view(shape), (s @ dw, dr, dscale)

    def backward_tangent(self, kept, pulled, moved, p, dp, dgy, first):
        (u, _, sw, r, _), (sdw, dr, dscale) = kept, moved
        (w, weight, _), (dw, dweight, _) = self._own(p, 1.0), self._own(dp, 0.0)
        ga, (dga, dbias) = pulled[:, :-1], torch.bmm(u, rows(dgy)).tensor_split([-1], 1)
        g, dg = (ga * w).sum(1, keepdim=True), (dga * w + ga * dw).sum(1, keepdim=True)
        by = r**3 * weight * g
        dby = 3 * r**2 * dr * weight * g + r**3 * (dweight * g + weight * dg)
        return None, self._named(p, dga * (weight * r) + ga * dscale - sdw * by - sw * dby, dg * r + g * dr, dbias)

    def _own(self, p: Values, missing: float) -> tuple[Tensor, Tensor, Tensor]:
        """Filters `(tasks, seen, channels)`, the norm's weight and its bias, or what stands for them: `(tasks, 1, channels)`."""
        w = matrix(p[self.filters]).mT
        if self.weight in p:
            return w, p[self.weight].unsqueeze(1), p[self.bias].unsqueeze(1)
        one = w.new_ones(len(w), 1, w.shape[2])
        return w, one * missing, one * 0.0

    def _named(self, p: Values, filters: Tensor, weight: Tensor, bias: Tensor) -> Values:
        slopes = {self.filters: filters_of(filters.mT.contiguous(), p[self.filters].shape)}
        if self.silent in p:
            slopes[self.silent] = torch.zeros_like(p[self.silent])
        return slopes | ({self.weight: weight.squeeze(1), self.bias: bias.squeeze(1)} if self.weight in p else {})


def _product(u: Tensor, a: Tensor, bias: Tensor) -> Tensor:
    return torch.bmm(u.mT, torch.cat([a, bias], 1))
