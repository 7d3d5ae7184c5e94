"""Robots of Meta-World."""

from __future__ import annotations

import os

import numpy as np
import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots import metaworld_camera
from quickstudy.tasks.robots.demonstrating import demonstrate
from quickstudy.tasks.robots.find import find_robot
from quickstudy.tasks.robots.metaworld_camera import Camera

metaworld_camera.choose_renderer()  # before what imports mujoco
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


def test_pictures_mark_the_goal(push):
    try:
        push.picture()
    except QuickstudyError as error:
        pytest.skip(str(error))
    push.begin("test", 3, (0,))
    picture = push.picture().astype(int)
    assert picture.shape == (240, 320, 3)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    ball = (green > 120) & (green > red + 60) & (green > blue + 60)
    assert 20 < ball.sum() < 2000
    push.begin("test", 4, (0,))
    other = push.picture().astype(int)
    moved = (other[..., 1] > 120) & (other[..., 1] > other[..., 0] + 60) & (other[..., 1] > other[..., 2] + 60)
    assert np.abs(np.argwhere(ball).mean(axis=0) - np.argwhere(moved).mean(axis=0)).max() > 1  # another goal
    assert push.begin("test", 3, (0,)).shape == (39,)  # what is rendered changes nothing


def test_without_a_renderer_it_is_said(push, monkeypatch):
    mujoco = pytest.importorskip("mujoco")

    def fail(*_):
        raise RuntimeError("no device. Nothing more")

    monkeypatch.setattr(mujoco, "Renderer", fail)
    push.render = Camera()
    with pytest.raises(
        QuickstudyError, match=r"MuJoCo cannot render here \(MUJOCO_GL=\w*: no device\); on Linux .* \(libegl1 and"
    ):
        push.picture()


@pytest.mark.parametrize(("there", "chosen"), [(True, "egl"), (False, "disable")])
def test_mujoco_is_imported_without_egl_too(monkeypatch, there, chosen):
    def load(name):
        if not there:
            raise OSError("no such file")

    monkeypatch.setattr(metaworld_camera.ctypes, "CDLL", load)
    monkeypatch.setattr(metaworld_camera.sys, "platform", "linux")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    metaworld_camera.choose_renderer()
    assert os.environ["MUJOCO_GL"] == chosen
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    metaworld_camera.choose_renderer()
    assert os.environ["MUJOCO_GL"] == "osmesa"
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(metaworld_camera.sys, "platform", "darwin")
    metaworld_camera.choose_renderer()
    assert "MUJOCO_GL" not in os.environ
