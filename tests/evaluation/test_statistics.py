from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap, simultaneous_intervals


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


def test_simultaneous_intervals_of_one_column_and_of_copies_are_students():
    values = np.random.default_rng(0).normal(size=12)
    mean, ends = mean_interval(values.tolist())
    for columns, exact in (([1.0], 1e-12), ([1.0, 1.0], 0.01), ([1.0, -0.5, 2.0], 0.01)):
        means, found = simultaneous_intervals(np.outer(values, columns))
        assert means == pytest.approx(mean * np.array(columns))
        for column, scale in enumerate(columns):
            assert found[column] == pytest.approx(sorted(scale * end for end in ends), rel=exact, abs=exact)


def test_simultaneous_intervals_of_unrelated_columns_are_sidaks():
    values = np.random.default_rng(0).normal(size=(4000, 3))
    values = (values - values.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(values, rowvar=False))).T
    _, ends = simultaneous_intervals(values)
    half = (ends[:, 1] - ends[:, 0]) / 2 * 4000**0.5
    assert half == pytest.approx(np.full(3, stats.norm.ppf((1 + 0.95 ** (1 / 3)) / 2)), abs=0.02)


def test_simultaneous_intervals_hold_at_once_95_times_in_100():
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        values = random.normal(size=(8, 1)) * 0.6 + random.normal(size=(8, 4))
        _, ends = simultaneous_intervals(values, draws=4000)
        held += bool((ends[:, 0] < 0).all() and (ends[:, 1] > 0).all())
    assert 365 <= held <= 394


def test_simultaneous_intervals_where_little_varies():
    assert simultaneous_intervals(np.ones((1, 2)))[1] is None
    assert simultaneous_intervals(np.ones((3, 2)))[1].tolist() == [[1, 1], [1, 1]]
    _, ends = simultaneous_intervals(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]))
    assert ends[0].tolist() == [1, 1]
    assert ends[1].tolist() == pytest.approx(mean_interval([0.0, 1.0, 2.0])[1])
