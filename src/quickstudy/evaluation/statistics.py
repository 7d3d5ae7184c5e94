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


def simultaneous_intervals(values: np.ndarray, *, draws: int = 100_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
    """The means of the columns of `(cases, columns)`, and intervals `(columns, 2)` that all hold at once with 95%.

    So the best column may be picked from the same cases that judge it. Single-step max-t (Hothorn, Bretz and Westfall 2008, 3):
    the half-widths are the 95% quantile of max |t| over the columns, correlated as they are here; where all columns say the
    same it is Student's, and it widens the less they do.
    """
    means, count = values.mean(axis=0), len(values)
    if count < 2:
        return means, None
    errors = values.std(axis=0, ddof=1) / np.sqrt(count)
    vary = errors > 1e-12
    if not vary.any():
        return means, np.stack([means, means], axis=1)
    half = _largest_t(values[:, vary], draws, seed) * errors
    return means, np.stack([means - half, means + half], axis=1)


def _largest_t(values: np.ndarray, draws: int, seed: int) -> float:
    """The 95% quantile of the largest |t| among columns that are correlated like these; of one, Student's."""
    from scipy import stats

    (count, columns), generator = values.shape, np.random.default_rng(seed)
    if columns == 1:
        return float(stats.t.ppf(0.975, count - 1))
    variances, axes = np.linalg.eigh(np.corrcoef(values, rowvar=False))
    normal = generator.standard_normal((draws, columns)) * np.sqrt(variances.clip(min=0)) @ axes.T
    spread = np.sqrt(generator.chisquare(count - 1, draws) / (count - 1))
    return float(np.quantile(np.abs(normal).max(axis=1) / spread, 0.95))


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
