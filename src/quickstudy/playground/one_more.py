"""What one more example a label would bring, going by what the last ones brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quickstudy.evaluation.evaluate import evaluate
from quickstudy.evaluation.statistics import Interval
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.default import WITHOUT, Default
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.table import Table

SHOTS = (1, 2, 3, 4, 6, 9, 14, 20)
TASKS, QUERIES = 25, 3
"""Draws of each number of examples, and how many others of each label they are judged on, where so many are left."""
FEWEST = 0.002
"""What no errors at all count as, which have no logarithm."""
LEAST = 3
"""Examples that each label needs: one and two to learn from are two points, and a curve needs as many."""


@dataclass(frozen=True)
class Curve:
    """Accuracy over examples a label.

    Args:
        points: (examples a label, accuracy, its 95% interval over draws).
        now: how many examples a label there are.
    """

    points: Sequence[tuple[int, float, Interval]]
    now: float

    def at(self, shots: float) -> float:
        """The accuracy with so many: one less the errors, which follow a power law, errors = a shots^-b.

        That is how errors fall with data on most tasks (Hestness et al. 2017, section 3); fitted to the logarithms, and never
        rising.
        """
        amounts = np.log([shots for shots, _, _ in self.points])
        errors = np.log([max(1 - mean, FEWEST) for _, mean, _ in self.points])
        slope, start = np.polyfit(amounts, errors, 1)
        if slope > 0:
            slope, start = 0.0, errors.mean()
        return float(1 - np.exp(start + slope * np.log(shots)))

    @property
    def gain(self) -> float:
        """What one more a label adds to the accuracy."""
        return self.at(self.now + 1) - self.at(self.now)


def learning_curve(learner: Default, adapted: Adapted, table: Table) -> Curve | None:
    """The chosen candidate's accuracy with fewer examples of each label than there are; None where a label has under three.

    Args:
        learner: what learned the table.
        adapted: what it learned; its first candidate is the chosen one.
    """
    least = min(table.counts.values())
    if least < LEAST:
        return None
    title = next(iter(adapted.candidates))
    chosen = learner.candidates[title.removesuffix(WITHOUT)]
    named = adapted.examples is not None and len(adapted.examples.texts) > len(table)
    points = []
    for shots in (shots for shots in SHOTS if shots < least):
        queries = min(QUERIES, least - shots)
        drawn = Episodes(table, ways="all", shots=shots, queries=queries, tasks=TASKS, names=named and WITHOUT not in title)
        (found,) = evaluate(chosen, drawn)["results"][:1]
        points.append((shots, found["mean"], found["ci95"]))
    return Curve(points, len(table) / len(table.classes))
