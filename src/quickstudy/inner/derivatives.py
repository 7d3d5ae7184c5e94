"""The derivatives of a loss that the inner loop asks for: its gradient, and the product of its Hessian and a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.refusals import twice_differentiable, untouched
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch

Objective = Callable[[Parameters, Batch, bool], tuple[torch.Tensor, torch.Tensor | float]]
"""`(phi, examples, whole) -> (weighted sum of the losses, sum of the weights)`; may depend on eta beside phi."""
Tensors = list[torch.Tensor]


class Derivatives(Protocol):
    """What the inner loop asks of a loss; eta is whatever it depends on beside phi."""

    def value(self, phi: Parameters, batch: Batch) -> torch.Tensor:
        """The mean loss, without a graph."""
        ...

    def slope(
        self, phi: Parameters, batch: Batch, eta: Sequence[torch.Tensor] = (), keep: bool = False
    ) -> tuple[Any, Any, Parameters, Tensors]:
        """Value, what `hessian_vector` asks for again, gradient for phi and gradient for eta of the mean loss; no graph survives.

        Args:
            keep: whether that may take memory to save time.
        """
        ...

    def hessian_vector(
        self, batch: Batch, phi: Parameters, kept: Any, vector: Parameters, eta: Sequence[torch.Tensor]
    ) -> tuple[Parameters, Tensors]:
        """dz/dphi and dz/deta of z = <dL/dphi, vector>, with L the mean loss; `kept` is used up."""
        ...


@dataclass(frozen=True)
class Autograd:
    """The derivatives of any model's loss.

    Args:
        objective: the loss, as sums over examples.
        model: what it calls.
        micro_batch: at most so many examples in one call of the model. Gradients and Hessian-vector products are sums
            over examples, so the result is the same and memory is flat in the size of the support.
    """

    objective: Objective
    model: nn.Module
    micro_batch: int | None = None

    @torch.no_grad()
    def value(self, phi: Parameters, batch: Batch) -> torch.Tensor:
        """The mean loss, without a graph."""
        return self.mean(phi, batch)

    def slope(self, phi: Parameters, batch: Batch, eta: Sequence[torch.Tensor] = (), keep: bool = False):
        """Value, sum of weights (all that is ever kept), gradient for phi and for eta of the mean loss; no graph survives."""
        with torch.enable_grad():
            phi = leaves(phi)
            wanted = [*phi.values(), *eta]
            value, weight, sums = 0.0, 0.0, None
            for part in batch.split(self.micro_batch):
                with untouched(phi):
                    part_value, part_weight = self.objective(phi, part, len(part) == len(batch))
                gradients = gradients_of(part_value, wanted)
                sums = gradients if sums is None else plus(sums, gradients)
                value, weight = value + part_value.detach(), weight + part_weight
        if sums is None:
            raise QuickstudyError("a task with an empty batch: there is nothing to learn from or to be judged on")
        means = [s / weight for s in sums]
        return torch.as_tensor(value / weight), weight, dict(zip(phi, means, strict=False)), means[len(phi) :]

    def hessian_vector(
        self, batch: Batch, phi: Parameters, kept: torch.Tensor | float, vector: Parameters, eta: Sequence[torch.Tensor]
    ) -> tuple[Parameters, Tensors]:
        """dz/dphi and dz/deta of z = <dL/dphi, vector>, with L the mean loss of a batch whose weights sum to `kept`."""
        with torch.enable_grad():
            phi = leaves(phi)
            wanted = [*phi.values(), *eta]
            sums = [torch.zeros_like(w) for w in wanted]
            for part in batch.split(self.micro_batch):
                value, _ = self.objective(phi, part, len(part) == len(batch))
                twice_differentiable(value, self.model, lambda part=part: self.objective(phi, part, len(part) == len(batch)))
                gradient = gradients_of(value, list(phi.values()), create_graph=True)
                z = sum((g * vector[name]).sum() for name, g in zip(phi, gradient, strict=True))
                if isinstance(z, torch.Tensor) and z.requires_grad:
                    sums = plus(sums, gradients_of(z, wanted))
        means = [s / kept for s in sums]
        return dict(zip(phi, means, strict=False)), means[len(phi) :]

    def mean(self, phi: Parameters, batch: Batch) -> torch.Tensor:
        """The mean loss, with a graph."""
        total, weight = self.sums(phi, batch)
        return torch.as_tensor(total / weight)

    def sums(self, phi: Parameters, batch: Batch):
        """The weighted sum of the losses and the sum of the weights over all parts of a batch."""
        total, weight = 0.0, 0.0
        for part in batch.split(self.micro_batch):
            with untouched(phi):
                value, part_weight = self.objective(phi, part, len(part) == len(batch))
            total, weight = total + value, weight + part_weight
        return total, weight


def leaves(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same values, without a graph behind them and ready for one."""
    return {name: value.detach().requires_grad_() for name, value in values.items()}


def plus(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> Tensors:
    """The sums, one by one."""
    return [a + b for a, b in zip(left, right, strict=True)]


def gradients_of(value: torch.Tensor, wanted: Sequence[torch.Tensor], *, create_graph: bool = False) -> Tensors:
    """The gradient for each of `wanted`, zero where there is none.

    Raises:
        QuickstudyError: a value that depends on nothing.
    """
    if not wanted:
        return []
    if not value.requires_grad:
        raise QuickstudyError(
            "the loss does not depend on any parameter that learns: its graph was cut (detach, no_grad, a conversion "
            "to NumPy), or the parameters in the adaptation space are not used"
        )
    return list(torch.autograd.grad(value, wanted, create_graph=create_graph, allow_unused=True, materialize_grads=True))
