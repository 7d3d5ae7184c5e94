"""Meta-SGD (Li, Zhou, Chen and Li 2017)."""

from __future__ import annotations

from typing import Any

from torch import nn

from quickstudy.inner.rules import Rates
from quickstudy.learners.gradient import GradientLearner


class MetaSGD(GradientLearner):
    """MAML that learns a rate for every element beside the initialisation: phi' = phi - alpha o g (equation 1).

    The rates all start at `inner_lr`, and may change their sign. The head that a task gets on top of an encoder has one rate
    for its weight and one for its bias, since its shape differs from task to task.
    """

    def __init__(self, model: nn.Module, inner_lr: float = 0.01, outer_lr: float = 0.001, **settings: Any):
        super().__init__(model, Rates(inner_lr, per="element"), outer_lr, **settings)
