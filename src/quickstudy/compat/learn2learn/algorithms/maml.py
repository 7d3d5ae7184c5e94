"""MAML (Finn, Abbeel and Levine 2017) as a wrapper: clone it, adapt the clone, backpropagate to the original."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from quickstudy.compat.learn2learn.algorithms.base_learner import BaseLearner, chosen
from quickstudy.compat.learn2learn.cloning import clone_module, update_module
from quickstudy.compat.learn2learn.gradients import inner_gradient


def maml_update(model: nn.Module, lr: float | torch.Tensor, grads: Sequence[torch.Tensor | None] | None = None) -> nn.Module:
    """One step phi - lr g of the model, which then holds new tensors; returns it.

    Args:
        grads: one for each of `model.parameters()`; None leaves a parameter as it is. Without any, they are the parameters'
            own `.grad`.
    """
    grads = [p.grad for p in model.parameters()] if grads is None else grads
    return update_module(model, [None if g is None else -lr * g for g in grads])


class MAML(BaseLearner):
    """A module with `clone()` and `adapt(loss)`.

    `quickstudy.MAML` has the same gradient at the memory of one step, since it calls the model itself.

    Args:
        model: held, not copied.
        lr: of a step.
        first_order: whether each step's gradient counts as constant.
        allow_unused: whether a loss may not depend on some parameters; they then stay as they are. None: `allow_nograd`.
        allow_nograd: whether parameters may be frozen; likewise.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        first_order: bool = False,
        allow_unused: bool | None = None,
        allow_nograd: bool = False,
    ):
        super().__init__(model)
        self.lr, self.first_order, self.allow_nograd = lr, first_order, allow_nograd
        self.allow_unused = chosen(allow_unused, allow_nograd)

    def clone(self, first_order: bool | None = None, allow_unused: bool | None = None, allow_nograd: bool | None = None) -> MAML:
        """A wrapper of a clone of the module, with these options or its own."""
        return MAML(
            clone_module(self.module),
            self.lr,
            first_order=chosen(first_order, self.first_order),
            allow_unused=chosen(allow_unused, self.allow_unused),
            allow_nograd=chosen(allow_nograd, self.allow_nograd),
        )

    def adapt(
        self,
        loss: torch.Tensor,
        first_order: bool | None = None,
        allow_unused: bool | None = None,
        allow_nograd: bool | None = None,
    ) -> None:
        """One step of the module along the loss's gradient, with these options or its own.

        Raises:
            QuickstudyError: the loss has no gradient for a parameter, and no option allows it.
        """
        second_order = not chosen(first_order, self.first_order)
        gradients = inner_gradient(
            loss,
            self.module.named_parameters(),
            create_graph=second_order,
            allow_unused=chosen(allow_unused, self.allow_unused),
            allow_nograd=chosen(allow_nograd, self.allow_nograd),
        )
        maml_update(self.module, self.lr, gradients)
