"""A hand in the plane, and an expert that knows where it is to go: a robot of one's own, as `my_arm.py:arm`."""

import numpy as np
from gymnasium.spaces import Box

from quickstudy.tasks.robots import Robot

HORIZON = 20
SPEED = 0.2


class Plane:
    """Observed are where the hand is and a number that says nothing; it moves by `SPEED` at most along each axis."""

    observation_space = Box(-np.inf, np.inf, (3,))
    action_space = Box(-1.0, 1.0, (2,), dtype=np.float32)

    def __init__(self):
        self.goal = self.start = self.at = np.zeros(2)
        self.steps = 0

    def seen(self):
        return np.array([*self.at, 1.0])

    def reset(self, *, seed=None):
        self.at, self.steps = self.start.copy(), 0
        return self.seen(), {}

    def step(self, action):
        assert np.abs(action).max() <= 1
        self.at, self.steps = self.at + SPEED * action, self.steps + 1
        return self.seen(), 0.0, False, self.steps == HORIZON, {"success": np.abs(self.at - self.goal).max() < 0.15}


def place(env, goal, generator):
    env.goal, env.start = goal, generator.uniform(-0.2, 0.2, 2)


def reach(env, seen):
    return 3 * (env.goal - seen[:2])


def draw(env):
    """The plane from above; the goal is green, the hand red."""
    picture = np.full((40, 40, 3), 255, dtype=np.uint8)
    for (x, y), colour in ((env.goal, (0, 160, 0)), (env.at, (200, 0, 0))):
        row, column = int(20 - 16 * y), int(20 + 16 * x)
        picture[row - 2 : row + 2, column - 2 : column + 2] = colour
    return picture


goals = np.random.default_rng(0).uniform(-1, 1, (40, 2))
arm = Robot("plane", Plane, {"train": goals[:30], "test": goals[30:]}, place, reach, horizon=HORIZON, render=draw)
nothing = 3
