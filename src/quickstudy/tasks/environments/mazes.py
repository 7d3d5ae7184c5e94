"""`point_maze`: a ball to be pushed to a goal it is not told, in a maze of Gymnasium-Robotics (de Lazcano et al. 2024)."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Literal

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments.gymnasium import Gymnasium
from quickstudy.tasks.environments.simulators import Options

ROWS, COLUMNS, START = 3, 5, (2, 3)
"""Cells of one unit between the outer walls, numbered from 1; where the ball begins."""
MOST = 8
"""Blocks."""
NOISE = 0.25
"""How far from the middle of its cell a goal lies at most, in each direction."""

Cell = tuple[int, int]
Part = Literal["train", "valid", "test"]


def point_maze(part: Part = "train", *, blocks: int = 0, goal_seen: bool = False, horizon: int = 20) -> Gymnasium:
    """A room of 3 by 5 cells, in which a goal is to be found. An episode pays 1 and ends when the ball is within 0.45 of it.

    Observed are position and velocity, `(4,)`; an action is a force, `(2,)` in [-1, 1]. The ball begins near the middle. A task
    is a goal, and where the blocks stand that fill some of the cells. It takes two or three episodes to look everywhere.

    Args:
        part: of what. With blocks, one way of placing them in four is left for validation and one for the test.
        blocks: cells that are walls, other ones in each task; all others can be reached.
        goal_seen: whether the goal is observed, after the velocity; an oracle, to compare with.
        horizon: actions of an episode at most.

    Raises:
        QuickstudyError: Gymnasium-Robotics is not installed, or there are too many blocks.
    """
    try:
        from quickstudy.tasks.environments.ball import Ball, Rooms
    except ImportError:
        raise QuickstudyError("mazes need the package gymnasium-robotics: pip install 'quickstudy[robots]'") from None
    ways, rooms = _placings(blocks)[_QUARTERS[part] if blocks else slice(None)], Rooms(ROWS, COLUMNS)

    def vary(rng: np.random.Generator) -> Options:
        walls = ways[rng.integers(len(ways))]
        free = [cell for cell in _cells() if cell not in walls and cell != START]
        return {"walls": walls, "goal": np.array(free[rng.integers(len(free))]) + rng.uniform(-NOISE, NOISE, 2)}

    return Gymnasium(lambda: Ball(rooms, START, goal_seen), vary=vary, horizon=horizon)


_QUARTERS = {"train": slice(0, None, 2), "valid": slice(1, None, 4), "test": slice(3, None, 4)}


@cache
def _placings(blocks: int) -> list[tuple[Cell, ...]]:
    """All ways to place so many blocks, in an order that says nothing."""
    if not 0 <= blocks <= MOST:
        raise QuickstudyError(f"blocks={blocks}: give 0 to {MOST}, of {ROWS} by {COLUMNS} cells")
    others = [cell for cell in _cells() if cell != START]
    found = [walls for walls in combinations(others, blocks) if _connected(set(_cells()) - set(walls))]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def _connected(free: set[Cell]) -> bool:
    reached, edge = {START}, [START]
    while edge:
        row, column = edge.pop()
        near = {(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)} & free - reached
        reached |= near
        edge += near
    return reached == free


def _cells() -> list[Cell]:
    return [(row, column) for row in range(1, ROWS + 1) for column in range(1, COLUMNS + 1)]
