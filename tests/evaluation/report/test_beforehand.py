"""What is said of learning beforehand."""

from __future__ import annotations

import pytest

from quickstudy.evaluation.report.beforehand import did_it_pay


def points(*scores: tuple[int, float], metric: str = "accuracy"):
    return [{"tasks": tasks, "metric": metric, "mean": mean, "ci95": None, "of": 20} for tasks, mean in scores]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([(0, 0.5), (40, 0.8), (80, 0.801)], "80.1% (+30.1 points), came after 80 tasks. The second half of them brought next"),
        ([(0, 0.5), (40, 0.6), (80, 0.7)], "The second half of them still brought +10.0 points"),
        ([(0, 0.5), (40, 0.8), (80, 0.7)], "80.0% (+30.0 points), came after 40 tasks. The second half of them brought next"),
        ([(0, 0.5), (80, 0.7)], "came after 80 tasks."),
        ([(0, 0.5), (40, 0.4), (80, 0.45)], "made it no better (40.0% after 40 and 45.0% after 80)"),
        ([(0, 0.5), (80, 0.5)], "made it no better (50.0% after 80)"),
        ([(80, 0.7)], "After 80 tasks its accuracy is 70.0%"),
    ],
)
def test_it_says_what_the_points_show(scores, said):
    found = did_it_pay(points(*scores), "Mine")
    assert said in found
    assert found.count("second half") == (len(scores) > 2 and scores[1][1] > scores[0][1])


def test_less_is_better_for_errors():
    found = did_it_pay(points((0, 4.0), (40, 2.0), (80, 1.0), metric="squared_error"), "Mine")
    assert "the best, 1.00 (\u22123.00), came after 80 tasks" in found
    assert "still brought \u22121.00" in found


def test_what_is_missing_is_said():
    assert "Mine has learned from no tasks beforehand" in did_it_pay(None, "Mine")
    assert "kept no validation scores" in did_it_pay([], "Mine")
