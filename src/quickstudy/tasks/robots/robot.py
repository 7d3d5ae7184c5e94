"""`Robot`: what can be shown to it and asked of it; one of Meta-World (`metaworld.py`), or one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.robots.own_code import own_code

Info = Mapping[str, Any]
"""What Gymnasium's `step` says beside observation and reward."""


def success(info: Info) -> bool:
    """What most environments of robots say.

    Raises:
        QuickstudyError: it says nothing of the kind.
    """
    if "success" not in info:
        says = f"has {', '.join(map(str, info))}" if info else "is empty"
        raise QuickstudyError(f"the info of a step has no 'success'; it {says}: give Robot(succeeded=...), which tells it")
    return bool(info["success"])


@dataclass(eq=False, repr=False)
class Robot:
    """Any environment with Gymnasium's interface and Box spaces, and its tasks.

    Args:
        name: by which recordings know it.
        make: gives the environment; called once, when it is first needed.
        tasks: those of the parts "train" and "test", which share none.
        set_task: `(env, task, generator)`, called before each reset; where an episode starts from is to come of the generator.
        expert: `(env, observation)` to the action of one that knows the task. None: it cannot be shown.
        succeeded: tells it from the `info` of a step.
        horizon: steps of an episode at most.
        render: `(env)` to a picture of it, `(height, width, 3)` bytes, in which the goal may be marked. None: it has none.

    Raises:
        QuickstudyError: no tasks, or no steps.
    """

    name: str
    make: Callable[[], Any]
    tasks: Mapping[str, Sequence[Any]]
    set_task: Callable[[Any, Any, np.random.Generator], None]
    expert: Callable[[Any, np.ndarray], Any] | None = None
    succeeded: Callable[[Info], bool] = success
    horizon: int = 500
    render: Callable[[Any], Any] | None = None

    def __post_init__(self):
        if not isinstance(self.tasks, Mapping) or not any(map(len, self.tasks.values())):
            raise QuickstudyError(f"{self.name} has no tasks by part; give Robot(tasks={{'train': [...], 'test': [...]}})")
        if self.horizon < 1:
            raise QuickstudyError(f"horizon={self.horizon}: {self.name} needs at least 1 step")

    def __repr__(self) -> str:
        return f"Robot({self.name})"

    @cached_property
    def env(self) -> Any:
        """The environment.

        Raises:
            QuickstudyError: one of its spaces is no Box.
        """
        with own_code(f"make of {self.name}"):
            env = self.make()
        for name in ("observation_space", "action_space"):
            if not hasattr(space := getattr(env, name, None), "low"):
                raise QuickstudyError(
                    f"the {name} of {self.name} is {space}, and a robot's is a Box; wrap the environment "
                    "(gymnasium.wrappers.FlattenObservation makes a Box of a Dict)"
                )
        return env

    @property
    def numbers(self) -> tuple[int, int]:
        """How many an observation has, and how many an action."""
        return math.prod(self.env.observation_space.shape), math.prod(self.env.action_space.shape)

    def begin(self, part: str, task: int, seed: Sequence[int]) -> np.ndarray:
        """Begins an episode of the task with this number; all chance in it comes from the seed.

        Returns:
            An observation, `(numbers,)`.

        Raises:
            QuickstudyError: no such task.
        """
        known = self.tasks.get(part, ())
        if not 0 <= task < len(known):
            raise QuickstudyError(f"{self.name} has {len(known)} {part} tasks, and none with number {task}")
        generator = np.random.default_rng(seed)
        env = self.env
        with own_code(f"set_task or reset of {self.name}"):
            self.set_task(env, known[task], generator)
            return _flat(env.reset(seed=int(generator.integers(2**31)))[0])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, bool, bool]:
        """Acts: an observation, whether the task is done, and whether the episode is over."""
        space = self.env.action_space
        with own_code(f"step or succeeded of {self.name}"):
            seen, _, terminated, truncated, info = self.env.step(self.cut(action).reshape(space.shape).astype(space.dtype))
            return _flat(seen), bool(self.succeeded(info)), bool(terminated or truncated)

    def shown(self, seen: np.ndarray) -> np.ndarray:
        """The expert's action, `(numbers,)`.

        Raises:
            QuickstudyError: there is no expert, or what it gives is no action.
        """
        if self.expert is None:
            raise QuickstudyError(f"{self.name} has no expert to show its tasks; give Robot(expert=...)")
        with own_code(f"the expert of {self.name}"):
            action = _flat(self.expert(self.env, seen))
        if len(action) != self.numbers[1]:
            raise QuickstudyError(f"the expert of {self.name} gives {len(action)} numbers, and an action has {self.numbers[1]}")
        return self.cut(action)

    def picture(self) -> np.ndarray:
        """What it looks like now, `(height, width, 3)` bytes.

        Raises:
            QuickstudyError: it has no pictures, or none can be made here.
        """
        if self.render is None:
            raise QuickstudyError(f"{self.name} has no pictures; give Robot(render=...)")
        with own_code(f"render of {self.name}"):
            found = np.asarray(self.render(self.env))
        if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
            raise QuickstudyError(
                f"render of {self.name} gives {found.dtype} of shape {found.shape}; a picture is (height, width, 3) of uint8"
            )
        return found

    def cut(self, action: np.ndarray) -> np.ndarray:
        """An action within what the robot takes."""
        space = self.env.action_space
        return np.clip(action, space.low.ravel(), space.high.ravel())


def _flat(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).ravel()
