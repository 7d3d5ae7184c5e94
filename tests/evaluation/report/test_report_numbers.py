"""What the page shows beyond the result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from quickstudy import Centroid, Episodes, LogisticProbe, Sinusoids, Table, evaluate
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.calibration import calibration
from quickstudy.evaluation.report.confusions import worst_pairs
from quickstudy.evaluation.report.curve import does_it_pay, learning_curve, shots_to_try
from quickstudy.evaluation.report.facts import facts
from quickstudy.evaluation.report.observed import Asked, Observed
from quickstudy.evaluation.report.projection import choose, principal_plane, project


def asked(*rows: tuple[str, str, str, float]) -> Asked:
    return Asked(*(list(column) for column in zip(*rows, strict=True)))


def result_of(means: dict[str, list[float]], metric: str = "accuracy", shots: Any = 5) -> tuple[dict[str, Any], Observed]:
    """A result and what was observed, from each learner's scores; the first is judged."""
    from quickstudy.evaluation.report.observed import Record
    from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap

    observed = Observed()
    observed.examples, observed.labels = [25], {"a sentence": "label"} if metric == "accuracy" else {}
    judged, *_ = means
    rows, comparisons = [], []
    for name, scores in means.items():
        observed.records.append(Record(None, {metric: scores}))  # type: ignore[arg-type]
        mean, ends = mean_interval(scores)
        rows.append(
            {"learner": name, "metric": metric, "count": len(scores), "mean": mean, "ci95": ends, "seconds_per_task": 0.05}
        )
        if name != judged:
            difference, ends = paired_bootstrap(means[judged], scores)
            comparisons.append({"learner": judged, "against": name, "metric": metric, "difference": difference, "ci95": ends})
    episodes = {"hash": "0", "ways": 5, "shots": shots, "queries": 5, "seed": 0}
    return {"episodes": episodes, "results": rows, "comparisons": comparisons}, observed


def test_every_learner_is_observed_once_a_task(judged):
    assert [record.learner for record in judged.observed.records] == judged.learners
    for row, record in zip(judged.result["results"], judged.observed.records, strict=True):
        assert len(record.asked) == 12
        right = [t == a for task in record.asked for t, a in zip(task.truth, task.answers, strict=True)]
        assert np.mean(right) == pytest.approx(row["mean"])
        assert np.mean(record.scores["accuracy"]) == pytest.approx(row["mean"])
        assert all(1 / 3 - 1e-6 <= c <= 1 for task in record.asked for c in task.confidences)
    difference = judged.result["comparisons"][0]
    assert judged.observed.paired("accuracy", 0, 1) == (difference["difference"], difference["ci95"])
    assert judged.observed.examples == [6] * 12


def test_observing_changes_no_number_and_embeds_nothing_again(judged):
    model = type(judged.model)()
    learners = [LogisticProbe(model, C=1.0), Centroid(model)]
    plain = evaluate(learners[0], judged.episodes, baselines=learners[1:])
    seen = {key: value for key, value in judged.result.items() if key != "results"}
    assert seen == {key: value for key, value in plain.items() if key != "results"}
    assert sorted(model.embedded) == sorted(judged.model.embedded)


def test_the_worst_pair_is_the_one_with_the_most_evidence():
    rows = [(f"s{i}", "a", "b" if i < 20 else "a", 0.5 + i / 100) for i in range(50)]
    once = [("t", "c", "d", 0.9), ("u", "d", "d", 0.9)]
    first, second = worst_pairs([asked(*rows, ("x", "b", "b", 0.5)), asked(*once)])
    assert (first.labels, first.mistakes, first.chances) == (("a", "b"), 20, 51)
    assert [(m.text, m.truth, m.answer) for m in first.examples] == [("s19", "a", "b"), ("s18", "a", "b"), ("s17", "a", "b")]
    assert (second.labels, second.mistakes, second.chances) == (("c", "d"), 1, 2)


def test_either_direction_counts_and_a_sentence_is_shown_once():
    twice = asked(("same", "a", "b", 0.6), ("other", "b", "a", 0.7))
    (pair,) = worst_pairs([twice, twice])
    assert (pair.mistakes, pair.chances, [m.text for m in pair.examples]) == (4, 4, ["other", "same"])
    assert worst_pairs([asked(("s", "a", "a", 0.9))]) == []


def test_calibration_by_hand():
    found = calibration([asked(("s", "a", "a", 1.0), ("t", "a", "b", 0.95), ("u", "b", "b", 0.55), ("v", "b", "b", math.nan))])
    assert found is not None
    assert [(part.low, part.count, part.accuracy) for part in found.bins] == [(0.5, 1, 1.0), (0.9, 2, 0.5)]
    assert found.error == pytest.approx((0.45 + 2 * abs(0.975 - 0.5)) / 3)
    assert found.excess == pytest.approx(2.5 / 3 - 2 / 3)
    assert found.count == 3
    assert calibration([asked(("s", "a", "a", math.nan))]) is None


