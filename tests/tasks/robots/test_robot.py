"""Robots: episodes that a seed decides, what an expert shows, and what a policy tries."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.attempts import Attempts
from quickstudy.tasks.robots.demonstrating import demonstrate
from quickstudy.tasks.robots.find import find_robot
from quickstudy.tasks.robots.robot import success
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
    steps = list(attempts.steps(Policy(knowing), seeds[0]))
    assert (steps[0], steps[-1], len(steps)) == (False, True, 1 + 20)  # the start, and all of the episode
    assert steps.index(True) < 10
    begun = [arm.begin("test", 2, seed)[0] for seed in seeds]
    assert len(set(begun)) == 3


def test_a_simulator_that_breaks_is_no_fault_of_the_policy(arm):
    attempts, step = Attempts(arm, "test", 2, [(0,)]), arm.env.step
    arm.env.step = lambda action: (np.full(3, np.nan), *step(action)[1:])
    with pytest.warns(UserWarning, match="plane, test task 2: what is observed is not finite; the episode counts as failed"):
        assert attempts.successes(Policy(lambda seen: 0 * seen[:, :2])) == [False]


def test_robots_by_name():
    with pytest.raises(QuickstudyError, match=r"the robot 'no_arm.py:arm': there is no file no_arm.py"):
        find_robot("no_arm.py:arm")
    for wanted, name in ((":nothing", "nothing"), (":", ""), ("", "")):
        with pytest.raises(QuickstudyError, match=rf"my_arm.py has no Robot by the name '{name}'; give .*my_arm.py:arm$"):
            find_robot(f"{ARM}{wanted}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing = 3", "my_robot.py has no Robot by the name 'arm'; write `arm = Robot"),
        (
            "x = 1\nraise ValueError('no power')",
            r"the robot file .*my_robot.py raises ValueError: no power \(.*my_robot.py, line 2\)",
        ),
        ("def f(:", r"my_robot.py raises SyntaxError: invalid syntax \(my_robot.py, line 1\)$"),
        ("from my_parts import arm", None),
    ],
)
def test_a_file_of_ones_own(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_parts.py").write_text(ARM.read_text())
    (tmp_path / "my_robot.py").write_text(text)
    if message is None:
        assert find_robot(f"{tmp_path / 'my_robot.py'}:arm").name == "plane"
        return
    with pytest.raises(QuickstudyError, match=message):
        find_robot(f"{tmp_path / 'my_robot.py'}:arm")


def raises(*_):
    raise RuntimeError("stalled")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("make", raises, r"make of plane raises RuntimeError: stalled \(.*test_robot.py, line \d+\)"),
        ("set_task", raises, "set_task or reset of plane raises RuntimeError: stalled"),
        ("succeeded", lambda info: info["done"], "step or succeeded of plane raises KeyError: 'done'"),
        ("expert", raises, "the expert of plane raises RuntimeError: stalled"),
        ("expert", lambda env, seen: [0.0] * 3, "the expert of plane gives 3 numbers, and an action has 2"),
        (
            "make",
            lambda: SimpleNamespace(observation_space=None),
            "the observation_space of plane is None, and a robot's is a Box",
        ),
    ],
)
def test_what_ones_own_code_does_wrong(arm, name, value, message):
    setattr(arm, name, value)
    with pytest.raises(QuickstudyError, match=message):
        demonstrate(arm, "train", 0, steps=5)


def test_an_info_that_says_nothing_of_success():
    assert success({"success": 1.0}) is True
    with pytest.raises(
        QuickstudyError, match=r"the info of a step has no 'success'; it has distance, reward: give Robot\(succeeded"
    ):
        success({"distance": 1.0, "reward": 0})
    with pytest.raises(QuickstudyError, match="it is empty"):
        success({})


@pytest.mark.parametrize("tasks", [{}, {"train": []}, [1, 2]])
def test_a_robot_without_tasks(arm, tasks):
    with pytest.raises(QuickstudyError, match=r"plane has no tasks by part; give Robot\(tasks={'train'"):
        replace(arm, tasks=tasks)
    with pytest.raises(QuickstudyError, match="horizon=0: plane needs at least 1 step"):
        replace(arm, horizon=0)


def test_pictures(arm):
    arm.begin("test", 0, (0,))
    assert arm.picture().shape == (40, 40, 3)
    for render, message in (
        (None, r"plane has no pictures; give Robot\(render=...\)"),
        (raises, "render of plane raises RuntimeError: stalled"),
        (lambda env: None, r"render of plane gives object of shape \(\); a picture is"),
        (lambda env: np.zeros((4, 4, 3)), r"gives float64 of shape \(4, 4, 3\)"),
    ):
        arm.render = render
        with pytest.raises(QuickstudyError, match=message):
            arm.picture()


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "metaworld", None)
    with pytest.raises(QuickstudyError, match=r"pip install 'quickstudy\[robots\]'"):
        find_robot("reach-v3")


def test_a_renderer_that_was_asked_for_and_is_missing(monkeypatch, tmp_path):
    (tmp_path / "metaworld.py").write_text("raise AttributeError('glGetError')  # as PyOpenGL does where OSMesa is missing")
    monkeypatch.delitem(sys.modules, "metaworld", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(QuickstudyError, match=r"mujoco cannot be imported with MUJOCO_GL=osmesa \(glGetError\); unset it"):
        find_robot("reach-v3")
