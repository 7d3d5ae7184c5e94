"""Films of a robot in one task: before it was shown anything, after, and the expert; animated WebP."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.expert import Expert
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.device import device_of
from quickstudy.tasks.robots.attempts import Attempts
from quickstudy.tasks.task import Task
from quickstudy.wording import counted

FRAMES = 48
"""Of a film, at most, beside the first."""
FRAME, LAST = 80, 1600
"""Milliseconds of a frame, and of the last one."""
QUALITY = 70
EDGE, GREEN = 4, (0, 170, 70)
"""Pixels of the edge around a picture in which the task is done, and its colour."""


@dataclass(frozen=True)
class Film:
    """One episode.

    Args:
        title: "Before", "After" or "Expert".
        who: acts, in words.
        said: how it ends.
        webp: the file.
    """

    title: str
    who: str
    said: str
    webp: bytes


@dataclass(frozen=True)
class Role:
    """Who acts in a film, and with what it has learned."""

    title: str
    who: str
    adapted: Adapted


def roles(learners: Sequence[Learner], task: Task) -> list[Role]:
    """Before, after and expert, as far as there are any.

    Before a demonstration a gradient learner is the policy that its steps begin from. One that reads it is none: in its place
    stands one that was trained alike and takes no step, if there is one among the learners.

    Args:
        learners: the judged one, and those beside it.
    """
    learner, task = learners[0], task.to(device_of(learners[0]))
    found, robot = [], _attempts(task).robot
    if isinstance(learner, GradientLearner):
        start = Adapted(learner.model, learner.call, phi=learner.start(task.support), real=True)
        found.append(Role("Before", f"{learner.title}, before its first step", start))
    elif clone := next((each for each in learners if isinstance(each, ZeroStep)), None):
        found.append(Role("Before", f"{clone.title}, trained alike and shown nothing", clone.adapt(task.support)))
    found.append(Role("After", f"{learner.title}, shown the task once from another start", learner.adapt(task.support)))
    return found + ([Role("Expert", "scripted, knows the task", Expert(robot).adapt(task.support))] if robot.expert else [])


def films(task: Task, cast: Sequence[Role], progress: Progress | None = None) -> list[Film]:
    """The first episode of a task, once for each who acts: all from the same start, and for as many steps.

    They last until the slowest that does the task has done it.

    Raises:
        QuickstudyError: the robot has no pictures, or none can be made here.
    """
    attempts = _attempts(task)
    robot, seed = attempts.robot, attempts.seeds[0]
    robot.begin(attempts.part, attempts.task, seed)
    robot.picture()  # before much is played for nothing
    ends = [_end(attempts.steps(role.adapted, seed)) for role in cast]
    last = max((steps for steps, done in ends if done), default=robot.horizon)
    every, found = math.ceil(last / FRAMES), []
    for number, (role, (steps, done)) in enumerate(zip(cast, ends, strict=True), start=1):
        pictures = list(_pictures(attempts, role.adapted, every, last))
        pictures += pictures[-1:] * (1 + math.ceil(last / every) - len(pictures))
        said = f"{'done after' if done else 'not done in'} {counted(steps, 'step')}"
        found.append(Film(role.title, role.who, said, _webp(pictures)))
        if progress:
            progress("films", number, len(cast))
    return found


def _attempts(task: Task) -> Attempts:
    assert isinstance(task.query.inputs, Attempts)
    return task.query.inputs


def _end(steps: Iterator[bool]) -> tuple[int, bool]:
    """How many steps were made until the task was done or the episode over, and whether it was done."""
    number = 0
    for number, done in enumerate(steps):
        if done:
            return number, True
    return number, False


def _pictures(attempts: Attempts, adapted: Adapted, every: int, last: int) -> Iterator[np.ndarray]:
    """One of every so many steps, and one of the last."""
    for number, done in enumerate(attempts.steps(adapted, attempts.seeds[0])):
        if done or number % every == 0 or number == last:
            yield _edged(attempts.robot.picture()) if done else attempts.robot.picture()
        if done or number == last:
            return


def _edged(picture: np.ndarray) -> np.ndarray:
    edged = np.full_like(picture, GREEN)
    edged[EDGE:-EDGE, EDGE:-EDGE] = picture[EDGE:-EDGE, EDGE:-EDGE]
    return edged


def _webp(pictures: Sequence[np.ndarray]) -> bytes:
    from PIL import Image

    first, *others = map(Image.fromarray, pictures)
    file = io.BytesIO()
    times = [FRAME] * len(others) + [LAST]
    first.save(file, "WEBP", save_all=True, append_images=others, duration=times, loop=0, quality=QUALITY)
    return file.getvalue()
