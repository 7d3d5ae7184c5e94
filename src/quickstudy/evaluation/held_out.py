"""How good a learner is on a person's own labels, measured on the part of them that it did not learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quickstudy.evaluation.evaluate import Progress
from quickstudy.learners.base import Learner
from quickstudy.models.encoder import Encoder
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.names import with_names

FOLDS = 5


@dataclass(frozen=True)
class Estimate:
    """Accuracy by cross-validation, with a 95% interval (Wilson). None where nothing could be held out."""

    correct: int
    judged: int
    folds: int
    unchecked: Sequence[str]

    @property
    def accuracy(self) -> float | None:
        """The share of held-out sentences that were right."""
        return self.correct / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95% interval."""
        if not self.judged:
            return None
        from scipy.stats import binomtest

        ends = binomtest(self.correct, self.judged).proportion_ci(method="wilson")
        return float(ends.low), float(ends.high)

    def sentence(self) -> str:
        """The estimate in words, and what it does not cover."""
        if self.accuracy is None or self.interval is None:
            return "Its accuracy could not be measured: every label has a single example, so nothing could be held out."
        low, high = self.interval
        words = (
            f"Expected accuracy {100 * self.accuracy:.0f}% ({100 * low:.0f} to {100 * high:.0f}), measured by {self.folds}-fold "
            f"cross-validation on {self.judged} sentences; what was saved learned from all of them."
        )
        if self.unchecked:
            words += (
                " Not checked, with a single example: "
                f"{', '.join(self.unchecked[:5])}{', ...' if len(self.unchecked) > 5 else ''}."
            )
        return words


def held_out_accuracy(learner: Learner, batch: Batch, *, names: bool = False, progress: Progress | None = None) -> Estimate:
    """Learns from all folds but one and judges on that one, in turn; labels with a single example only help to learn."""
    counts = Counter(batch.targets)
    alone = [label for label, count in counts.items() if count == 1]
    judged = [i for i, label in enumerate(batch.targets) if counts[label] > 1]
    if not judged:
        return Estimate(0, 0, 0, alone)
    from sklearn.model_selection import StratifiedKFold

    labels = np.array([batch.targets[i] for i in judged])
    folds = min(FOLDS, *(counts[label] for label in set(labels)))
    correct = 0
    with _remembered(learner, with_names(batch) if names else batch, progress):
        for done, (_, test) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels), start=1):
            held_out = {judged[i] for i in test}
            rest = [i for i in range(len(batch)) if i not in held_out]
            asked = batch.take(sorted(held_out))
            learned = learner.adapt(with_names(batch.take(rest)) if names else batch.take(rest))
            predicted = learned.predict(asked.inputs)
            correct += sum(p == t for p, t in zip(predicted, asked.targets, strict=True))
            if progress:
                progress("checking on held-out sentences", done, folds)
    return Estimate(correct, len(judged), folds, alone)


def _remembered(learner: Learner, batch: Batch, progress: Progress | None):
    from contextlib import nullcontext

    model = getattr(learner, "model", None)
    if not isinstance(model, Encoder) or not learner.frozen_features:
        return nullcontext()
    report = (lambda done, of: progress("reading the sentences", done, of)) if progress else None
    return model.remember(model.memory(batch.inputs, progress=report))
