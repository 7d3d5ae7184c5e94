"""What is said of trainings is what went on in them, and the cosine beside them had the same chance."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from quickstudy.evaluation.trials.record import Recording
from quickstudy.evaluation.trials.trainings import Trained, change, trained_by, tuned_cosine
from quickstudy.inner.training_loop import TrainingEnvironment
from quickstudy.inner.training_loop.controls import FACTORS
from quickstudy.inner.training_loop.schedules import GRID, cosine, train_by, tuned
from quickstudy.learners.agents.acting import Agent
from quickstudy.tasks.trials import Trials

KEEP, FASTER = FACTORS.index(1.0), FACTORS.index(4.0)


class Always(Agent):
    """The same action in every decision."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def begin(self, support):
        return ()

    def choose(self, memory, seen):
        return torch.full((len(seen),), self.action), memory

    def told(self, memory, reward, ended, live):
        return memory


def small(seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(4).repeat(60)
    inputs = 2 * torch.randn(4, 5, generator=generator)[labels] + torch.randn(240, 5, generator=generator)
    sizes = {"classes": 3, "rows": (40, 60), "validation": 30, "hidden": 8, "batch": 8, "steps": 3, "horizon": 4}
    return TrainingEnvironment(inputs, labels, **{**sizes, **settings})


def played(trials: Trials, action: int) -> Trained:
    recording = Recording(Always(action).adapt(trials.support))
    trials.score(recording)
    return trained_by(recording.record, trials)


@pytest.mark.parametrize("episodes", [1, 2])
def test_rates_and_losses_are_those_of_the_environment(episodes):
    trials = Trials.draw(small(first_rate=(0.01, 0.1)), 12, episodes=episodes)
    its, found = trials.environment, played(trials, FASTER)
    generator = torch.Generator().manual_seed(trials.query.inputs.seed)
    for _ in range(episodes):
        state, _ = its.reset(trials.tasks, generator)
        rates, losses = [state.rates], [state.judged.validation.exp()]
        for _ in range(its.horizon):
            state = its.step(trials.tasks, state, torch.full((12,), FASTER), generator)[0]
            rates.append(state.rates)
            losses.append(state.judged.validation.exp())
    assert_close(found.rates, torch.stack(rates))
    assert_close(found.losses, torch.stack(losses), rtol=1e-4, atol=0)


def test_a_training_that_has_diverged_keeps_its_rate_and_the_largest_loss():
    drawn = Trials.draw(small(), 6)
    rates = torch.tensor([1e30, 1e30, 0.01, 0.01, 0.01, 0.01])
    found = played(replace(drawn, tasks=drawn.tasks | {"rate": rates}), FASTER)
    assert_close(found.losses[1:, :2], torch.full((4, 2), 100.0))
    assert_close(found.rates[1:, :2], torch.full((4, 2), 4e30))
    assert_close(found.rates[:, 2], 0.01 * torch.tensor([4.0**power for power in range(5)]))


def test_a_schedule_has_the_minibatches_that_an_agent_has():
    trials = Trials.draw(small(), 12, seed=3)
    generator = torch.Generator().manual_seed(trials.query.inputs.seed)
    losses, _ = train_by(trials.environment, trials.tasks, lambda progress, decision: trials.tasks["rate"], generator)
    assert_close(played(trials, KEEP).losses[1:], losses, rtol=1e-4, atol=0)


def test_a_cosine_warms_up_once_and_goes_to_nothing():
    rates = [float(cosine(0.6)(at / 8, at)) for at in range(8)]
    assert rates[0] == pytest.approx(0.3)
    assert rates[4] == pytest.approx(0.3)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert cosine(0.6)(1.0, 8) == pytest.approx(0)


def test_it_has_the_peak_that_was_best_on_other_trainings():
    tuned_on, trials = Trials.draw(small(seed=1), 16, seed=4), Trials.draw(small(), 8)
    said = []
    found = tuned_cosine(trials, tuned_on, lambda *told: said.append(told))

    def loss(rate):
        generator = torch.Generator().manual_seed(1)
        return train_by(tuned_on.environment, tuned_on.tasks, cosine(rate), generator)[0][-1].log().mean()

    assert found.peak == min(GRID, key=loss) == tuned(tuned_on.environment, tuned_on.tasks, cosine)
    assert found.tuned_on == 16
    assert max(found.rates) <= found.peak
    assert found.losses.shape == (5, 8)
    assert_close(found.losses[0], played(trials, KEEP).losses[0])
    assert said[-1] == ("report: peak of the cosine", len(GRID), len(GRID))


def test_losses_are_compared_by_their_factor():
    losses = torch.rand(2, 30, generator=torch.Generator().manual_seed(0)) + 0.5
    mine, other = Trained(losses, losses), Trained(losses, losses * 0.8)
    difference, ends = change(mine, other)
    assert difference == pytest.approx(0.25)
    assert ends == pytest.approx([0.25, 0.25])
    one = Trained(losses[:, :1], losses[:, :1])
    assert change(one, one) == (0.0, None)
    assert math.isclose(change(other, mine)[0], -0.2, rel_tol=1e-6)
