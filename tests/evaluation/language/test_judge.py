"""What `judge` finds, against the same computed plainly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from quickstudy import FineTune, QuickstudyError, ZeroStep
from quickstudy.evaluation.language.judge import judge, summary
from quickstudy.evaluation.language.method import Method
from quickstudy.evaluation.language.methods import base_of, methods
from quickstudy.evaluation.language.table import render
from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap
from quickstudy.tasks.episodes import fingerprint

KEYS = ["episodes", "steps", "methods", "rates", "results", "comparisons", "domains", "forgetting", "text", "scores"]


@pytest.fixture
def judged(llama):
    return Method("Mine", FineTune(llama, 0.02), "mine")


@pytest.fixture
def beside(judged):
    return methods(judged, "standard", lora={"r": 2, "layers": 1}, lr=0.002)


def plain(learner, task, steps: int) -> float:
    learner.adapt_steps = steps
    return task.score(learner.adapt(task.support))["nats_per_token"]


def test_the_numbers_are_those_of_a_plain_computation(llama, text, judged, beside):
    asked = text("cards", "money", count=5)
    result, _ = judge(beside, asked, [0, 1, 2])
    mine = np.array([[plain(FineTune(llama, 0.02), task, k) for k in (0, 1, 2)] for task in asked.tasks])
    base = np.array([plain(ZeroStep(base_of(llama)), task, 0) for task in asked.tasks])
    assert list(result) == KEYS
    assert result["scores"]["Mine"] == pytest.approx(mine, abs=1e-5)
    rows = {(row["learner"], row["steps"]): row for row in result["results"]}
    for at, k in enumerate((0, 1, 2)):
        mean, interval = mean_interval(mine[:, at].tolist())
        assert rows["Mine", k]["mean"] == pytest.approx(mean, abs=1e-5)
        assert rows["Mine", k]["ci95"] == pytest.approx(interval, abs=1e-4)
        assert rows["ZeroStep", k]["mean"] == pytest.approx(base.mean(), abs=1e-5)
        (row,) = (r for r in result["comparisons"] if (r["against"], r["steps"]) == ("ZeroStep", k))
        difference, ends = paired_bootstrap(mine[:, at].tolist(), base.tolist())
        assert (row["learner"], row["count"]) == ("Mine", 5)
        assert row["difference"] == pytest.approx(difference, abs=1e-5)
        assert row["ci95"] == pytest.approx(ends, abs=1e-4)
    assert json.loads(json.dumps(result)) == result


def test_tasks_are_described_and_judged_by_domain(text, beside):
    asked = text("cards", "money", count=5)
    result, _ = judge(beside, asked, [1])
    assert result["episodes"] == {
        "hash": fingerprint(asked.tasks),
        "domains": {"cards": 3, "money": 2},
        **{"shots": 2, "queries": 2, "seed": 0, "by": "topic", "size": 4, "block": 16},
    }
    mine = np.array(result["scores"]["Mine"])
    assert result["domains"]["cards"]["results"][0]["mean"] == pytest.approx(mine[[0, 2, 4], 0].mean())
    assert result["domains"]["money"]["results"][0]["mean"] == pytest.approx(mine[[1, 3], 0].mean())
    assert [its["results"][0]["count"] for its in result["domains"].values()] == [3, 2]


def test_a_slow_method_is_compared_on_the_tasks_that_it_was_judged_on():
    scores = {"Mine": np.array([[1.0], [2.0], [6.0]]), "Slow": np.array([[2.0], [4.0]])}
    found = summary(scores, [8])
    assert [row["count"] for row in found["results"]] == [3, 2]
    assert found["comparisons"][0]["difference"] == pytest.approx(-1.5)
    assert summary(scores, [8], [2])["comparisons"] == []
    assert [row["learner"] for row in summary(scores, [8], [2])["results"]] == ["Mine"]


def test_rates_are_chosen_on_other_domains_and_said(text, judged, beside):
    asked, validation = text("cards", count=2), text("waits", "money", count=3)
    result, plans = judge(beside, asked, [0, 1, 2], validation=validation)
    assert result["rates"] == {"tasks": 3, "domains": ["waits", "money"], "why": ""}
    by_rate = {factor: judged.nats(validation.tasks, [1, 2], factor).mean(axis=0) for factor in judged.tried}
    for at, k in enumerate((1, 2)):
        assert plans[0].taken[k] == (k, min(by_rate, key=lambda factor, at=at: by_rate[factor][at]))
    rates = {method["learner"]: method["rates"] for method in result["methods"]}
    assert rates["Mine"] == pytest.approx([None, *(0.02 * plans[0].taken[k][1] for k in (1, 2))])
    assert rates["ZeroStep"] is rates["In context"] is None
    assert "best of 4 on 3 tasks of waits and money" in render(result)
    result, plans = judge(beside, asked, [0, 1], validation="it has none")
    assert "Rates were not tuned here, for any method: it has none." in render(result)
    assert plans[0].taken == {0: (0, 1.0), 1: (1, 1.0)}


def test_what_is_forgotten_is_measured_on_other_text(llama, text, judged):
    asked, other = text("cards", count=4), text("mixed", count=1).tasks[0].query
    result, _ = judge([judged], asked, [0, 2], other=other)
    before = plain(ZeroStep(base_of(llama)), type(asked.tasks[0])(other, other), 0)
    adapted = [judged.adapted(task, 2) for task in asked.tasks[:3]]
    after = np.mean([type(asked.tasks[0])(other, other).score(each)["nats_per_token"] for each in adapted])
    assert result["forgetting"]["before"] == pytest.approx(before, abs=1e-5)
    assert result["forgetting"]["after"][1] == pytest.approx(after, abs=1e-5)
    assert result["forgetting"]["tasks"] == 3
    assert "On other text: " in render(result)


def test_the_table_begins_with_the_verdict(text, beside):
    lines = render(judge(beside, text("cards", "money", count=4), [0, 1, 2])[0]).split("\n")
    assert "4 tasks are few" in lines[0]
    assert " ".join(lines[2].split()) == "nats a token k=0 k=1 k=2 tasks s per new task"
    assert [line.split("  ")[0] for line in lines[3:7]] == ["Mine", "ZeroStep", "Fresh LoRA", "In context"]
    assert [line.partition(":")[0] for line in lines[8:10]] == ["cards", "money"]
    assert lines[-1].startswith(
        "The same 4 tasks for every method: 2 blocks to learn from, 2 to be judged on, of 16 tokens, seed 0"
    )


def test_text_that_is_too_little_to_be_compared_is_left_out(text, judged):
    result, _ = judge([judged], text("cards", count=1), [0])
    assert result["text"]["between"] is None
    assert result["comparisons"] == []
    assert "judged alone" in render(result)
    assert "no rates to choose" in render(result)


def test_what_is_not_a_number_is_said(text, judged, monkeypatch):
    monkeypatch.setattr(Method, "nats", lambda self, tasks, steps, factor, told=None: np.full((len(tasks), len(steps)), np.inf))
    with pytest.raises(QuickstudyError, match="Mine: the loss on task 1 is not a number after 0 steps; lower its rate"):
        judge([judged], text("cards", count=1), [0, 1])


def test_no_tasks_are_refused(text, judged):
    with pytest.raises(QuickstudyError, match="no tasks"):
        judge([judged], text("cards", count=0), [0])


def test_progress_is_told(text, judged):
    said, asked = [], text("cards", count=2)
    more = {"validation": text("money", count=1), "other": asked.tasks[0].query}
    judge([judged], asked, [0, 1], **more, progress=lambda *what: said.append(what))
    assert said == [
        *(("Mine: rates", i, 4) for i in (1, 2, 3, 4)),
        *(("Mine: tasks", i, 2) for i in (1, 2)),
        *(("Mine: other text", i, 2) for i in (1, 2)),
    ]
