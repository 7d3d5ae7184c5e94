"""Every learner on a convolutional network whose batch norm looks across the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from quickstudy import Batch, QuickstudyError, Task, check_gradients
from quickstudy.learners.imaml import IMAML
from quickstudy.learners.metric import MetricLearner
from quickstudy.models.conv import conv4


@pytest.fixture
def images(vectors_that_learn) -> Any:
    if vectors_that_learn.context:
        pytest.skip("reads its inputs as vectors")
    return vectors_that_learn


def task(seed: int = 0) -> Task:
    generator = torch.Generator().manual_seed(seed)
    strokes, targets = torch.rand(3, 1, 8, 8, generator=generator), torch.arange(3).repeat(2)

    def batch() -> Batch:
        return Batch(strokes[targets] + 0.3 * torch.rand(6, 1, 8, 8, generator=generator), targets)

    return Task(batch(), batch(), seed=seed)


def net(policy: str = "transductive") -> torch.nn.Module:
    return conv4(4, size=8, ways=3, batch_norm=policy)  # type: ignore[arg-type]


def state(learner: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in learner.state_dict().items()}


@pytest.mark.parametrize("policy", ["transductive", "running"])
def test_adapting_moves_nothing(images, policy):
    learner = images.learner(net(policy)).train()
    before = state(learner)
    adapted = learner.adapt(task().support)
    adapted.logits(task().query.inputs)
    assert_close(state(learner), before, rtol=0, atol=0)


def test_the_gradient_is_right(images):
    if issubclass(images.cls, IMAML):
        pytest.skip("its inner problem, which batch norm makes hard, would have to be solved")
    report = check_gradients(images.learner(net()), task())
    assert report, str(report)


def test_the_objective_is_that_of_learning_and_then_asking(images):
    learner = images.learner(net())
    if not isinstance(learner, MetricLearner):
        pytest.skip("test_conformance.py holds gradient learners to it")
    learned, asked = learner.model(task().support.inputs), learner.model(task().query.inputs)
    expected = learner.loss(learned, task().support.targets, asked, task().query.targets)
    assert_close(learner([task()]), expected)


def test_averages_see_support_and_query_as_one_batch(images):
    learner = images.learner(net("running")).train()
    if not isinstance(learner, MetricLearner):
        pytest.skip("its averages stay")
    both = torch.cat([task().support.inputs, task().query.inputs])
    mean = learner.model[0].conv(both).mean(dim=(0, 2, 3))
    learner([task()])
    assert_close(learner.model[0].norm.running_mean, 0.1 * mean)


def test_one_example_is_no_batch(images):
    learner = images.learner(net())
    if isinstance(learner, MetricLearner):
        with pytest.raises(QuickstudyError, match="batch norm has one example"):
            learner.adapt(task().support.take([0]))
