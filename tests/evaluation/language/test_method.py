"""Nats a token after each number of steps, at rates times a factor, against the same computed plainly."""

from __future__ import annotations

import math

import pytest
import torch

from quickstudy import MAML, FineTune, Rates, ZeroStep
from quickstudy.evaluation.language.method import FACTORS, RATES, Method
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.models.adapters import without_adapters


def plain(learner, task, steps: int) -> float:
    learner.adapt_steps = steps
    return task.score(learner.adapt(task.support))["nats_per_token"]


def test_one_way_gives_what_learning_anew_for_each_number_of_steps_gives(llama, text):
    tasks = text("cards", "money").tasks[:3]
    method = Method("m", FineTune(llama, 0.02), "")
    found = method.nats(tasks, [0, 1, 3], 1.0)
    assert found.shape == (3, 3)
    expected = [[plain(FineTune(llama, 0.02), task, k) for k in (0, 1, 3)] for task in tasks]
    assert found == pytest.approx(torch.tensor(expected).numpy(), abs=1e-6)
    assert found[:, 0] == pytest.approx([plain(ZeroStep(llama), task, 0) for task in tasks], abs=1e-6)


@pytest.mark.parametrize("rule", ["sgd", {"name": "adam", "clip_norm": 1.0}])
def test_a_factor_is_of_the_rate(llama, text, rule):
    (task,) = text("cards", count=1).tasks
    halved = Method("m", MAML(llama, 0.1, rule=rule, gradient="first_order"), "").nats([task], [2], 0.5)
    other = Method("m", MAML(llama, 0.05, rule=rule, gradient="first_order"), "").nats([task], [2], 1.0)
    assert halved == pytest.approx(other, abs=1e-7)
    assert halved != pytest.approx(Method("m", MAML(llama, 0.1, rule=rule), "").nats([task], [2], 1.0), abs=1e-5)


def test_a_factor_is_of_learned_rates_too_and_leaves_them_as_they_are(llama, text):
    (task,) = text("cards", count=1).tasks
    learner = MAML(llama, Rates(0.1, steps=2), rule="adam")
    before = {name: p.clone() for name, p in learner.rule.named_parameters()}
    found = Method("m", learner, "").nats([task], [1, 2], 3.0)
    assert all(torch.equal(before[name], p) for name, p in learner.rule.named_parameters())
    with torch.no_grad():
        for p in learner.rule.parameters():
            p.mul_(3.0)
    assert found == pytest.approx(Method("m", learner, "").nats([task], [1, 2], 1.0), abs=1e-7)


def test_what_is_tried(llama):
    base = without_adapters(llama)
    tried = Method("m", FineTune(llama, 0.002), "").tried
    assert [0.002 * factor for factor in tried] == pytest.approx(list(RATES))
    assert Method("m", MAML(llama, 0.1), "").tried == FACTORS
    assert Method("m", MAML(llama, Rates(0.1), rule="adam"), "").tried == FACTORS
    assert Method("m", FineTune(llama, 0.002), "", factors=[1.0, 3.0]).tried == [1.0, 3.0]
    assert Method("m", FineTune(base, 0.002, space="."), "").tried == FACTORS
    assert Method("m", ZeroStep(base), "").tried == ()
    assert [Method("m", each, "").rate for each in (FineTune(llama, 0.002), MAML(llama, Rates(0.1)), ZeroStep(base))] == [
        0.002,
        None,
        None,
    ]


def test_a_method_without_steps_gives_the_same_after_any_number(llama, text):
    (task,) = text("cards", count=1).tasks
    method = Method("m", InContext(without_adapters(llama)), "")
    (row,) = method.nats([task], [0, 1, 8], 1.0)
    assert not method.takes_steps
    assert list(row) == [task.score(method.learner.adapt(task.support))["nats_per_token"]] * 3


def test_what_diverges_is_infinite(llama, text):
    (task,) = text("cards", count=1).tasks
    (row,) = Method("m", MAML(llama, 1e38), "").nats([task], [0, 1, 4], 1.0)
    assert math.isinf(row[-1])


def test_what_is_learned_in_so_many_steps(llama, text):
    (task,) = text("cards", count=1).tasks
    method = Method("m", FineTune(llama, 0.02), "")
    adapted = method.adapted(task, 2, 0.5)
    assert task.score(adapted)["nats_per_token"] == pytest.approx(method.nats([task], [2], 0.5)[0, 0], abs=1e-6)
    assert method.learner.adapt_steps is None
    assert method.seconds(task, 1, 1.0) > 0
