"""Robots: episodes that a seed decides, what an expert shows, and what a policy tries."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.attempts import Attempts
from quickstudy.tasks.robots.demonstrating import demonstrate
from quickstudy.tasks.robots.find import find_robot
from quickstudy.tasks.task import Task

ARM = Path(__file__).with_name("my_arm.py")


class Policy:
    def __init__(self, act):
        self.act = act

    def predict(self, seen):
        assert seen.shape == (1, 3)
        assert seen.dtype == torch.float32
        return self.act(seen)


def test_the_seed_decides_where_an_episode_begins(arm):
    first = arm.begin("train", 0, (1, 2))
    np.testing.assert_array_equal(first, arm.begin("train", 0, (1, 2)))
    assert not np.array_equal(first, arm.begin("train", 0, (1, 3)))
    assert arm.numbers == (3, 2)


def test_actions_are_cut(arm):
    before = arm.begin("train", 0, (0,))
    after, succeeded, over = arm.step(np.array([7.0, -0.5]))
    np.testing.assert_allclose(after - before, [0.2, -0.1, 0], atol=1e-6)
    assert (succeeded, over) == (False, False)


def test_what_a_robot_lacks(arm):
    with pytest.raises(QuickstudyError, match="plane has 10 test tasks, and none with number 10"):
        arm.begin("test", 10, (0,))
    arm.expert = None
    with pytest.raises(QuickstudyError, match=r"plane has no expert to show its tasks; give Robot\(expert=...\)"):
        demonstrate(arm, "train", 0, steps=5)


def test_noise_moves_the_robot_and_is_not_shown(arm):
    shown = demonstrate(arm, "train", 0, steps=50, noise=0.5, seed=(4,))
    assert isinstance(shown, Batch)
    assert shown.inputs.shape == (20, 3)  # the episode was over
    goal = torch.tensor(arm.tasks["train"][0], dtype=torch.float32)
    torch.testing.assert_close(shown.targets, (3 * (goal - shown.inputs[:, :2])).clamp(-1, 1))
    moved = shown.inputs[1:, :2] - shown.inputs[:-1, :2]
    assert (moved - 0.2 * shown.targets[:-1]).abs().mean() > 0.02
    quiet = demonstrate(arm, "train", 0, steps=50, seed=(4,))
    assert isinstance(quiet, Batch)
    torch.testing.assert_close(quiet.inputs[0], shown.inputs[0])
    torch.testing.assert_close(quiet.inputs[1:, :2] - quiet.inputs[:-1, :2], 0.2 * quiet.targets[:-1])


def test_spoilt_demonstrations(arm):
    assert demonstrate(arm, "train", 0, steps=1) == "failed"
    arm.expert = lambda env, seen: np.array([np.nan, 0.0])
    assert demonstrate(arm, "train", 0, steps=20) == "not finite"


def test_attempts_count_what_is_done_at_any_step(arm):
    seeds = [(9, i) for i in range(3)]
    attempts = Attempts(arm, "test", 2, seeds)

    def knowing(seen):
        goal = torch.tensor(arm.tasks["test"][2], dtype=torch.float32)
        return 3 * (goal - seen[:, :2])

    task = Task(Batch(torch.zeros(1, 3), torch.zeros(1, 2)), Batch(attempts))
    assert task.score(Policy(knowing)) == {"success": 1.0}
    assert task.score(Policy(lambda seen: torch.zeros(1, 2))) == {"success": 0.0}
    assert attempts.successes(Policy(lambda seen: torch.full((1, 2), torch.nan))) == [False] * 3
    begun = [arm.begin("test", 2, seed)[0] for seed in seeds]
    assert len(set(begun)) == 3


def test_robots_by_name():
    with pytest.raises(QuickstudyError, match=r"the robot 'no_arm.py:arm': there is no file no_arm.py"):
        find_robot("no_arm.py:arm")
    with pytest.raises(
        QuickstudyError, match=r"my_arm.py has no Robot by the name 'nothing'; write `nothing = Robot\(...\)` there"
    ):
        find_robot(f"{ARM}:nothing")


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "metaworld", None)
    with pytest.raises(QuickstudyError, match=r"pip install 'quickstudy\[robots\]'"):
        find_robot("reach-v3")
