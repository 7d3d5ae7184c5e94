"""The base of every learner that learns a task by comparing embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.models.batch_norm import looks_across, moves_averages, refuse_one_example
from quickstudy.models.encoder import Encoder
from quickstudy.models.functional import Functional, arguments, seeded, there
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import number
from quickstudy.tasks.task import Task


class MetricLearner(Learner):
    """Embeds support and query with one model; no inner gradient steps. The outer gradient is plain autograd.

    Running averages of batch norm (`models/batch_norm.py`) move in training mode, in `forward` where a gradient is wanted.

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

    def loss(
        self, support: torch.Tensor, support_targets: torch.Tensor, query: torch.Tensor, query_targets: torch.Tensor
    ) -> torch.Tensor:
        """One task's loss from its embeddings."""
        raise TypeError(f"{type(self).__name__} must define loss(...)")

    def forward(self, tasks: Sequence[Task]) -> torch.Tensor:
        """The mean loss over tasks."""
        if not tasks:
            raise QuickstudyError("an outer step needs at least one task")
        pairs = [number(task.support, task.query)[0] for task in tasks]
        embeddings = self._embeddings(pairs)
        losses = [
            self.loss(left, support.targets.to(left.device), right, query.targets.to(right.device))
            for (left, right), (support, query) in zip(embeddings, pairs, strict=True)
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def adapt(self, support: Batch) -> Adapted:
        """Embeds the support and keeps what the head needs of it."""
        (support,), classes = number(support)
        with seeded(support.seed, self.model):
            embeddings = self.embed(support.inputs)
        head = self.head(embeddings, support.targets.to(embeddings.device))
        return Adapted(self.model, self._function, head=head, classes=classes)

    def embed(self, inputs: Any) -> torch.Tensor:
        """Embeddings `(examples, dim)` without a graph; an encoder looks up those that it remembers."""
        with torch.no_grad():
            alone = isinstance(self.model, Encoder) and not looks_across(self.model)
            return self.model.embed(inputs) if alone else self._call(inputs)  # type: ignore[operator]

    def _embeddings(self, pairs: Sequence[Sequence[Batch]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Embeddings of support and query of each task.

        An encoder takes the sentences of all tasks together, sorted by length; in training mode those of one task, since
        each task's dropout comes from its own seed. Batch norm that keeps averages sees support and query of a task as one
        batch, as the code of Snell et al. has it; with each call's own statistics alone it sees them apart, as it will when
        a task is learned and then asked about.
        """
        together = moves_averages(self.model)
        sentences = isinstance(self.model, Encoder) and all(isinstance(b.inputs, list) for pair in pairs for b in pair)
        if not together and (not sentences or looks_across(self.model)):
            return [self._seeded(pair[0].seed, lambda pair=pair: tuple(self._call(b.inputs) for b in pair)) for pair in pairs]
        groups = [[pair] for pair in pairs] if self.model.training or together else [pairs]
        return [part for group in groups for part in self._seeded(group[0][0].seed, lambda group=group: self._together(group))]

    def _together(self, pairs: Sequence[Sequence[Batch]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        batches = [batch for pair in pairs for batch in pair]
        parts = self._call(_joined([batch.inputs for batch in batches])).split([len(batch) for batch in batches])
        return list(zip(parts[::2], parts[1::2], strict=True))

    def _call(self, inputs: Any) -> torch.Tensor:
        """The model's output. In an outer step it moves the averages of the model's own batch norm, and else nothing."""
        refuse_one_example(self.model, len(Batch(inputs)))
        if torch.is_grad_enabled() and moves_averages(self.model):
            args, kwargs = arguments(there(inputs, self.model))
            return self.model(*args, **kwargs)
        return self._function({}, inputs)

    def _seeded(self, seed: int, embed: Callable[[], Any]) -> Any:
        with seeded(seed, self.model):
            return embed()


def _joined(parts: Sequence[Any]) -> Any:
    """The inputs of several batches as those of one."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple):
        return tuple(map(_joined, zip(*parts, strict=True)))
    return torch.cat(list(parts)) if isinstance(first, torch.Tensor) else [item for part in parts for item in part]
