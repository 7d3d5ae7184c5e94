"""Bandits and tabular MDPs: their priors, and what happens in them."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments import Bandits, MDPs


def test_an_arm_pays_as_often_as_it_says():
    environment, generator = Bandits(3), torch.Generator().manual_seed(0)
    tasks = {"arms": torch.tensor([0.1, 0.5, 0.9]).expand(30_000, 3)}
    for arm, share in enumerate((0.1, 0.5, 0.9)):
        _, _, paid, done = environment.step(tasks, None, torch.full((30_000,), arm), generator)
        assert paid.mean() == pytest.approx(share, abs=0.01)
        assert set(paid.unique().tolist()) <= {0.0, 1.0}
        assert done.all()


def test_arms_are_uniform():
    arms = Bandits(4).draw(20_000, torch.Generator().manual_seed(0))["arms"]
    assert_close(arms.mean(0), torch.full((4,), 0.5), atol=0.01, rtol=0)
    assert_close(arms.var(0), torch.full((4,), 1 / 12), atol=0.003, rtol=0)


def test_the_prior_of_mdps():
    tasks = MDPs(4, 2, 5).draw(5_000, torch.Generator().manual_seed(0))
    assert tasks["means"].mean() == pytest.approx(1, abs=0.02)
    assert tasks["means"].std() == pytest.approx(1, abs=0.02)
    chances = tasks["transitions"].diff(dim=-1, prepend=torch.zeros(5_000, 4, 2, 1))
    # Of a flat Dirichlet in 4 dimensions each coordinate is Beta(1, 3): mean 1/4, variance 3/80.
    assert_close(chances.mean((0, 1, 2)), torch.full((4,), 0.25), atol=0.01, rtol=0)
    assert_close(chances.flatten(0, 2).var(0), torch.full((4,), 3 / 80), atol=0.002, rtol=0)


def test_transitions_and_rewards_are_those_of_the_task():
    environment, generator = MDPs(3, 2, 5), torch.Generator().manual_seed(1)
    one = environment.draw(1, generator)
    tasks = {name: values.expand(30_000, *values.shape[1:]) for name, values in one.items()}
    state, seen = environment.reset(tasks, generator)
    assert (state == 0).all()
    assert_close(seen[0], torch.tensor([1.0, 0.0, 0.0]))
    for action in range(2):
        after, seen, reward, done = environment.step(tasks, state, torch.full((30_000,), action), generator)
        chances = one["transitions"][0, 0, action].diff(prepend=torch.zeros(1))
        assert_close(after.bincount(minlength=3) / 30_000, chances, atol=0.01, rtol=0)
        assert_close(seen.argmax(1), after)
        assert reward.mean() == pytest.approx(one["means"][0, 0, action].item(), abs=0.03)
        assert reward.std() == pytest.approx(1, abs=0.02)
        assert not done.any()


def test_nothing_to_choose_is_refused():
    with pytest.raises(QuickstudyError, match="arms=1: there is nothing to choose from; give at least 2"):
        Bandits(1)
    with pytest.raises(QuickstudyError, match="horizon=0: give at least 1"):
        MDPs(horizon=0)
