"""Tasks of a sentence encoder with low-rank adapters, side by side: their sentences mixed, sorted by length."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch

from quickstudy.inner.derivatives import Autograd
from quickstudy.learners.together.groups import TASKS
from quickstudy.models.functional import Parameters
from quickstudy.models.heads import HEAD
from quickstudy.models.mixed_lora import MixedLoRA
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import as_tensor

if TYPE_CHECKING:
    from quickstudy.learners.gradient import GradientLearner


class StackedAdapters:
    """Tasks with equally many classes and any number of sentences.

    Sentences of about one length go through the encoder together, whatever their task, so that hardly any padding is
    computed; and each part's gradients are added up before the next is called, so that memory is that of one part.
    """

    def __init__(self, learner: GradientLearner):
        self.encoder, self.loss = learner.model, learner.loss
        self.mixed = MixedLoRA(learner.model)  # type: ignore[arg-type]
        self.derivatives = Autograd(self.objective, learner.model, learner.micro_batch or self.mixed.encoder.chunk)

    @classmethod
    def of(cls, learner: GradientLearner) -> StackedAdapters | None:
        """None of any other model, and where something else than all of its plain adapters moves."""
        return cls(learner) if learner.makes_head and MixedLoRA.fits(learner.model, learner.names) else None

    def alike(self, support: Batch, query: Batch) -> Hashable:
        """The number of classes, of lists of sentences."""
        if not all(isinstance(batch.inputs, list) for batch in (support, query)):
            return None
        return int(as_tensor(support.targets).max()) + 1

    def at_once(self, support: Batch) -> int:
        """As many as memory is bound to."""
        return TASKS

    def laid_out(self, phi: Parameters) -> Parameters:
        """As they are."""
        return phi

    def stacked(self, batches: Sequence[Batch]) -> Batch:
        """All sentences, with the number of their task and their share in its mean; from the shortest to the longest."""
        rows = [
            (sentence, task, 1 / len(batch), int(target))
            for task, batch in enumerate(batches)
            for sentence, target in zip(batch.inputs, as_tensor(batch.targets).tolist(), strict=True)
        ]
        rows.sort(key=lambda row: self.encoder.length(row[0]))  # type: ignore[operator]
        sentences, tasks, shares, targets = (list(column) for column in zip(*rows, strict=True))
        return Batch((sentences, torch.tensor(tasks), shares), torch.tensor(targets))

    def objective(self, phi: Parameters, batch: Batch, whole: bool) -> tuple[torch.Tensor, float]:
        """The part of these rows in the sum over tasks of their mean losses, and their part of all rows' weight, which is 1."""
        sentences, tasks, shares = batch.inputs
        body = {name: value for name, value in phi.items() if name not in HEAD}
        embeddings = self.mixed(body, sentences, tasks)
        logits = (phi[HEAD[0]][tasks] @ embeddings.unsqueeze(2)).squeeze(2) + phi[HEAD[1]][tasks]
        values = self.loss(logits, batch.targets)
        count = len(phi[HEAD[0]])
        return (values * values.new_tensor(shares)).sum(), sum(shares) / count  # type: ignore[operator]