def test_the_plane_is_the_one_of_most_variation():
    generator = np.random.default_rng(0)
    spread = generator.normal(size=(200, 5)) * [1, 9, 1, 1, 4]
    points, share = principal_plane(spread)
    assert abs(np.corrcoef(points[:, 0], spread[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(points[:, 1], spread[:, 4])[0, 1]) > 0.95
    assert 0.9 < share < 1
    assert principal_plane(spread[::-1].copy())[0][::-1] == pytest.approx(points)
    assert principal_plane(np.ones((4, 3)))[1] == 1.0
    assert project(np.zeros((2, 3)), ["a", "b"]) is None
    assert project(np.full((5, 3), np.nan), ["a"] * 5) is None


def test_the_map_prefers_confused_labels_and_stays_small():
    labels = {f"{label} {i}": label for label in "abcdefghijklmnop" for i in range(60)}
    chosen = choose(labels, ["p", "o", "absent"])
    assert len(chosen) <= 400
    assert list(dict.fromkeys(labels[s] for s in chosen))[:2] == ["p", "o"]
    assert len({labels[s] for s in chosen}) == 12


def table(each: int, queries: Any = 5, shots: Any = 2, support: Table | None = None) -> Episodes:
    rows = Table([f"{label} {i}" for label in "abc" for i in range(each)], [label for label in "abc" for _ in range(each)])
    return Episodes(rows, ways=2, shots=shots, queries=queries, tasks=3, support=support)


def test_shots_go_as_far_as_the_data():
    assert shots_to_try(table(15)) == [1, 2, 5, 10]
    assert shots_to_try(table(15, shots=14)) == [1, 2, 5, 10, 14]
    assert shots_to_try(table(15, shots=(1, 3))) == [1, 2, 5, 10]
    assert shots_to_try(table(100, queries="all")) == [1, 2, 5, 10, 20]
    assert shots_to_try(table(4, queries=1, shots=1)) == [1, 2]
    few = Table([f"{label} s{i}" for label in "abc" for i in range(3)], [label for label in "abc" for _ in range(3)])
    assert shots_to_try(table(15, support=few)) == [1, 2]
    assert shots_to_try(Episodes(Sinusoids(), shots=7, queries=3)) == [1, 2, 5, 7, 10, 20]


def test_the_curve_is_the_same_evaluation_at_other_shots(judged):
    model, copied = judged.model, type(judged.model)()
    learners = [judged.learners[0], Centroid(copied)]
    model.embedded.clear()
    points = learning_curve(learners, judged.episodes, judged.result, judged.observed.memories)
    assert [point["shots"] for point in points] == [1, 2, 5]
    assert copied.embedded == []  # a copy of the other encoder
    assert not set(model.embedded) & set(judged.observed.memories[id(model)])
    own = points[1]
    assert [row["mean"] for row in own["rows"]] == [row["mean"] for row in judged.result["results"]]
    assert own["lead"]["difference"] == judged.result["comparisons"][0]["difference"]
    again = Episodes(judged.episodes.source, ways=3, shots=5, queries=3, tasks=12, seed=1)
    expected = evaluate(learners[0], again, baselines=learners[1:])
    assert [row["mean"] for row in points[2]["rows"]] == [row["mean"] for row in expected["results"]]
    assert model._known == {} == copied._known


def point(shots: int, difference: float | None, ends: list[float] | None = None, metric: str = "accuracy") -> dict[str, Any]:
    lead = None if difference is None else {"against": "Plain", "difference": difference, "ci95": ends}
    return {"shots": shots, "tasks": 50, "metric": metric, "rows": [{"learner": "Mine", "mean": 0.5, "ci95": None}], "lead": lead}


AHEAD, LEVEL, BEHIND = (0.05, [0.03, 0.07]), (0.01, [-0.01, 0.02]), (-0.04, [-0.06, -0.02])


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (
            [point(1, *AHEAD), point(5, *AHEAD)],
            "Yes: Mine is certainly ahead of the best baseline at every number measured (1 and 5",
        ),
        ([point(1, *BEHIND), point(5, *BEHIND)], "No: a plain baseline is certainly better than Mine at every number"),
        (
            [point(1, *AHEAD), point(5, *AHEAD), point(10, *LEVEL)],
            "Up to 5 examples per label Mine is certainly ahead of the best baseline. From 10 on plain baselines catch up: there "
            "its lead over Plain is +1.0 points (95% interval \u22121.0 to +2.0), which is not certain.",
        ),
        ([point(1, *AHEAD), point(5, *BEHIND)], "so it is behind"),
        ([point(1, *LEVEL), point(5, *AHEAD), point(10, *LEVEL)], "In part: with 5 examples per label Mine is certainly ahead"),
        ([point(1, *LEVEL), point(5, *AHEAD)], "With 5 examples per label Mine is certainly ahead"),
        ([point(1, *LEVEL), point(5, 0.1, None)], "No certain gain: with 1 or 5 examples per label Mine is not certainly ahead"),
        ([point(1, *BEHIND), point(5, *LEVEL)], "with 1 a plain baseline (Plain) is certainly better"),
        ([point(1, *AHEAD) | {"tasks": 9}], "No certain gain"),
        ([point(1, None)], "judged alone"),
        ([point(1, -0.5, [-0.6, -0.4], "squared_error")], "Yes: Mine"),
    ],
)
def test_does_it_pay_says_where_the_lead_ends(points, said):
    assert said in does_it_pay(points)


