"""Fine-tuning on the support, from the pretrained model, without any meta-learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from quickstudy.inner.rules import Adam
from quickstudy.learners.gradient import GradientLearner
from quickstudy.tasks.batch import Batch


class FineTune(GradientLearner):
    """Adam on the support for a number of steps.

    Args:
        lr: Adam's rate.
        steps: how many.
        batch: examples in a step, drawn from the support's seed.
        space: `"trainable"` moves the adapters of a model that has some; `"."` all weights; `"head"` the head alone.
    """

    def __init__(
        self, model: nn.Module, lr: float = 0.001, *, steps: int = 50, batch: int = 32, space: Any = "trainable", **settings: Any
    ):
        super().__init__(model, lr, inner_steps=steps, gradient="first_order", space=space, **settings)
        self.rule, self.batch = Adam(lr), batch

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned."""
        return iter(())

    def inner_batches(self, support: Batch) -> Sequence[Batch]:
        """The minibatch of each step."""
        return support.minibatches(self.inner_steps, self.batch)
