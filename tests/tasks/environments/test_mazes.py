"""A goal to be found in a maze, with one simulator of a room for all trials in it."""

import sys

import numpy as np
import pytest
import torch

from quickstudy import QuickstudyError
from quickstudy.runs.trials_part import TrialsPart
from quickstudy.tasks.environments import mazes
from quickstudy.tasks.environments.mazes import point_maze

pytest.importorskip("gymnasium_robotics")


def played(environment, act, count=24, seed=0):
    """What episodes of one trial each pay, `(count,)`."""
    chance = torch.Generator().manual_seed(seed)
    tasks = environment.draw(count, chance)
    state, seen = environment.reset(tasks, chance)
    paid = torch.zeros(count)
    for _ in range(environment.horizon):
        state, seen, reward, _ = environment.step(tasks, state, act(seen), chance)
        paid += reward
    return paid


def toward(seen: torch.Tensor) -> torch.Tensor:
    """Straight to the goal, braking."""
    return 2 * (seen[:, 4:] - seen[:, :2]) - 0.5 * seen[:, 2:4]


def test_who_is_told_the_goal_finds_it_and_who_stays_does_not():
    assert played(point_maze(goal_seen=True), toward).mean() > 0.9
    assert played(point_maze(), lambda seen: torch.zeros(len(seen), 2)).sum() == 0


def test_blocks_are_in_the_way():
    (ball,) = balls(1)
    for walls, reached in (((), 2.4), (((2, 4),), 0.4)):
        ball.reset(seed=0, options={"walls": walls, "goal": np.array([1.0, 1.0])})
        for _ in range(20):
            seen, *_ = ball.step(np.array([1, 0], np.float32))
        assert seen[0] == pytest.approx(reached, abs=0.01)


def balls(count):
    """Of one family, that share their simulators."""
    make = point_maze()._simulators.make
    return [make() for _ in range(count)]


def test_no_trial_notices_the_others_in_its_room():
    options = [{"walls": (), "goal": np.array([row, 2.0])} for row in (1.0, 2.0, 3.0)]

    def run(balls, rows):
        seen = [ball.reset(seed=row, options=options[row])[0] for ball, row in zip(balls, rows, strict=True)]
        for step in range(12):
            seen = [
                ball.step(np.array([1 - row, np.cos(step + row)], np.float32))[0] for ball, row in zip(balls, rows, strict=True)
            ]
        return np.array(seen)

    together = run(balls(3), [0, 1, 2])
    for row in range(3):
        assert np.array_equal(run(balls(1), [row])[0], together[row])


def test_the_parts_have_no_placing_in_common_and_leave_every_cell_in_reach():
    ways = {part: set(mazes._placings(2)[which]) for part, which in mazes._QUARTERS.items()}
    assert sum(map(len, ways.values())) == len(set.union(*ways.values())) == len(mazes._placings(2))
    assert ((1, 2), (2, 1)) not in mazes._placings(2)  # the corner between them would be out of reach
    assert ((1, 2), (2, 2)) in mazes._placings(2)


def test_a_recipe_names_it():
    its = TrialsPart.model_validate({"maze": {"blocks": 2, "goal_seen": True}})
    assert its.interface().observation == 6
    assert its.environment("test").horizon == 20


def test_what_cannot_be_is_said(monkeypatch):
    for blocks in (-1, 9):
        with pytest.raises(QuickstudyError, match=f"blocks={blocks}: "):
            point_maze(blocks=blocks)
    monkeypatch.setitem(sys.modules, "quickstudy.tasks.environments.ball", None)
    with pytest.raises(QuickstudyError, match=r"pip install 'quickstudy\[robots\]'"):
        point_maze()
