"""A value that already knows its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.autograd.function import once_differentiable


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, count, *gradients_and_parameters):
        ctx.save_for_backward(*gradients_and_parameters[:count])
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        gradients = ctx.saved_tensors
        return (None, None, *(None for _ in gradients), *(grad * g for g in gradients))


def with_gradient(value: torch.Tensor, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """A scalar whose `.backward()` gives these parameters these gradients, times whatever it is scaled by."""
    return _WithGradient.apply(value.detach(), len(gradients), *gradients, *parameters)
