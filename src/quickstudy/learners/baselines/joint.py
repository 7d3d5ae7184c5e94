"""Joint training: the same examples as meta-training, without tasks; then fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.losses import total
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.fine_tune import FineTune
from quickstudy.models.device import like
from quickstudy.models.encoder import Encoder
from quickstudy.models.functional import seeded
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import is_labels, numbered
from quickstudy.tasks.task import Task


class JointTraining(FineTune):
    """One model for all tasks at once, on support and query alike; a new task then fine-tunes it.

    Args:
        classes: every label of the training tasks, for an encoder: it gets one head over all of them.
        outer_lr: for the outer optimizer.
    """

    def __init__(
        self, model: nn.Module, lr: float = 0.001, outer_lr: float = 0.001, *, classes: Sequence[str] = (), **settings: Any
    ):
        super().__init__(model, lr, **settings)
        self.outer_lr, self.classes = outer_lr, list(classes)
        if isinstance(model, Encoder):
            self.weight = nn.Parameter(like(model).new_zeros(len(self.classes), model.dim))
            self.bias = nn.Parameter(like(model).new_zeros(len(self.classes)))

    @property
    def title(self) -> str:
        """Its name alone: joint training is what tells it apart, not what it moves."""
        return type(self).__name__

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The model's own trainable parameters, and the joint head."""
        return Learner.parameters(self, recurse)

    def forward(self, tasks: Sequence[Task]) -> torch.Tensor:
        """The mean over tasks of the plain loss on all examples of each."""
        if not tasks:
            raise QuickstudyError("an outer step needs at least one task")
        losses = []
        for task in tasks:
            with seeded(task.seed, self.model):
                sums = [self._joint(batch) for batch in self._examples(task)]
            losses.append(sum(value for value, _ in sums) / sum(weight for _, weight in sums))
        return torch.stack(losses).mean()

    def _examples(self, task: Task) -> Sequence[Batch]:
        """Support and query; sentences in one batch, since an encoder that sorts them all by length pads far less."""
        support, query = task.support, task.query
        parts = (support.inputs, support.targets, query.inputs, query.targets)
        if not (isinstance(self.model, Encoder) and all(isinstance(part, list) for part in parts)):
            return support, query
        return (replace(support, inputs=[*support.inputs, *query.inputs], targets=[*support.targets, *query.targets]),)

    def _joint(self, batch: Batch):
        output = self._function({}, batch.inputs)
        if isinstance(self.model, Encoder) or is_labels(batch.targets):
            if not is_labels(batch.targets) or not self.classes:
                raise QuickstudyError("joint training on labels, or of an encoder, needs labels, and classes= with all of them")
            batch = replace(batch, targets=numbered(batch.targets, self.classes))
        if isinstance(self.model, Encoder):
            output = F.linear(output, self.weight, self.bias)
        return total(self.loss, output, batch.targets)
