"""How good a learner is on a person's own labels, measured on the part of them that it did not learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quickstudy.evaluation.cross_validation import cross_validate, embedded_once
from quickstudy.evaluation.evaluate import Progress
from quickstudy.learners.base import Learner
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import classes_of

SHARED = 2.0
"""How many held-out answers count as one: they share what was learned from, so they vary more than as many coins would
(Bengio and Grandvalet 2004). With 1, the interval held the truth in 87.5% of 400 tasks (benchmarks/coverage.py, seed 0)."""


@dataclass(frozen=True)
class Estimate:
    """Accuracy by cross-validation, with a 95% interval (Wilson's, of half as many). None where nothing could be held out."""

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
        count, z = self.judged / SHARED, 1.959964
        share = self.correct / self.judged
        middle = (share * count + z**2 / 2) / (count + z**2)
        half = z / (count + z**2) * math.sqrt(share * (1 - share) * count + z**2 / 4)
        return max(0.0, middle - half), min(1.0, middle + half)

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


def held_out_accuracy(learner: Learner, batch: Batch, *, progress: Progress | None = None) -> Estimate:
    """Learns from all folds but one and judges on that one, in turn; labels with a single example only help to learn.

    A learner that chooses among candidates chooses anew in each fold, so what is judged took no part in the choice.
    """
    classes = classes_of(batch.targets)
    reading = (lambda done, of: progress("reading the sentences", done, of)) if progress else None
    checking = (lambda done, of: progress("checking on held-out sentences", done, of)) if progress else None
    with embedded_once(learner, batch, reading):
        found = cross_validate(learner, batch, classes, report=checking)
    checked = set(found.targets.tolist()) if found else set()
    alone = [str(name) for i, name in enumerate(classes) if i not in checked]  # its other example may be its name
    return Estimate(int(found.right.sum()), len(found.rows), found.folds, alone) if found else Estimate(0, 0, 0, alone)
