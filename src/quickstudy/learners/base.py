"""The one protocol that every learner follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import nn

from quickstudy.learners.adapted import Adapted
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

Kind = Literal["classify", "regress", "language", "act"]


class Learner(nn.Module):
    """Learning to learn: one algorithm.

    Attributes:
        kinds: what it can learn: "classify", "regress", "language", "act".
        outer_lr: the rate that the outer optimizer is to use.
        progress: 0 to 1, how far training is; set by the Run, for annealing.
        frozen_features: whether learning a task leaves the model as it is, so that each example can be embedded once.
        language_models_only: whether its model has to be a `LanguageModel`; sentences with labels it puts into words itself.
    """

    kinds: tuple[Kind, ...] = ("classify",)
    outer_lr: float = 0.001
    progress: float = 0.0
    frozen_features: bool = False
    language_models_only: bool = False

    @property
    def title(self) -> str:
        """What it is called in tables, which may hold several of one class."""
        return type(self).__name__

    def batches(self, tasks: Sequence[Task]) -> Iterable[Any]:
        """The parts of one outer step; only learners that act override it (roll out, yield minibatches)."""
        yield tasks

    def forward(self, tasks: Sequence[Task]) -> torch.Tensor:
        """The outer objective, the mean over tasks; `.backward()` gives the outer gradient."""
        raise TypeError(f"{type(self).__name__} has nothing to meta-learn: evaluate it or adapt it as it is")

    def adapt(self, support: Batch) -> Adapted:
        """Learns one task. Never changes the learner."""
        raise TypeError(f"{type(self).__name__} must define adapt(support)")

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """What the outer optimizer moves: the parameters that require a gradient."""
        return (parameter for parameter in super().parameters(recurse) if parameter.requires_grad)
