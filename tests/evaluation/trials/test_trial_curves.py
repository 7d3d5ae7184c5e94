"""Curves over a trial, for agents of which it is known what they have to be."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from quickstudy.evaluation.statistics import mean_interval
from quickstudy.evaluation.trials.curves import mean_curve, median_curve, on_best, regret, rewards, tried
from quickstudy.evaluation.trials.record import Record, Recording
from quickstudy.learners.agents.acting import Agent
from quickstudy.learners.agents.random_agent import RandomAgent
from quickstudy.tasks.environments import Bandits, MDPs
from quickstudy.tasks.trials import Trials


class Fixed(Agent):
    """Pulls these arms, `(pulls, trials)`, whatever comes of it."""

    def __init__(self, arms):
        super().__init__()
        self.arms = arms

    def begin(self, support):
        return 0

    def choose(self, memory, seen):
        return self.arms[memory], memory

    def told(self, memory, reward, ended, live):
        return memory + 1


def played(trials: Trials, agent: Agent) -> Record:
    recording = Recording(agent.adapt(trials.support))
    trials.score(recording)
    return recording.record


@pytest.fixture
def trials():
    return Trials.draw(Bandits(4), 50, episodes=6, seed=2)


def always(arms: torch.Tensor) -> Fixed:
    return Fixed(arms.expand(6, -1))


def test_the_best_arm_has_no_regret(trials):
    record = played(trials, always(trials.tasks["arms"].argmax(1)))
    assert (regret(record, trials.tasks) == 0).all()
    assert on_best(record, trials.tasks).all()
    assert (tried(record, trials.tasks) == 1).all()


def test_the_worst_arm_loses_as_much_with_every_pull(trials):
    arms = trials.tasks["arms"]
    record = played(trials, always(arms.argmin(1)))
    gap = arms.amax(1) - arms.amin(1)
    assert_close(regret(record, trials.tasks), torch.arange(1, 7)[:, None] * gap)
    assert not on_best(record, trials.tasks).any()


def test_arms_are_counted_once(trials):
    arms = torch.tensor([2, 0, 2, 3, 1, 0])[:, None].expand(-1, 50)
    record = played(trials, Fixed(arms))
    assert_close(tried(record, trials.tasks), torch.tensor([1, 2, 2, 3, 4, 4])[:, None].expand(-1, 50))
    assert_close(on_best(record, trials.tasks), trials.tasks["arms"].argmax(1) == arms)


def test_regret_is_what_the_rewards_fall_short_on_average():
    trials = Trials.draw(Bandits(3), 20_000, episodes=5, seed=1)
    record = played(trials, RandomAgent(trials.environment))
    short = 5 * trials.tasks["arms"].amax(1) - record.returns
    assert regret(record, trials.tasks)[-1].mean().item() == pytest.approx(short.mean().item(), abs=0.03)


def test_a_trial_of_several_episodes_is_shown_by_episode_and_one_alone_by_step():
    environment = MDPs(3, 2, 4)
    for episodes, points in ((5, 5), (1, 4)):
        trials = Trials.draw(environment, 10, episodes=episodes)
        record = played(trials, RandomAgent(environment))
        assert rewards(record).shape == (points, 10)
        assert_close(rewards(record).sum(0), record.returns)


def test_means_have_the_intervals_of_the_table():
    values = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    curve = mean_curve(values)
    for row, middle, low, high in zip(values.double(), curve.middle, curve.low, curve.high, strict=True):
        assert (middle, [low, high]) == mean_interval(row.tolist())
    one = mean_curve(values[:, :1])
    assert one.low == one.middle == one.high == values[:, 0].double().tolist()


def test_intervals_hold_the_mean_as_often_as_they_say():
    generator = torch.Generator().manual_seed(3)
    curve = mean_curve((torch.rand(2000, 30, generator=generator) < 0.4).float())
    held = sum(low <= 0.4 <= high for low, high in zip(curve.low, curve.high, strict=True)) / 2000
    assert held == pytest.approx(0.95, abs=0.02)


def test_medians_have_quartiles():
    curve = median_curve(torch.stack([torch.arange(101.0), torch.full((101,), 7.0)]))
    assert (curve.low, curve.middle, curve.high) == ([25, 7], [50, 7], [75, 7])
