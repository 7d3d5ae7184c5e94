"""`Ball`: PointMaze of Gymnasium-Robotics, with one simulator of a room for all the trials in it."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from quickstudy.tasks.environments.simulators import Options

with redirect_stderr(io.StringIO()):  # where it tells whoever imports it about changes to hands
    import gymnasium_robotics  # noqa: F401  (registers its environments)

STEPS = 5
"""Of the simulator, 0.01 s each, that an action lasts."""
NOISE = 0.25
"""How far from the middle of its cell a ball begins at most, in each direction."""


class Rooms:
    """The simulators, one for each way the blocks stand: a simulator takes 14 MB, what it has to know of a trial 50 bytes.

    Args:
        rows, columns: cells of one unit between the outer walls.
    """

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = rows, columns
        self._made: dict[tuple, Any] = {}

    def __getitem__(self, walls: tuple[tuple[int, int], ...]) -> Any:
        if walls not in self._made:
            plan = np.ones((self.rows + 2, self.columns + 2), dtype=int)
            plan[1:-1, 1:-1] = 0
            for cell in walls:
                plan[cell] = 1
            room = gymnasium.make("PointMaze_Open-v3", maze_map=plan.tolist(), continuing_task=False, disable_env_checker=True)
            room.reset(seed=0)
            self._made[walls] = room.unwrapped
        return self._made[walls]

    def at(self, cell: Any) -> np.ndarray:
        """Where a row and a column, which need not be whole, lie in the simulator."""
        row, column = cell
        return np.array([column - (self.columns + 1) / 2, (self.rows + 1) / 2 - row])


class Ball(gymnasium.Env):
    """A ball in one of the rooms; the options of a reset say in which (`walls`), and where the goal is (`goal`, in cells).

    Args:
        rooms: which share their simulators.
        start: the cell where it begins.
        goal_seen: whether the goal is observed, after position and velocity.
    """

    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, rooms: Rooms, start: tuple[int, int], goal_seen: bool = False):
        self.rooms, self.start, self.goal_seen = rooms, start, goal_seen
        self.observation_space = spaces.Box(-np.inf, np.inf, (6 if goal_seen else 4,), np.float64)

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> tuple[np.ndarray, dict]:
        """At rest, near the middle of the first cell."""
        super().reset(seed=seed)
        assert options is not None
        self.room, self.goal = self.rooms[options["walls"]], self.rooms.at(options["goal"])
        where = self.rooms.at(self.start) + self.np_random.uniform(-NOISE, NOISE, 2)
        self.state = np.concatenate([where, np.zeros(2)])
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """A push."""
        self.room.goal, found = self.goal, False
        data = self.room.point_env.data
        data.qpos[:], data.qvel[:] = self.state[:2], self.state[2:]
        data.qacc_warmstart[:] = 0  # of whoever was here before
        for _ in range(STEPS):
            if not found:
                seen, _, found, _, _ = self.room.step(action)
                self.state = seen["observation"]
        return self._seen(), float(found), found, False, {}

    def _seen(self) -> np.ndarray:
        return np.concatenate([self.state, self.goal]) if self.goal_seen else self.state
