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


@dataclass(frozen=True)
class Estimate:
    """Accuracy by cross-validation, with a 95% interval. None where nothing could be held out."""

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
        """Its 95% interval, rounded outward to whole percent.

        The exact one (Clopper and Pearson 1934), which does not claim too much near 100% as approximate ones do. What is saved
        learned from all examples, what was checked from all folds but one; errors become fewer with examples, at most in
        proportion to their number, and the upper end allows for that.
        """
        if not self.judged:
            return None
        from scipy.special import betaincinv

        right, wrong = self.correct, self.judged - self.correct
        low = float(betaincinv(right, wrong + 1, 0.025)) if right else 0.0
        high = float(betaincinv(right + 1, wrong, 0.975)) if wrong else 1.0
        high = 1 - (1 - high) * (self.folds - 1) / self.folds
        return math.floor(100 * low) / 100, math.ceil(100 * high) / 100

    def sentence(self, reads: str = "sentence") -> str:
        """The estimate in words, and what it does not cover; `reads` says what an example is."""
        if self.accuracy is None or self.interval is None:
            return "Its accuracy could not be measured: every label has a single example, so nothing could be held out."
        low, high = self.interval
        words = (
            f"Expected accuracy {100 * self.accuracy:.0f}% ({100 * low:.0f} to {100 * high:.0f}), measured by {self.folds}-fold "
            f"cross-validation on {self.judged} {reads}s; what was saved learned from all of them."
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
    reading = (lambda done, of: progress("reading the examples", done, of)) if progress else None
    checking = (lambda done, of: progress("checking on held-out examples", done, of)) if progress else None
    with embedded_once(learner, batch, reading):
        found = cross_validate(learner, batch, classes, report=checking)
    checked = set(found.targets.tolist()) if found else set()
    alone = [str(name) for i, name in enumerate(classes) if i not in checked]  # its other example may be its name
    return Estimate(int(found.right.sum()), len(found.rows), found.folds, alone) if found else Estimate(0, 0, 0, alone)
