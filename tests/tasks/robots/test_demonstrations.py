"""Tasks that are demonstrations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quickstudy import Batch, Episodes, QuickstudyError
from quickstudy.evaluation.expert import Expert
from quickstudy.tasks.robots.demonstrations import FLOOR, Demonstrations


def shown(task: int, number: int, seen: int = 3, steps: int = 4) -> Batch:
    """Observations that tell which demonstration of which task this is."""
    observations = torch.zeros(steps, seen)
    observations[:, 0], observations[:, 1] = task, number
    return Batch(observations, torch.full((steps, 2), float(task)))


@pytest.fixture
def source() -> Demonstrations:
    return Demonstrations({task: [shown(task, i) for i in range(3)] for task in (2, 5, 7)}, "plane")


def test_support_and_query_are_other_demonstrations_of_one_task(source):
    tasks = Episodes(source, shots=1, queries=2, tasks=40, seed=0)[0]
    assert {int(task.support.inputs[0, 0]) for task in tasks} == {2, 5, 7}
    for task in tasks:
        assert len(task.support) == 4
        assert len(task.query) == 8
        assert len(task.support.inputs[:, 0].unique()) == 1
        assert set(task.support.inputs[:, 1].tolist()).isdisjoint(task.query.inputs[:, 1].tolist())
        assert (torch.cat([task.support.targets, task.query.targets]) == task.support.inputs[0, 0]).all()
    assert Episodes(source, shots=1, queries=2, seed=0).hash == Episodes(source, shots=1, queries=2, seed=0).hash


def test_tasks_with_too_few_are_left_out(source):
    some = Demonstrations({**source.tasks, 9: [shown(9, 0)]}, "plane")
    drawn = [some.draw(np.random.default_rng(seed), 1, 1)[0].inputs[0, 0].item() for seed in range(60)]
    assert set(drawn) == {2, 5, 7}
    with pytest.raises(
        QuickstudyError, match=r"2 shots and 2 queries ask for 4 demonstrations of a task, .* more than 3; record"
    ):
        some.draw(np.random.default_rng(0), 2, 2)


def test_another_robot_is_refused(source, arm):
    with pytest.raises(
        QuickstudyError, match="train task 8, has 4 numbers in an observation and 2 in an action, and the first has 3"
    ):
        Demonstrations({**source.tasks, 8: [shown(8, 0, seen=4)]}, "plane")
    with pytest.raises(QuickstudyError, match="there is no test demonstration of plane; record some"):
        Demonstrations({}, "plane", "test")
    other = Demonstrations({1: [shown(1, 0, seen=4)]}, "crane")
    with pytest.raises(QuickstudyError, match=r"plane has 3 numbers .*, and the demonstrations of crane 4 .*; give the robot"):
        other.attempts(arm)
    with pytest.raises(QuickstudyError, match="the demonstrations are of crane, not of plane; give the robot that they were"):
        Demonstrations({1: [shown(1, 0)]}, "crane").attempts(arm)


def test_the_spread_leaves_what_hardly_moves_small(source):
    mean, scale = source.only([2, 7]).spread
    torch.testing.assert_close(mean, torch.tensor([4.5, 1.0, 0.0]))
    assert scale[2] == FLOOR * scale.max()
    standard = (torch.cat([each.inputs for task in (2, 7) for each in source.tasks[task]]) - mean) / scale
    torch.testing.assert_close(standard.std(dim=0), torch.tensor([1.0, 1.0, 0.0]))


def test_attempts_are_of_each_task_and_from_starts_of_their_own(arm):
    source = Demonstrations({task: [shown(task, i) for i in range(2)] for task in (3, 4)}, "plane", "test")
    three, four = source.attempts(arm, episodes=2, seed=1)
    torch.testing.assert_close(three.support.inputs, source.tasks[3][0].inputs)
    assert (three.query.inputs.task, four.query.inputs.task) == (3, 4)
    seeds = {*three.query.inputs.seeds, *four.query.inputs.seeds}
    assert len(seeds) == 4
    assert seeds.isdisjoint(source.attempts(arm, episodes=2, seed=2)[0].query.inputs.seeds)
    assert three.score(Expert(arm).adapt(three.support)) == {"success": 1.0}
