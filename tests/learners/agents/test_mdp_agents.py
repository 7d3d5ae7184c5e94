"""Agents for tabular MDPs: what they believe, what they plan, and what that gets."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Acting, Agent
from quickstudy.learners.agents.certainty_equivalent_agent import CertaintyEquivalentAgent
from quickstudy.learners.agents.planning_agent import Lived, posterior, solve
from quickstudy.learners.agents.psrl_agent import PSRLAgent
from quickstudy.learners.agents.random_agent import RandomAgent
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.bandits import Bandits
from quickstudy.tasks.environments.mdps import MDPs
from quickstudy.tasks.trials import Trials

SMALL = MDPs(states=3, actions=2, horizon=3)


@pytest.fixture(params=[PSRLAgent, CertaintyEquivalentAgent])
def agent(request) -> Agent:
    return request.param(SMALL)


def one_hot(*states: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(states), 3).float()


def plays(acting: Acting, steps: int, trials: int) -> list[torch.Tensor]:
    """Actions in a world of its own: states go round, rewards are the states."""
    actions = []
    for step in range(steps):
        state = torch.full((trials,), step % 3)
        actions.append(acting.act(one_hot(*state.tolist())))
        acting.told(state.float(), torch.full((trials,), step % 3 == 2))
    return actions


def test_what_exploring_and_knowing_are_worth():
    environment = MDPs()
    trials = Trials.draw(environment, 1000, episodes=10, seed=5)
    random, psrl, planned = (
        torch.tensor(trials.score(kind(environment).adapt(trials.support))["return"])
        for kind in (RandomAgent, PSRLAgent, CertaintyEquivalentAgent)
    )
    for returns, known in ((random, 100.0), (psrl, 133.3), (planned, 149.6)):
        assert float(returns.mean()) == pytest.approx(known, abs=3.5 * float(returns.std()) / math.sqrt(1000))
    for more, less, by in ((psrl, random, 28), (planned, psrl, 10)):
        gain = more - less
        assert float(gain.mean()) - 3 * float(gain.std()) / math.sqrt(1000) > by


def test_the_posterior_of_two_episodes_by_hand(agent):
    """The first of two trials: 0 -> 2 -> 1 -> not shown, then 0 -> 0."""
    acting, told = Acting(agent, agent.begin(Batch(torch.zeros(2, 3)))), []
    paid, visits, moved = torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2, 3)
    for state, reward in ((0, 3.0), (2, -1.0), (1, 0.5), (0, 2.0), (0, 7.0)):
        action = int(acting.act(one_hot(state, 1))[0])
        if told and len(told) != 3:
            moved[(*told[-1], state)] += 1
        told.append((state, action))
        acting.told(torch.tensor([reward, 0.0]), torch.full((2,), len(told) == 3))
        paid[state, action] += reward
        visits[state, action] += 1
    means, transitions = posterior(acting.memory)
    assert moved.sum() == 3
    assert_close(means[0], (1 + paid) / (1 + visits))
    assert_close(transitions[0], 1 + moved)


def test_the_posterior_mean_of_a_reward_minimises_its_squared_error():
    """Rewards that are drawn from the prior and the noise: the regression of the mean on their sum has these coefficients."""
    generator = torch.Generator().manual_seed(0)
    mean = 1 + torch.randn(200_000, generator=generator)
    paid = (mean[:, None] + torch.randn(200_000, 3, generator=generator)).sum(-1)
    design = torch.stack((torch.ones_like(paid), paid), dim=-1)
    fitted = torch.linalg.lstsq(design, mean[:, None]).solution.squeeze(-1)
    assert_close(fitted, torch.tensor([1 / 4, 1 / 4]), atol=0.005, rtol=0)
    residual = (mean - design @ fitted).square().mean()
    assert float(residual) == pytest.approx(1 / 4, abs=0.005)


def test_psrl_draws_from_the_posterior():
    trials = 20_000
    paid, visits = torch.zeros(2, trials, 3, 2)
    moved = torch.zeros(trials, 3, 2, 3)
    paid[:, 0, 1], visits[:, 0, 1], moved[:, 0, 1] = 5, 3, torch.tensor([2.0, 0.0, 1.0])
    nowhere = torch.zeros(trials, dtype=torch.long)
    lived = Lived(paid, visits, moved, (nowhere, nowhere), torch.zeros(3, trials, 3, dtype=torch.long), 0, torch.Generator())
    rewards, transitions = PSRLAgent(SMALL).believe(lived, torch.Generator().manual_seed(0))
    means, expected = CertaintyEquivalentAgent(SMALL).believe(lived, torch.Generator())
    assert_close(expected[0, 0, 1], torch.tensor([3 / 6, 1 / 6, 2 / 6]))
    assert_close(rewards.mean(0), means[0], atol=0.04, rtol=0)
    assert_close(rewards.std(0)[0], torch.tensor([1.0, 0.5]), atol=0.03, rtol=0)
    assert_close(transitions.mean(0), expected[0], atol=0.01, rtol=0)
    assert_close(transitions.sum(-1), torch.ones(trials, 3, 2))
    # The variance of Dirichlet(3, 1, 2): p (1 - p) / (6 + 1).
    assert_close(transitions.var(0)[0, 1], expected[0, 0, 1] * (1 - expected[0, 0, 1]) / 7, atol=0.002, rtol=0)


def test_a_plan_is_the_best_of_all():
    """Every plan of 2 states, 2 actions and 3 steps is tried, in two MDPs at once."""
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randn(2, 2, 2, generator=generator)
    transitions = torch.rand(2, 2, 2, 2, generator=generator)
    transitions /= transitions.sum(-1, keepdim=True)

    def worth(plan: torch.Tensor, trial: int) -> torch.Tensor:
        value, states = torch.zeros(2), torch.arange(2)
        for actions in plan.flip(0):
            value = rewards[trial, states, actions] + transitions[trial, states, actions] @ value
        return value

    every = [torch.tensor(plan).view(3, 2) for plan in itertools.product((0, 1), repeat=6)]
    found = solve(rewards, transitions, 3)
    assert found.shape == (3, 2, 2)
    for trial in range(2):
        best = torch.stack([worth(plan, trial) for plan in every]).max(0).values
        assert_close(worth(found[:, trial], trial), best)


def test_a_plan_looks_as_far_as_the_episode_goes():
    """Action 1 pays nothing now and leads where 10 can be had: it is best until the last step."""
    rewards = torch.tensor([[[1.0, 0.0], [10.0, 10.0]]])
    transitions = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]])
    assert solve(rewards, transitions, 3)[:, 0, 0].tolist() == [1, 1, 0]


def test_a_plan_is_made_once_an_episode(agent):
    acting = Acting(agent, agent.begin(Batch(torch.zeros(50, 3))))
    plans = []
    for _ in range(6):
        plays(acting, 1, 50)
        plans.append(acting.memory.plan)
    assert [id(plan) for plan in plans] == [id(plans[at]) for at in (0, 0, 0, 3, 3, 3)]
    assert not torch.equal(plans[0], plans[3])


def test_memories_are_values(agent):
    acting = Acting(agent, agent.begin(Batch(torch.zeros(50, 3), seed=2)))
    plays(acting, 6, 50)
    before = acting.memory

    def numbers() -> list[torch.Tensor]:
        return [before.paid, before.visits, before.moved, *before.last, before.plan, before.chance.get_state()]

    held = [each.clone() for each in numbers()]
    replays = [plays(acting.again(), 6, 50) for _ in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(*replays, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(held, numbers(), strict=True))
    assert acting.memory is before
    assert not list(agent.parameters())


@pytest.mark.parametrize("kind", [PSRLAgent, CertaintyEquivalentAgent])
def test_other_environments_are_refused(kind):
    with pytest.raises(QuickstudyError, match="Bandits has no states"):
        kind(Bandits(5))
