"""Agents for bandits, against sums over all that can happen."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Acting, Agent
from quickstudy.learners.agents.bandit_agent import Pulled
from quickstudy.learners.agents.greedy_bandit import GreedyBandit
from quickstudy.learners.agents.optimal_bandit import OptimalBandit, optimal_return
from quickstudy.learners.agents.thompson_bandit import ThompsonBandit
from quickstudy.learners.agents.ucb1_bandit import UCB1Bandit
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.bandits import Bandits
from quickstudy.tasks.environments.mdps import MDPs
from quickstudy.tasks.trials import Trials

AGENTS = {
    "greedy": lambda arms: GreedyBandit(arms),
    "thompson": lambda arms: ThompsonBandit(arms),
    "ucb1": lambda arms: UCB1Bandit(arms, c=0.3),
    "optimal": lambda arms: OptimalBandit(arms, 10),
}


@pytest.fixture(params=AGENTS)
def agent(request) -> Agent:
    return AGENTS[request.param](Bandits(5))


def played(agent: Agent, pulls: int = 10, arms: int = 5, explored: int = 0) -> tuple[float, float]:
    """The mean return of 20,000 trials, and its standard error."""
    trials = Trials.draw(Bandits(arms), 20_000, episodes=pulls - explored, explored=explored, seed=3)
    returns = torch.tensor(trials.score(agent.adapt(trials.support))["return"])
    return float(returns.mean()), float(returns.std()) / math.sqrt(len(returns))


def expected(agent: Agent, pulls: int = 10, arms: int = 5) -> float:
    """The exact mean return of an agent without chance: all 2^pulls outcomes are played, and weighed by how likely they are."""
    outcomes = (torch.arange(2**pulls)[:, None] >> torch.arange(pulls)) & 1
    rows, seen = torch.arange(2**pulls), torch.zeros(2**pulls, 0)
    paid, count = torch.zeros(2, 2**pulls, arms, dtype=torch.float64)
    likely = torch.ones(2**pulls, dtype=torch.float64)
    acting = Acting(agent, agent.begin(Batch(seen)))
    for outcome in outcomes.double().T:
        arm = acting.act(seen)
        mean = (paid[rows, arm] + 1) / (count[rows, arm] + 2)
        likely *= torch.where(outcome == 1, mean, 1 - mean)
        paid[rows, arm] += outcome
        count[rows, arm] += 1
        acting.told(outcome.float(), torch.ones(2**pulls, dtype=torch.bool))
    assert float(likely.sum()) == pytest.approx(1)
    return float((likely * outcomes.sum(-1)).sum())


def memory(paid: list[float], pulls: list[float]) -> Pulled:
    return Pulled(torch.tensor([paid]), torch.tensor([pulls]), torch.tensor([-1]), torch.Generator())


def arm(agent: Agent, paid: list[float], pulls: list[float]) -> int:
    return int(agent.choose(memory(paid, pulls), torch.zeros(1, 0))[0])


def test_two_arms_by_hand():
    """The first pull pays 1/2. After a success the same arm has 2/3, after a failure 1/3, and the other one has 1/2."""
    assert optimal_return(2, 1) == 1 / 2
    assert optimal_return(2, 2) == pytest.approx(1 / 2 + (2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize(("arms", "pulls"), [(1, 4), (2, 5), (3, 4), (4, 3), (5, 3)])
def test_the_optimum_is_that_of_a_plain_recursion(arms, pulls):
    @cache
    def value(counts: tuple[tuple[int, int], ...], left: int) -> Fraction:
        return max(after(counts, at, left) for at in range(arms)) if left else Fraction(0)

    def after(counts: tuple[tuple[int, int], ...], at: int, left: int) -> Fraction:
        paid, failed = counts[at]
        mean = Fraction(paid + 1, paid + failed + 2)
        pays, fails = ((*counts[:at], new, *counts[at + 1 :]) for new in ((paid + 1, failed), (paid, failed + 1)))
        return mean * (1 + value(pays, left - 1)) + (1 - mean) * value(fails, left - 1)

    assert optimal_return(arms, pulls) == pytest.approx(float(value(((0, 0),) * arms, pulls)), abs=1e-12)


@pytest.mark.parametrize(("arms", "pulls", "known"), [(5, 10, 6.660), (10, 10, 6.714), (2, 10, 6.022), (2, 20, 12.431)])
def test_optima_that_are_known(arms, pulls, known):
    assert optimal_return(arms, pulls) == pytest.approx(known, abs=1e-3)


@pytest.mark.parametrize(("arms", "pulls"), [(5, 10), (2, 8), (8, 6)])
def test_the_optimal_agent_reaches_the_optimum(arms, pulls):
    """(8, 6) has more arms than can be pulled."""
    assert expected(OptimalBandit(Bandits(arms), pulls), pulls, arms) == pytest.approx(optimal_return(arms, pulls), abs=1e-9)


def test_others_stay_below_it():
    greedy, ucb1 = expected(GreedyBandit(Bandits(5))), expected(UCB1Bandit(Bandits(5), c=0.3))
    assert greedy == pytest.approx(6.569, abs=1e-3)
    assert ucb1 < greedy < optimal_return(5, 10)


def test_without_chance_an_agent_plays_what_it_is_expected_to():
    for agent, exact in ((OptimalBandit(Bandits(5), 10), optimal_return(5, 10)), (GreedyBandit(Bandits(5)), 6.569)):
        mean, error = played(agent)
        assert mean == pytest.approx(exact, abs=3 * error)


def test_thompson_explores_too_much_for_ten_pulls():
    mean, error = played(ThompsonBandit(Bandits(5)))
    assert mean == pytest.approx(5.841, abs=3.5 * error)


def test_a_tuned_ucb1_is_best_of_a_hundred_pulls():
    greedy, tuned, plain = (
        played(agent, 100)[0] for agent in (GreedyBandit(Bandits(5)), UCB1Bandit(Bandits(5), c=0.2), UCB1Bandit(Bandits(5)))
    )
    assert plain + 5 < greedy < tuned - 1


def test_pulls_for_learning_alone_are_remembered():
    assert played(GreedyBandit(Bandits(5)), 20, explored=10)[0] > played(GreedyBandit(Bandits(5)), 10)[0] + 0.5


def test_thompson_draws_from_beta_distributions():
    """Two arms of Beta(3, 1) and Beta(1, 1): the first wins with probability E[x] = 3/4."""
    agent, trials = ThompsonBandit(Bandits(2)), 20_000
    known = Pulled(
        torch.tensor([[2.0, 0.0]] * trials), torch.tensor([[2.0, 0.0]] * trials), torch.zeros(trials), torch.Generator()
    )
    arms, known = agent.choose(known, torch.zeros(trials, 0))
    assert float((arms == 0).double().mean()) == pytest.approx(3 / 4, abs=4 * math.sqrt(3 / 16 / trials))
    again, _ = agent.choose(known, torch.zeros(trials, 0))
    assert float((arms == again).double().mean()) == pytest.approx(5 / 8, abs=0.02)  # independent of the first draw


def test_greedy_by_hand():
    agent = GreedyBandit(Bandits(3))
    assert arm(agent, [0, 0, 0], [0, 0, 0]) == 0
    assert arm(agent, [0, 0, 0], [1, 0, 0]) == 1
    assert arm(agent, [1, 0, 1], [2, 0, 1]) == 2
    assert arm(agent, [1, 0, 0], [2, 0, 0]) == 0  # 1/2 each


def test_ucb1_by_hand():
    """1/3 + c * sqrt(2 ln 4 / 3) = 1/3 + 0.961 c against 0 + c * sqrt(2 ln 4) = 1.665 c."""
    assert [arm(UCB1Bandit(Bandits(2), c=c), [1, 0], [3, 1]) for c in (0, 0.47, 0.48, 1)] == [0, 0, 1, 1]
    assert arm(UCB1Bandit(Bandits(3), c=0), [2, 0, 0], [2, 1, 0]) == 2  # each arm once


def test_counts(agent):
    trials = Batch(torch.zeros(2, 0))
    acting, seen, over = Acting(agent, agent.begin(trials)), torch.zeros(2, 0), torch.ones(2, dtype=torch.bool)
    paid, pulls = torch.zeros(2, 2, 5)
    for reward in (torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])):
        arms = acting.act(seen)
        acting.told(reward, over)
        paid[[0, 1], arms] += reward
        pulls[[0, 1], arms] += 1
    assert_close(acting.memory.paid, paid)
    assert_close(acting.memory.pulls, pulls)


def test_memories_are_values(agent):
    trials, seen, over = Batch(torch.zeros(50, 0), seed=2), torch.zeros(50, 0), torch.ones(50, dtype=torch.bool)
    acting, rewards = Acting(agent, agent.begin(trials)), torch.arange(50).float() % 2

    def plays(acting: Acting) -> list[torch.Tensor]:
        arms = []
        for _ in range(4):
            arms.append(acting.act(seen))
            acting.told(rewards, over)
        return arms

    plays(acting)
    before = acting.memory
    held = before.paid.clone(), before.pulls.clone(), before.last.clone(), before.chance.get_state()
    replays = [plays(acting.again()) for _ in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(*replays, strict=True))
    now = before.paid, before.pulls, before.last, before.chance.get_state()
    assert all(torch.equal(one, other) for one, other in zip(held, now, strict=True))
    assert not list(agent.parameters())


@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
def test_other_environments_are_refused(make):
    with pytest.raises(QuickstudyError, match=r"MDPs has none; give Bandits"):
        make(MDPs())


def test_what_cannot_be_solved_is_refused():
    with pytest.raises(QuickstudyError, match="more than 200,000 states"):
        optimal_return(5, 100)
    with pytest.raises(QuickstudyError, match="more than 200,000 states"):
        OptimalBandit(Bandits(50), 500)
    with pytest.raises(QuickstudyError, match="at least 1"):
        optimal_return(2, 0)
    with pytest.raises(QuickstudyError, match="0 or more"):
        UCB1Bandit(Bandits(5), c=-1)


def test_more_pulls_than_were_solved_are_refused():
    trials = Trials.draw(Bandits(2), 3, episodes=4)
    with pytest.raises(QuickstudyError, match="for 3 pulls"):
        trials.score(OptimalBandit(Bandits(2), 3).adapt(trials.support))
