"""The base of every learner that learns a task by comparing embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.learners.gradient import number
from quickstudy.models.encoder import Encoder
from quickstudy.models.functional import Functional, seeded
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task


class MetricLearner(Learner):
    """Embeds support and query with one model; no inner gradient steps. The outer gradient is plain autograd.

    Args:
        model: an `Encoder`, or any module whose output is `(examples, dim)`.
        outer_lr: for the outer optimizer.
        scale: the inverse temperature of the comparison. None: 1 as in the papers, or 20 where the model gives
            embeddings of unit length, whose distances are too alike for a softmax otherwise.
    """

    kinds = ("classify",)
    frozen_features = True

    def __init__(self, model: nn.Module, outer_lr: float = 0.001, *, scale: float | None = None):
        super().__init__()
        self.model, self.outer_lr = model, outer_lr
        self.scale = scale if scale is not None else (20.0 if getattr(model, "normalize", False) else 1.0)
        self._function = Functional(model)

    def head(self, embeddings: torch.Tensor, targets: torch.Tensor) -> nn.Module:
        """The head that these support embeddings `(examples, dim)` make."""
        raise TypeError(f"{type(self).__name__} must define head(embeddings, targets)")

    def loss(self, support: torch.Tensor, support_targets: torch.Tensor, query: torch.Tensor, query_targets: torch.Tensor):
        """One task's loss from its embeddings."""
        raise TypeError(f"{type(self).__name__} must define loss(...)")

    def forward(self, tasks: Sequence[Task]) -> torch.Tensor:
        """The mean loss over tasks."""
        if not tasks:
            raise QuickstudyError("an outer step needs at least one task")
        pairs = [number(task.support, task.query) for task in tasks]
        batches = [batch for support, query, _ in pairs for batch in (support, query)]
        with seeded(tasks[0].seed, self.model):
            embeddings = self._embeddings([batch.inputs for batch in batches])
        losses = [
            self.loss(
                embeddings[i], self._like(s.targets, embeddings[i]), embeddings[i + 1], self._like(q.targets, embeddings[i])
            )
            for i, (s, q, _) in zip(range(0, len(embeddings), 2), pairs, strict=True)
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def adapt(self, support: Batch) -> Adapted:
        """Embeds the support and keeps what the head needs of it."""
        support, _, classes = number(support)
        with seeded(support.seed, self.model):
            embeddings = (
                self.model.embed(support.inputs) if isinstance(self.model, Encoder) else self._function({}, support.inputs)
            )
        head = self.head(embeddings, self._like(support.targets, embeddings))
        return Adapted(self.model, self._function, head=head, classes=classes)

    def _embeddings(self, inputs: Sequence[Any]) -> Sequence[torch.Tensor]:
        """Embeddings of several inputs; sentences of all tasks go through the encoder together, sorted by length."""
        if not (isinstance(self.model, Encoder) and all(isinstance(part, list) for part in inputs)):
            return [self._function({}, part) for part in inputs]
        joined = self._function({}, [sentence for part in inputs for sentence in part])
        return joined.split([len(part) for part in inputs])

    @staticmethod
    def _like(targets: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        return targets.to(embeddings.device)
