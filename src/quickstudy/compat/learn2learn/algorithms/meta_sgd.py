"""Meta-SGD (Li, Zhou, Chen and Li 2017) as a wrapper: MAML with a learned rate for each element."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from quickstudy.compat.learn2learn.algorithms.base_learner import BaseLearner, chosen
from quickstudy.compat.learn2learn.cloning import clone_module, clone_parameters, update_module
from quickstudy.compat.learn2learn.gradients import inner_gradient
from quickstudy.errors import QuickstudyError


def meta_sgd_update(
    model: nn.Module, lrs: Iterable[torch.Tensor], grads: Sequence[torch.Tensor | None] | None = None
) -> nn.Module:
    """One step phi - lr o g of the model, which then holds new tensors; returns it.

    Args:
        lrs: the rates, one tensor for each of `model.parameters()`.
        grads: likewise; None leaves a parameter as it is. Without any, they are the parameters' own `.grad`.

    Raises:
        QuickstudyError: more or fewer rates than gradients.
    """
    lrs, grads = list(lrs), [p.grad for p in model.parameters()] if grads is None else grads
    if len(lrs) != len(grads):
        raise QuickstudyError(f"{len(lrs)} rates for {len(grads)} gradients: give one for each parameter")
    return update_module(model, [None if g is None else -lr * g for lr, g in zip(lrs, grads, strict=True)])


class MetaSGD(BaseLearner):
    """A module with `clone()` and `adapt(loss)`, and the rates of its elements among its parameters.

    Args:
        model: held, not copied.
        lr: where each rate starts.
        first_order: whether each step's gradient counts as constant.
        lrs: the rates, one tensor for each parameter, in the place of `lr`.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 1.0,
        first_order: bool = False,
        lrs: nn.ParameterList | list[torch.Tensor] | None = None,
    ):
        super().__init__(model)
        self.lrs = nn.ParameterList(torch.full_like(p, lr) for p in model.parameters()) if lrs is None else lrs
        self.first_order = first_order

    def clone(self) -> MetaSGD:
        """A wrapper of a clone of the module, with clones of the rates."""
        return MetaSGD(clone_module(self.module), first_order=self.first_order, lrs=clone_parameters(self.lrs))

    def adapt(self, loss: torch.Tensor, first_order: bool | None = None) -> None:
        """One step of the module along the loss's gradient.

        Raises:
            QuickstudyError: the loss has no gradient for a parameter.
        """
        second_order = not chosen(first_order, self.first_order)
        gradients = inner_gradient(loss, self.module.named_parameters(), create_graph=second_order)
        meta_sgd_update(self.module, self.lrs, gradients)
