"""Almost No Inner Loop (Raghu, Raghu, Bengio and Vinyals 2020)."""

from __future__ import annotations

from typing import Any

from torch import nn

from quickstudy.learners.gradient import GradientLearner


class ANIL(GradientLearner):
    """MAML whose inner loop moves the head alone; the body is learned by the outer loop, through the head's learning.

    The query loss depends on the body both directly and by way of the adapted head: both parts of the gradient count.
    """

    def __init__(self, model: nn.Module, inner_lr: Any = 0.01, outer_lr: float = 0.001, *, space: Any = "head", **settings: Any):
        super().__init__(model, inner_lr, outer_lr, space=space, **settings)
