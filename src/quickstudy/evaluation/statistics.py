"""Means with intervals, and paired comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEW = 10
"""With fewer tasks nothing is called certain: intervals from so few are too narrow."""
Interval = list[float] | None
"""The ends of a 95% interval; None where a single task leaves none to compute."""


def mean_interval(values: Sequence[float]) -> tuple[float, Interval]:
    """The mean over tasks and its 95% interval (Student's t)."""
    from scipy import stats

    data = np.asarray(values, dtype=float)
    mean = float(data.mean())
    if len(data) < 2:
        return mean, None
    half = float(stats.t.ppf(0.975, len(data) - 1) * data.std(ddof=1) / np.sqrt(len(data)))
    return mean, [mean - half, mean + half]


def paired_bootstrap(
    left: Sequence[float], right: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> tuple[float, Interval]:
    """The mean of left - right over the same tasks, and its 95% percentile interval over resampled tasks."""
    difference = np.asarray(left, dtype=float) - np.asarray(right, dtype=float)
    count = len(difference)
    if count < 2:
        return float(difference.mean()), None
    generator = np.random.default_rng(seed)
    rows = max(1, 4_000_000 // count)  # a block of resamples at a time: 32 MB, however many tasks
    means = np.concatenate(
        [
            difference[generator.integers(count, size=(min(rows, resamples - at), count))].mean(axis=1)
            for at in range(0, resamples, rows)
        ]
    )
    return float(difference.mean()), [float(end) for end in np.quantile(means, [0.025, 0.975])]
