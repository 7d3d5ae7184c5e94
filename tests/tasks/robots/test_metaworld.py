"""Robots of Meta-World."""

from __future__ import annotations

import numpy as np
import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.demonstrating import demonstrate
from quickstudy.tasks.robots.find import find_robot

pytest.importorskip("metaworld", reason="Meta-World is not installed: pip install 'quickstudy[robots]'")


@pytest.fixture(scope="module")
def push():
    return find_robot("push-v3")


def test_goals_are_hidden_and_starts_differ(push):
    assert push.numbers == (39, 4)
    assert (len(push.tasks["train"]), len(push.tasks["test"])) == (50, 50)
    first = push.begin("test", 3, (0,))
    goal = push.env._target_pos.copy()
    np.testing.assert_array_equal(first[-3:], 0)
    other = push.begin("test", 3, (1,))
    np.testing.assert_allclose(push.env._target_pos, goal, atol=1e-4)  # its height is that at which the puck came to rest
    assert np.abs(other[:3] - first[:3]).max() > 0.01  # the hand
    assert np.abs(other[4:6] - first[4:6]).max() > 0.01  # the puck
    np.testing.assert_array_equal(push.begin("test", 3, (0,)), first)
    push.begin("train", 3, (0,))
    assert np.abs(push.env._target_pos - goal).max() > 0.01


def test_the_expert_shows_it(push):
    shown = demonstrate(push, "train", 0, steps=100, noise=0.1)
    assert isinstance(shown, Batch)
    assert shown.inputs.shape == (100, 39)
    assert shown.targets.abs().max() == 1
    again = demonstrate(find_robot("push-v3"), "train", 0, steps=100, noise=0.1)  # whatever was done before
    assert isinstance(again, Batch)
    assert again.inputs.equal(shown.inputs)


def test_a_family_that_is_not_there():
    with pytest.raises(QuickstudyError, match="Meta-World has no family 'reach'; did you mean reach-v3"):
        find_robot("reach")
