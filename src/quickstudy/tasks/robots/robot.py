"""`Robot`: what can be shown to it and asked of it; one of Meta-World (`metaworld.py`), or one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError

Info = Mapping[str, Any]
"""What Gymnasium's `step` says beside observation and reward."""


def success(info: Info) -> bool:
    """What most environments of robots say."""
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
    """

    name: str
    make: Callable[[], Any]
    tasks: Mapping[str, Sequence[Any]]
    set_task: Callable[[Any, Any, np.random.Generator], None]
    expert: Callable[[Any, np.ndarray], Any] | None = None
    succeeded: Callable[[Info], bool] = success
    horizon: int = 500

    def __repr__(self) -> str:
        return f"Robot({self.name})"

    @cached_property
    def env(self) -> Any:
        """The environment."""
        return self.make()

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
        known = self.tasks[part]
        if not 0 <= task < len(known):
            raise QuickstudyError(f"{self.name} has {len(known)} {part} tasks, and none with number {task}")
        generator = np.random.default_rng(seed)
        self.set_task(self.env, known[task], generator)
        return _flat(self.env.reset(seed=int(generator.integers(2**31)))[0])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, bool, bool]:
        """Acts: an observation, whether the task is done, and whether the episode is over."""
        space = self.env.action_space
        seen, _, terminated, truncated, info = self.env.step(self.cut(action).reshape(space.shape).astype(space.dtype))
        return _flat(seen), self.succeeded(info), bool(terminated or truncated)

    def shown(self, seen: np.ndarray) -> np.ndarray:
        """The expert's action, `(numbers,)`.

        Raises:
            QuickstudyError: there is no expert.
        """
        if self.expert is None:
            raise QuickstudyError(f"{self.name} has no expert to show its tasks; give Robot(expert=...)")
        return self.cut(_flat(self.expert(self.env, seen)))

    def cut(self, action: np.ndarray) -> np.ndarray:
        """An action within what the robot takes."""
        space = self.env.action_space
        return np.clip(action, space.low.ravel(), space.high.ravel())


def _flat(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).ravel()
