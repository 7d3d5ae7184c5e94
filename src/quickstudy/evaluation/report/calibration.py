"""Whether the probabilities that a method gives are the shares that turn out right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from quickstudy.evaluation.report.observed import Asked

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The answers whose probability is from `low` to `high`: how many, their mean probability, the share that is right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The bins that hold an answer, the expected calibration error, and the mean probability less the accuracy."""

    bins: list[Bin]
    error: float
    excess: float

    @property
    def count(self) -> int:
        """How many answers there are."""
        return sum(part.count for part in self.bins)


def calibration(asked: Iterable[Asked], *, bins: int = BINS) -> Calibration | None:
    """Ten bins of equal width over the probability of each answer; None where the method gives no probabilities.

    The expected calibration error is the mean over answers of |probability - accuracy|, both by bin (Guo et al. 2017,
    equation 5).
    """
    pairs = [
        (confidence, truth == answer)
        for task in asked
        for truth, answer, confidence in zip(task.truth, task.answers, task.confidences, strict=True)
        if np.isfinite(confidence)
    ]
    return reliability(*np.array(pairs, dtype=float).T, bins=bins) if pairs else None


def reliability(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS) -> Calibration:
    """The bins and the errors of answers with these probabilities, right (1) or wrong (0)."""
    place = np.clip((confidence * bins).astype(int), 0, bins - 1)  # a probability of exactly 1 is in the last bin
    found = [
        Bin(
            k / bins,
            (k + 1) / bins,
            int((place == k).sum()),
            float(confidence[place == k].mean()),
            float(right[place == k].mean()),
        )
        for k in range(bins)
        if (place == k).any()
    ]
    error = sum(part.count * abs(part.confidence - part.accuracy) for part in found) / len(right)
    return Calibration(found, float(error), float(confidence.mean() - right.mean()))
