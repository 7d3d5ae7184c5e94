from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from quickstudy import Batch, Centroid, Episodes, Learner, Prototypical, QuickstudyError, Sinusoids, Table, Task, evaluate
from quickstudy.evaluation.evaluate import SLOW_TASKS, TIMED, verdict
from quickstudy.evaluation.table import render
from quickstudy.models.encoder import Encoder


class Knows(Learner):
    """Answers right where the input is below what it knows, so that its score is the share of such inputs."""

    def __init__(self, limit: float, column: int = 0):
        super().__init__()
        self.limit, self.column, self.learned = limit, column, 0

    def adapt(self, support: Batch) -> Any:
        self.learned += 1
        return SimpleNamespace(predict=self.predict)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs[:, self.column] >= self.limit).long()


class Much(Knows):
    pass


class Little(Knows):
    pass


class Slow(Knows):
    pass


class Values(Knows):
    """Off by its limit everywhere."""

    kinds = ("regress",)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + self.limit


class Further(Values):
    pass


def tasks(count: int, seed: int = 0) -> list[Task]:
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.rand(10, 2, generator=generator) for _ in range(count)]
    return [Task(Batch(x, torch.zeros(10, dtype=torch.long)), Batch(x, torch.zeros(10, dtype=torch.long))) for x in inputs]


def real(count: int) -> list[Task]:
    return [Task(Batch(t.query.inputs, t.query.inputs), Batch(t.query.inputs, t.query.inputs)) for t in tasks(count)]


def shares(limit: float, some: list[Task]) -> np.ndarray:
    return np.array([(task.query.inputs[:, 0] < limit).double().mean() for task in some])


def table() -> Table:
    return Table([f"{label} {i}" for label in "abcd" for i in range(6)], [label for label in "abcd" for _ in range(6)])


class Letters(Encoder):
    """Embeds a sentence as its first letter and its length."""

    def __init__(self):
        nn.Module.__init__(self)
        self.weight, self.normalize, self.dim, self._known, self.calls = nn.Parameter(torch.eye(2)), False, 2, {}, 0

    def forward(self, sentences: list[str]) -> torch.Tensor:
        self.calls += len(sentences)
        return torch.tensor([[float(ord(s[0])), float(len(s))] for s in sentences]).reshape(-1, 2) @ self.weight

    def tokenize(self, sentence: str) -> list[int]:
        return list(sentence.encode())


def test_the_result_has_exactly_this_shape():
    result = evaluate(Much(0.8), tasks(6), baselines=[Little(0.3)])
    assert list(result) == ["episodes", "results", "comparisons"]
    assert list(result["episodes"]) == ["hash", "ways", "shots", "queries", "seed", "transductive"]
    assert [list(row) for row in result["results"]] == [["learner", "metric", "count", "mean", "ci95", "seconds_per_task"]] * 2
    assert [list(row) for row in result["comparisons"]] == [["learner", "against", "metric", "difference", "ci95"]]
    assert [row["learner"] for row in result["results"]] == ["Much", "Little"]
    assert json.loads(json.dumps(result)) == result


def test_the_numbers_are_the_mean_and_the_paired_difference():
    some = tasks(30)
    result = evaluate(Much(0.8), some, baselines=[Little(0.3)])
    much, little = shares(0.8, some), shares(0.3, some)
    first, second = result["results"]
    comparison = result["comparisons"][0]
    assert first["mean"] == pytest.approx(much.mean())
    assert second["mean"] == pytest.approx(little.mean())
    assert first["ci95"][0] < first["mean"] < first["ci95"][1]
    assert (first["count"], first["metric"]) == (30, "accuracy")
    assert comparison["difference"] == pytest.approx(first["mean"] - second["mean"])
    assert comparison["ci95"][0] <= comparison["difference"] <= comparison["ci95"][1]
    assert (comparison["learner"], comparison["against"]) == ("Much", "Little")


def test_slow_baselines_are_judged_and_compared_on_the_first_fifty():
    some = tasks(SLOW_TASKS + 20)
    slow = Slow(0.3)
    result = evaluate(Much(0.8), some, baselines=[Little(0.3)], slow_baselines=[slow])
    assert slow.learned == 50
    assert [row["count"] for row in result["results"]] == [70, 70, 50]
    expected = (shares(0.8, some) - shares(0.3, some))[:50].mean()
    assert result["comparisons"][1]["difference"] == pytest.approx(expected)
    assert result["comparisons"][1]["difference"] != pytest.approx(result["comparisons"][0]["difference"])


def test_episodes_are_described_and_their_first_list_is_taken():
    episodes = Episodes(table(), ways=3, shots=2, queries=2, tasks=4, seed=5)
    result = evaluate(Prototypical(Letters()), episodes)
    described = {"hash": episodes.hash, "ways": 3, "shots": 2, "queries": 2, "seed": 5, "transductive": False}
    assert result["episodes"] == described
    assert result["results"][0]["count"] == 4


def test_the_hash_is_the_same_for_every_method():
    episodes = Episodes(table(), ways=3, tasks=4)
    assert len({evaluate(kind(Letters()), episodes)["episodes"]["hash"] for kind in (Prototypical, Centroid)}) == 1


def test_ranges_and_tasks_of_ones_own_are_described_as_they_are():
    described = evaluate(Centroid(Letters()), Episodes(table(), ways="all", shots=(1, 3), queries="all"))["episodes"]
    assert (described["ways"], described["shots"], described["queries"]) == ("all", [1, 3], "all")
    described = evaluate(Much(0.5), tasks(2))["episodes"]
    assert described.pop("hash")
    assert described.pop("transductive") is False
    assert set(described.values()) == {None}


