"""Actions at random."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Acting
from quickstudy.learners.agents.random_agent import RandomAgent
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.bandits import Bandits
from quickstudy.tasks.environments.spaces import Box
from quickstudy.tasks.trials import Trials


def drawn(action: Any, trials: int = 20_000) -> torch.Tensor:
    agent = RandomAgent(SimpleNamespace(action=action))  # type: ignore[arg-type]
    return agent.choose(agent.begin(Batch(torch.zeros(trials, 0))), torch.zeros(trials, 0))[0]


def test_every_arm_is_as_likely():
    counts = drawn(Bandits(5).action).bincount(minlength=5)
    assert len(counts) == 5
    assert_close(counts.float(), torch.full((5,), 4000.0), atol=4 * math.sqrt(20_000 * 0.2 * 0.8), rtol=0)


def test_a_box_is_filled_evenly():
    actions = drawn(Box(2, low=-1.0, high=3.0))
    assert actions.shape == (20_000, 2)
    assert -1 <= float(actions.min()) < -0.99
    assert 2.99 < float(actions.max()) <= 3
    assert_close(actions.mean(0), torch.ones(2), atol=0.04, rtol=0)


@pytest.mark.parametrize("box", [Box(2), Box(2, low=0.0)], ids=str)
def test_without_bounds_actions_are_normal(box):
    actions = drawn(box)
    assert_close(actions.mean(0), torch.zeros(2), atol=0.03, rtol=0)
    assert_close(actions.std(0), torch.ones(2), atol=0.03, rtol=0)


def test_it_gets_a_half_of_each_pull():
    trials = Trials.draw(Bandits(5), 20_000, episodes=10, seed=1)
    returns = torch.tensor(trials.score(RandomAgent(Bandits(5)).adapt(trials.support))["return"])
    assert float(returns.mean()) == pytest.approx(5, abs=3.5 * float(returns.std()) / math.sqrt(len(returns)))


def test_it_goes_on_drawing_and_another_replays_it():
    agent = RandomAgent(Bandits(5))
    acting, seen = Acting(agent, agent.begin(Batch(torch.zeros(50, 0)))), torch.zeros(50, 0)
    first, copies = acting.act(seen), [acting.again() for _ in range(2)]
    after = [[copy.act(seen) for _ in range(3)] for copy in (*copies, acting)]
    assert all(torch.equal(ours, theirs) for other in after[1:] for ours, theirs in zip(after[0], other, strict=True))
    assert not torch.equal(first, after[0][0])


def test_its_chance_is_not_the_environment_s():
    trials = Trials.draw(Bandits(5), 100, episodes=1, seed=7)
    seeds = [trials.seed, trials.support.seed, trials.support.inputs.seed, trials.query.inputs.seed]
    seeds += [seed for task in trials[:3] for seed in (task.seed, task.support.inputs.seed, task.query.inputs.seed)]
    assert len(set(seeds)) == len(seeds)
    assert trials.query.seed == trials.support.seed


def test_other_actions_are_refused():
    with pytest.raises(QuickstudyError, match="Discrete or a Box"):
        drawn("anything")
