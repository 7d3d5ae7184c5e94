from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap


def test_the_interval_is_students():
    values = [0.2, 0.4, 0.4, 0.8, 1.0, 0.6]
    mean, interval = mean_interval(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert mean == pytest.approx(np.mean(values))
    assert interval == pytest.approx([low, high])


def test_the_interval_of_known_numbers():
    mean, interval = mean_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert interval == pytest.approx([2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5], rel=1e-6)


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_equal_values_leave_no_width(constant):
    assert mean_interval([constant] * 5) == (constant, [constant, constant])


def test_one_task_has_no_interval():
    assert mean_interval([0.5]) == (0.5, None)
    assert paired_bootstrap([0.5], [0.25]) == (0.25, None)


def test_the_bootstrap_of_equal_methods_covers_zero():
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(2, 100))
    difference, (low, high) = paired_bootstrap(left, right)
    assert difference == pytest.approx(np.mean(left - right))
    assert low < 0 < high


def test_the_bootstrap_of_shifted_methods_excludes_zero():
    generator = np.random.default_rng(0)
    hardness, noise = generator.normal(scale=10, size=100), generator.normal(scale=0.1, size=100)
    difference, (low, high) = paired_bootstrap(hardness + 0.1 + noise, hardness)
    assert 0 < low < difference < high < 0.2
    assert paired_bootstrap(hardness, hardness + 0.1 + noise)[1] == pytest.approx([-high, -low], abs=0.005)


def test_the_bootstrap_is_reproducible_and_agrees_with_scipy():
    difference = np.random.default_rng(1).normal(0.3, size=80)
    mean, interval = paired_bootstrap(difference, np.zeros(80))
    assert paired_bootstrap(difference, np.zeros(80)) == (mean, interval)
    assert paired_bootstrap(difference, np.zeros(80), seed=1)[1] != interval
    theirs = stats.bootstrap((difference,), np.mean, method="percentile", rng=np.random.default_rng(2)).confidence_interval
    assert interval == pytest.approx([theirs.low, theirs.high], abs=0.02)


def test_a_large_bootstrap_in_blocks_is_one_bootstrap():
    difference = np.random.default_rng(0).normal(size=50_000)
    _, (low, high) = paired_bootstrap(difference, np.zeros(50_000), resamples=200)
    assert high - low == pytest.approx(2 * 1.96 * difference.std() / 50_000**0.5, rel=0.3)


def _share_that_covers(interval_of) -> float:
    generator = np.random.default_rng(0)
    hits = []
    for _ in range(200):
        low, high = interval_of(generator.normal(0.3, 1.0, size=40))
        hits.append(low <= 0.3 <= high)
    return float(np.mean(hits))


def test_intervals_cover_the_truth_95_times_in_100():
    assert 0.92 <= _share_that_covers(lambda values: mean_interval(values)[1]) <= 0.98


def test_bootstrap_intervals_cover_the_truth_95_times_in_100():
    assert 0.91 <= _share_that_covers(lambda values: paired_bootstrap(values, 0 * values, resamples=1000)[1]) <= 0.98