def test_each_sentence_is_embedded_once():
    model = Letters()
    episodes = Episodes(table(), ways=3, shots=2, queries=2, tasks=30)
    evaluate(Prototypical(model), episodes, baselines=[Centroid(model)])
    sentences = {s for task in episodes[0] for batch in (task.support, task.query) for s in batch.inputs}
    assert model.calls == len(sentences) + 4 + min(TIMED, len(sentences))  # names; and some again, for the time they take
    assert model._known == {}


def test_seconds_count_the_embedding_of_the_support():
    class Sleepy(Letters):
        def forward(self, sentences):
            time.sleep(0.002 * len(sentences))
            return super().forward(sentences)

    result = evaluate(Prototypical(Sleepy()), Episodes(table(), ways=3, shots=2, queries=2, tasks=3))
    assert result["results"][0]["seconds_per_task"] >= 6 * 0.002


def test_progress_is_told():
    told: list[Any] = []
    evaluate(Much(0.5), tasks(3), baselines=[Little(0.2)], progress=lambda *what: told.append(what))
    assert told == [(f"{name}: tasks", i, 3) for name in ("Much", "Little") for i in (1, 2, 3)]


def test_no_tasks_are_refused_in_words():
    with pytest.raises(QuickstudyError, match="no tasks"):
        evaluate(Much(0.5), [])


@pytest.mark.parametrize(
    ("limit", "baselines", "count", "said"),
    [
        (0.8, [Little(0.3)], 20, r"^Much wins: \d+\.\d points better than Little, the best baseline \(95% interval .*\)\.$"),
        (0.3, [Little(0.8)], 20, r"^A baseline wins: Little is \d+\.\d points better than Much \(95% interval .* to .*\)\.$"),
        (0.51, [Little(0.5, column=1)], 20, r"^Much is ahead of Little by .* points, but that is not certain \(95% .*\)\.$"),
        (0.4, [Little(0.5, column=1)], 20, r"^A baseline is ahead: Little leads Much by .* points, but that is not certain"),
        (0.8, [Little(0.3)], 9, r"^Much is ahead of Little by .* points, but that is not certain \(95% .*; 9 tasks are few\)\.$"),
        (0.8, [Little(0.3)], 1, r"^Much is ahead by .* points, on a single task: that is no evidence yet\.$"),
        (0.8, [], 5, r"^Much was judged alone\.$"),
    ],
    ids=["wins", "baseline wins", "ahead", "baseline ahead", "few tasks", "single task", "alone"],
)
def test_the_verdict_says_which_one_wins_and_whether_that_is_certain(limit, baselines, count, said):
    result = evaluate(Much(limit), tasks(count), baselines=baselines)
    assert re.match(said, verdict(result)), verdict(result)
    assert render(result).split("\n")[0] == verdict(result)


def test_the_verdict_names_the_best_of_several_baselines():
    result = evaluate(Much(0.9), tasks(20), baselines=[Little(0.1), Slow(0.6)])
    assert "better than Slow, the best baseline" in verdict(result)
    result = evaluate(Much(0.5), tasks(20), baselines=[Little(0.7), Slow(0.9)])
    assert verdict(result).startswith("A baseline wins: Slow")


def test_where_less_is_better_the_smaller_error_wins():
    result = evaluate(Values(0.1), real(10), baselines=[Further(0.5)])
    assert [row["metric"] for row in result["results"]] == ["squared_error"] * 2
    assert verdict(result).startswith("Values wins: 0.24 better than Further")
    assert verdict(evaluate(Values(0.5), real(10), baselines=[Further(0.1)])).startswith("A baseline wins: Further is 0.24 b")


def test_a_baseline_of_the_same_class_can_win():
    result = evaluate(Much(0.3), tasks(20), baselines=[Much(0.8)])
    assert verdict(result).startswith("A baseline wins")


def test_a_slow_baseline_is_ranked_by_the_tasks_it_shares():
    easy, hard = (
        [Task(Batch(x, zeros), Batch(x, zeros)) for x in (torch.full((10, 1), value) + torch.rand(10, 1) / 10 for _ in range(50))]
        for value, zeros in ((0.1, torch.zeros(10, dtype=torch.long)), (0.7, torch.zeros(10, dtype=torch.long)))
    )
    result = evaluate(Much(0.5), easy + hard, slow_baselines=[Slow(0.15)])
    rows = {row["learner"]: row["mean"] for row in result["results"]}
    assert rows["Much"] == 0.5
    assert verdict(result).startswith("Much wins")


def test_batch_statistics_are_called_transductive():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2, track_running_stats=False), torch.nn.Flatten())
    images = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    result = evaluate(Prototypical(model), [Task(Batch(images, list("aabb")), Batch(images, list("aabb")))])
    assert result["episodes"]["transductive"]
    assert "; transductive: a task's queries are normalised together" in render(result)


def test_the_table_shows_every_learner_best_first():
    lines = render(evaluate(Much(0.5), tasks(20), baselines=[Little(0.2), Slow(0.9)])).split("\n")
    assert [line.split()[0] for line in lines[3:6]] == ["Slow", "Much", "Little"]
    assert "not transductive" in lines[-1]


def test_values_are_scored_by_their_squared_error():
    result = evaluate(Values(0.5), Episodes(Sinusoids(), shots=3, queries=4, tasks=3))
    assert result["results"][0]["metric"] == "squared_error"
    assert result["results"][0]["mean"] > 0
