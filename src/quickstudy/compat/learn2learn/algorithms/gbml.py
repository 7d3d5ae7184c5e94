"""Gradient-based meta-learning with any learned transform of the gradient, as a wrapper."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from quickstudy.compat.learn2learn.algorithms.base_learner import BaseLearner, chosen
from quickstudy.compat.learn2learn.cloning import clone_module
from quickstudy.compat.learn2learn.gradients import inner_gradient
from quickstudy.compat.learn2learn.optim.parameter_update import ParameterUpdate
from quickstudy.compat.learn2learn.optim.update_rules import DifferentiableSGD


class GBML(BaseLearner):
    """A module with `clone()` and `adapt(loss)`: phi' = phi - lr T(g), with a learned T for each parameter.

    Meta-SGD where T scales each element, Meta-Curvature (Park and Oliva 2019) where it is `MetaCurvatureTransform`, KFO
    (Arnold et al. 2021) where it is `KroneckerTransform`.

    Args:
        module: held, not copied.
        transform: from a parameter to the module T, or to None for the gradient as it is.
        lr: of a step.
        adapt_transform: whether T moves too while a task is learned: at each step after the first, along the gradient of
            the loss through the step before.
        first_order: whether each step's gradient counts as constant.
        allow_unused: whether a loss may not depend on some parameters; they then stay as they are.
        allow_nograd: whether parameters may be frozen; likewise.
        compute_update: the transforms, where they are already made.
    """

    def __init__(
        self,
        module: nn.Module,
        transform: Callable[[torch.Tensor], nn.Module | None],
        lr: float = 1.0,
        adapt_transform: bool = False,
        first_order: bool = False,
        allow_unused: bool = False,
        allow_nograd: bool = False,
        compute_update: ParameterUpdate | None = None,
    ):
        super().__init__(module)
        self.transform, self.lr, self.adapt_transform = transform, lr, adapt_transform
        self.first_order, self.allow_unused, self.allow_nograd = first_order, allow_unused, allow_nograd
        self.compute_update = compute_update or ParameterUpdate(module.parameters(), transform)
        self.diff_sgd = DifferentiableSGD(lr)
        self._stepped = False  # whether the loss depends on the transforms

    def clone(
        self,
        first_order: bool | None = None,
        allow_unused: bool | None = None,
        allow_nograd: bool | None = None,
        adapt_transform: bool | None = None,
    ) -> GBML:
        """A wrapper of a clone of the module and of the transforms, with these options or its own."""
        return GBML(
            clone_module(self.module),
            self.transform,
            self.lr,
            adapt_transform=chosen(adapt_transform, self.adapt_transform),
            first_order=chosen(first_order, self.first_order),
            allow_unused=chosen(allow_unused, self.allow_unused),
            allow_nograd=chosen(allow_nograd, self.allow_nograd),
            compute_update=clone_module(self.compute_update),  # type: ignore[arg-type]
        )

    def adapt(
        self,
        loss: torch.Tensor,
        first_order: bool | None = None,
        allow_nograd: bool | None = None,
        allow_unused: bool | None = None,
    ) -> None:
        """One step of the module, and before it one of the transforms where they move too; with these options or its own.

        Raises:
            QuickstudyError: the loss has no gradient for a parameter, and no option allows it.
        """
        second_order = not chosen(first_order, self.first_order)
        allow_unused, allow_nograd = chosen(allow_unused, self.allow_unused), chosen(allow_nograd, self.allow_nograd)
        transforms = dict(self.compute_update.named_parameters())
        if self.adapt_transform and self._stepped and transforms:
            gradients = inner_gradient(
                loss,
                transforms.items(),
                create_graph=second_order,
                retain_graph=True,
                allow_unused=allow_unused,
                allow_nograd=allow_nograd,
            )
            self.diff_sgd(self.compute_update, gradients)
        updates = self.compute_update(
            loss,
            self.module.parameters(),
            create_graph=second_order,
            allow_unused=allow_unused,
            allow_nograd=allow_nograd,
        )
        self.diff_sgd(self.module, updates)
        self._stepped = True