def test_the_three_facts():
    steady = [0.9, 0.92] * 20
    result, observed = result_of({"Mine": steady, "Plain": [s - 0.1 for s in steady], "Other": [s - 0.3 for s in steady]})
    use, sure, cost = facts(result, observed)
    assert (use.answer, sure.answer, cost.answer) == ("Mine", "Certain", "50 ms a task")
    assert "91.0% of its answers are right (95% interval 90.7 to 91.3, over 40 tasks)" in use.detail
    assert "10.0 points better than Plain, the next best" in sure.detail
    assert "5 labelled examples per label (25 in all)" in cost.detail


def test_the_best_is_compared_with_the_next_best_even_if_neither_was_judged():
    noise = [0.02, -0.02] * 20
    result, observed = result_of({"Mine": [0.5] * 40, "Best": [0.9] * 40, "Second": [0.9 - n for n in noise], "Bad": [0.2] * 40})
    use, sure, _ = facts(result, observed)
    assert use.answer == "Best"
    assert sure.answer == "Not certain"
    assert "Perhaps as good: Second." in sure.detail


@pytest.mark.parametrize(
    ("means", "answer"),
    [
        ({"Mine": [0.9] * 20}, "Nothing beside it"),
        ({"Mine": [0.9], "Plain": [0.1]}, "No evidence yet"),
        ({"Mine": [0.9, 0.8], "Plain": [0.1, 0.2]}, "Hardly"),
    ],
)
def test_what_is_not_known_is_not_called_certain(means, answer):
    assert facts(*result_of(means))[1].answer == answer


def test_a_tie_is_called_one():
    sure = facts(*result_of({"Mine": [0.5] * 20, "Plain": [0.5] * 20}))[1]
    assert sure.answer == "Not certain"
    assert sure.detail == "No better than Plain on the same tasks (95% interval 0.0 to 0.0). Perhaps as good: Plain."


def test_less_error_is_better():
    use, sure, cost = facts(*result_of({"Mine": [0.5, 0.6] * 10, "Plain": [1.5, 1.6] * 10}, "squared_error"))
    assert (use.answer, sure.answer) == ("Mine", "Certain")
    assert "Its squared error is 0.550" in use.detail
    assert "1.00 better than Plain" in sure.detail
    assert "25 examples" in cost.detail


def test_numbers_in_words():
    assert words.value(0.9264, "accuracy") == "92.6%"
    assert words.difference(-0.0021, "accuracy") == "\u22120.2 points"
    assert words.difference(-0.0001, "accuracy") == "0.0 points"
    assert words.difference(2.0, "squared_error") == "+2.00"
    assert words.interval([0.95, 1.07], "accuracy") == "95.0 to 100.0"
    assert words.interval([-0.01, 0.02], "accuracy", signed=True) == "\u22121.0 to +2.0"
    assert [words.seconds(s) for s in (0.0053, 0.26, 12.4)] == ["5.3 ms", "0.26 s", "12 s"]
    assert words.plain("a\x00b\n\tc\u202ed \ud800") == "a b c d"
    assert words.short("x" * 300, 10) == "x" * 9 + "\u2026"
    assert words.minus("a-1 (-2 to -3), 2-3") == "a-1 (\u22122 to \u22123), 2-3"


def test_a_learner_without_probabilities_is_observed_all_the_same(judged):
    from quickstudy.learners.adapted import Adapted
    from quickstudy.tasks.task import Task

    class Alone(Adapted):
        def predict(self, inputs):
            return ["a"] * len(inputs)

    task: Task = judged.episodes[0][0]
    observed = Observed()
    observed(judged.learners[0], task, Alone(torch.nn.Identity(), lambda phi, x: x), {"accuracy": 0.0})
    assert set(observed.records[0].asked[0].answers) == {"a"}
    assert all(math.isnan(c) for c in observed.records[0].asked[0].confidences)
