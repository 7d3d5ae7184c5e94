"""The point in the plane, by hand, and what breaks."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments import Box, Points
from quickstudy.tasks.environments.sound import Sound

CHANCE = torch.Generator()


def after(environment, tasks, *actions):
    """What each of these actions, given to all trials, leads to."""
    state, seen = environment.reset(tasks, CHANCE)
    found = []
    for action in actions:
        state, seen, reward, done = environment.step(tasks, state, torch.tensor(action).expand(len(state), 2), CHANCE)
        found.append((seen, reward, done))
    return found


def test_moves_and_rewards_by_hand():
    tasks = {"goal": torch.tensor([[0.3, 0.4], [0.1, 0.0]]), "obstacles": torch.zeros(2, 0, 2)}
    (first, paid, done), (second, more, over) = after(Points(), tasks, [0.5, -7.0], [0.5, 1.0])
    assert_close(first, torch.tensor([[0.05, -0.1], [0.05, -0.1]]))  # an action is cut to [-1, 1], and a tenth of it is a move
    assert_close(paid, -torch.tensor([math.hypot(0.25, 0.5), math.hypot(0.05, 0.1)]))
    assert done.tolist() == [False, False]
    assert_close(second, torch.tensor([[0.1, 0.0], [0.1, 0.0]]))
    assert_close(more, -torch.tensor([math.hypot(0.2, 0.4), 0.0]))
    assert over.tolist() == [False, True]


@pytest.mark.parametrize(("goal", "there"), [([0.109, 0.091], True), ([0.1, 0.011], False), ([0.109, -0.009], True)])
def test_there_is_where_both_coordinates_are_near(goal, there):
    ((_, _, done),) = after(Points(), {"goal": torch.tensor([goal])}, [1.0, 0.0 if goal[1] < 0.05 else 1.0])
    assert done.item() is there


def test_goals_fill_the_square_evenly():
    goals = Points().draw(50_000, torch.Generator().manual_seed(0))["goal"]
    assert goals.abs().max() <= 0.5
    counts = ((goals + 0.5) * 4).long().clamp(0, 3)
    assert_close(torch.bincount(counts[:, 0] * 4 + counts[:, 1]) / 50_000, torch.full((16,), 1 / 16), atol=0.005, rtol=0)
    assert (-100 * goals.norm(dim=1)).mean().item() == pytest.approx(-38.3, abs=0.2)  # staying where it is


def test_goals_of_a_range_lie_between_two_squares():
    goals = Points(goals=(0.5, 1.0)).draw(50_000, torch.Generator().manual_seed(0))["goal"]
    out = goals.abs().amax(1)
    assert 0.5 <= out.min() < 0.501
    assert 0.999 < out.max() <= 1
    assert (out < 0.75).float().mean().item() == pytest.approx((0.75**2 - 0.5**2) / 0.75, abs=0.01)  # by area


def test_a_goal_is_observed_only_by_an_oracle():
    tasks = Points().draw(3, torch.Generator().manual_seed(0))
    assert Points().reset(tasks, CHANCE)[1].shape == (3, Points().observation) == (3, 2)
    oracle = Points(goal_seen=True)
    assert oracle.observation == 4
    assert_close(oracle.reset(tasks, CHANCE)[1], torch.cat([torch.zeros(3, 2), tasks["goal"]], dim=1))


def test_an_obstacle_is_neither_entered_nor_jumped_over():
    environment = Points(obstacles=2, radius=0.05)
    circles = torch.tensor([[[0.1, 0.0], [-0.16, 0.0]]])
    tasks = {"goal": torch.tensor([[0.4, 0.4]]), "obstacles": circles}
    into, along, other = ([1.0, 0.0], [0.0, 1.0], [-1.0, 0.0])
    assert_close(after(environment, tasks, into)[0][0], torch.zeros(1, 2))
    assert_close(after(environment, tasks, along, into)[1][0], torch.tensor([[0.1, 0.1]]))
    assert_close(after(environment, tasks, other)[0][0], torch.tensor([[-0.1, 0.0]]))
    assert_close(after(environment, tasks, other, other)[1][0], torch.tensor([[-0.1, 0.0]]))
    thin = Points(obstacles=1, radius=0.02)  # thinner than a move is long
    across = {"goal": torch.tensor([[0.4, 0.4]]), "obstacles": torch.tensor([[[0.05, 0.0]]])}
    assert_close(after(thin, across, into)[0][0], torch.zeros(1, 2))


def test_obstacles_differ_and_leave_start_and_goal_free():
    environment = Points(obstacles=3, radius=0.15)
    tasks = environment.draw(2_000, torch.Generator().manual_seed(0))
    circles = tasks["obstacles"]
    assert circles.shape == (2_000, 3, 2)
    assert (circles.norm(dim=-1) > 0.15).all()
    assert ((circles - tasks["goal"][:, None]).norm(dim=-1) > 0.15).all()
    assert circles.std(0).min() > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"goals": (0.5, 0.5)}, "give two distances, the second one larger"),
        ({"horizon": 0}, "horizon=0: give at least 1"),
        ({"obstacles": -1}, "-1 obstacles of radius 0.1: give 0 or more"),
        ({"obstacles": 1, "radius": 0.3}, "leave no place for goals up to 0.5"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(QuickstudyError, match=message):
        Points(**settings)


class Breaking:
    """Trial 1 observes no number at its second step, trial 2 earns none after its end, trial 3 begins without one."""

    observation, action, horizon = 1, Box(1), 3

    def reset(self, tasks, generator):
        return 0, torch.tensor([[0.0], [0.0], [0.0], [torch.inf]])

    def step(self, tasks, state, actions, generator):
        state, seen, reward, done = state + 1, torch.ones(4, 1), torch.ones(4), torch.zeros(4, dtype=torch.bool)
        if state == 2:
            seen[1], done[2] = torch.nan, True
        if state == 3:
            reward[2] = torch.nan
        return state, seen, reward, done


def test_what_breaks_is_over_and_noted():
    environment = Sound(Breaking())  # type: ignore[arg-type]
    state, seen = environment.reset({}, CHANCE)
    assert seen.tolist() == [[0.0]] * 4
    dones = []
    for _ in range(3):
        state, seen, reward, done = environment.step({}, state, torch.zeros(4, 1), CHANCE)
        assert torch.isfinite(seen).all()
        assert torch.isfinite(reward).all()
        dones.append(done.tolist())
    assert environment.broken.tolist() == [False, True, False, True]
    assert dones[1] == [False, True, True, True]
