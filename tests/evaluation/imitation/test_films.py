"""Films of a robot: who acts before and after, and that all begin alike and last as long."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quickstudy import QuickstudyError
from quickstudy.evaluation.imitation.films import FRAME, GREEN, LAST, films, roles
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.learners.cnp import CNP
from quickstudy.learners.maml import MAML
from quickstudy.models.networks import mlp
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.attempts import Attempts
from quickstudy.tasks.robots.demonstrating import demonstrate
from quickstudy.tasks.robots.find import find_robot
from quickstudy.tasks.task import Task

ARM = f"{Path(__file__).parents[2] / 'tasks' / 'robots' / 'my_arm.py'}:arm"
TASK = 2
"""One in which doing nothing does not do."""


@pytest.fixture
def task() -> Task:
    arm = find_robot(ARM)
    shown = demonstrate(arm, "test", TASK, steps=20)
    assert isinstance(shown, Batch)
    return Task(shown, Batch(Attempts(arm, "test", TASK, [(7, 0), (7, 1)])))


def pictures(webp: bytes) -> list[np.ndarray]:
    film = Image.open(io.BytesIO(webp))
    assert film.format == "WEBP"
    found = []
    for at in range(film.n_frames):
        film.seek(at)
        film.load()
        found += [np.asarray(film.convert("RGB")).astype(int)] * round(film.info["duration"] / FRAME)
    return found


def test_all_begin_alike_and_last_until_the_slowest_has_done_it(task):
    torch.manual_seed(0)
    slow = ZeroStep(mlp([3, 2], seed=0))
    for parameter in slow.model.parameters():
        parameter.data.fill_(0.02)
    told: list[tuple[str, int, int]] = []
    cast = roles([CNP(mlp([7, 8, 2], seed=0), context=4), slow], task)
    before, expert = films(task, [cast[0], cast[2]], lambda *each: told.append(each))
    assert (before.title, before.who, before.said) == (
        "Before",
        "ZeroStep, trained alike and shown nothing",
        "not done in 20 steps",
    )
    assert (expert.title, expert.said[:11]) == ("Expert", "done after ")
    assert told == [("films", 1, 2), ("films", 2, 2)]
    slowly, its = pictures(before.webp), pictures(expert.webp)
    steps = int(expert.said.split()[2])
    assert len(its) == len(slowly) == steps + LAST // FRAME
    np.testing.assert_allclose(its[0], slowly[0], atol=40)
    assert np.abs(its[0][:2] - GREEN).max() > 100
    np.testing.assert_allclose(its[-1][:2], np.broadcast_to(GREEN, (2, 40, 3)), atol=40)  # it is done
    assert np.abs(slowly[-1][:2] - GREEN).max() > 100


def test_before_is_what_a_gradient_learner_begins_with(task):
    learner = MAML(mlp([3, 8, 2], seed=1), 0.1, inner_steps=2)
    before, after, expert = roles([learner, ZeroStep(mlp([3, 2]))], task)
    assert [each.title for each in (before, after, expert)] == ["Before", "After", "Expert"]
    assert before.who == "MAML, before its first step"
    seen = task.support.inputs[:4]
    torch.testing.assert_close(before.adapted.predict(seen), learner.model(seen).detach())
    torch.testing.assert_close(after.adapted.predict(seen), learner.adapt(task.support).predict(seen))
    assert (before.adapted.predict(seen) - after.adapted.predict(seen)).abs().max() > 1e-3


def test_a_learner_that_reads_has_no_before_of_its_own(task):
    learner = CNP(mlp([7, 8, 2], seed=0), context=4)
    assert [each.title for each in roles([learner], task)] == ["After", "Expert"]
    task.query.inputs.robot.expert = None
    assert [each.title for each in roles([learner], task)] == ["After"]


def test_without_pictures_nothing_is_played(task):
    robot = task.query.inputs.robot
    robot.render = None
    with pytest.raises(QuickstudyError, match="plane has no pictures"):
        films(task, roles([CNP(mlp([7, 8, 2]), context=4)], task))
    assert robot.env.steps == 0
