"""Reptile (Nichol, Achiam and Schulman 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.derivatives import Derivatives
from quickstudy.inner.loop import InnerLoop
from quickstudy.inner.meta_gradient import Learned, with_start
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch


class Reptile(GradientLearner):
    """Moves the initialisation towards what each task learned: theta + eps * mean_i(theta'_i - theta) (algorithm 2).

    The gradient it hands out is mean_i(theta - theta'_i), so plain SGD with rate eps makes exactly that update. The
    paper's formula sums over tasks where its text says the average; this is the average. The query is used for the
    value of the loss alone, never for the direction.

    Args:
        inner_batch: examples in the minibatch of each inner step, drawn anew from the support (without repetition
            until it is used up). None: the whole support at each step.
    """

    def __init__(
        self, model: nn.Module, inner_lr: Any = 0.01, outer_lr: float = 0.001, *, inner_batch: int | None = None, **settings: Any
    ):
        if settings.get("gradient", "first_order") != "first_order" or settings.get("keep_graph"):
            raise QuickstudyError("Reptile takes no gradient through the inner loop: leave gradient= and keep_graph= out")
        settings["gradient"] = "first_order"
        super().__init__(model, inner_lr, outer_lr, **settings)
        if any(True for _ in self.rule.parameters()):
            raise QuickstudyError(
                "Reptile's direction says nothing about rates: give a fixed inner_lr, or use MAML to learn them"
            )
        self.inner_batch = inner_batch

    def inner_batches(self, support: Batch, steps: int) -> Sequence[Batch]:
        """The minibatch of each inner step, drawn from the support's seed."""
        return support.minibatches(steps, self.inner_batch)

    def differentiate(
        self,
        inner: Derivatives,
        outer: Derivatives,
        phi_0: Parameters,
        batches: Sequence[Batch],
        query: Batch,
        learned: Sequence[torch.Tensor],
    ) -> Learned:
        """The query loss after adapting, and the direction phi_0 - phi_K as the gradient."""
        phi = InnerLoop(inner, self.rule, self.model).learn(phi_0, batches).phi
        direction = {name: (start - phi[name]).detach() for name, start in phi_0.items()}
        nothing = [torch.zeros_like(p) for p in learned]
        return outer.value(phi, query), with_start(learned, nothing, phi_0, direction)
