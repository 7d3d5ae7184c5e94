"""What is written down of an agent is what it did, and it is judged as without."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch.testing import assert_close

from quickstudy import evaluate
from quickstudy.evaluation.trials.record import Recording
from quickstudy.learners.agents.certainty_equivalent_agent import CertaintyEquivalentAgent
from quickstudy.learners.agents.random_agent import RandomAgent
from quickstudy.learners.agents.rl2 import RL2
from quickstudy.learners.agents.thompson_bandit import ThompsonBandit
from quickstudy.models.policy import RecurrentPolicy
from quickstudy.tasks.environments import Bandits, Discrete, MDPs
from quickstudy.tasks.trials import Trials


@dataclass(frozen=True)
class Uneven:
    """An episode of trial i has i + 1 steps; a step pays its number in the episode, from 1."""

    horizon: int = 4
    observation = 1
    action = Discrete(2)

    def draw(self, trials, generator):
        return {"steps": torch.arange(trials) % self.horizon + 1}

    def reset(self, tasks, generator):
        return torch.zeros(len(tasks["steps"])), torch.zeros(len(tasks["steps"]), 1)

    def step(self, tasks, state, actions, generator):
        return state + 1, (state + 1)[:, None], state + 1, state + 1 >= tasks["steps"]


AGENTS = {
    "bandits": (ThompsonBandit, Bandits(3)),
    "MDPs": (CertaintyEquivalentAgent, MDPs(3, 2, 4)),
    "uneven": (RandomAgent, Uneven()),
    "policy": (lambda its: RL2(RecurrentPolicy(its, 4)), Uneven()),
}


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("explored", [0, 2])
def test_what_is_recorded_adds_up_to_the_score(name, explored):
    make, environment = AGENTS[name]
    agent, trials = make(environment), Trials.draw(environment, 9, episodes=3, explored=explored, seed=5)
    recording = Recording(agent.adapt(trials.support))
    score = trials.score(agent.adapt(trials.support))
    assert trials.score(recording) == score
    record = recording.record
    assert_close(record.returns, torch.tensor(score["return"]))
    assert_close(record.by_episode.sum(0), record.returns)
    assert record.by_episode.shape == (3, 9)
    assert record.actions.shape[:2] == record.rewards.shape == record.ended.shape == record.live.shape
    assert (record.ended & record.live).sum(0).tolist() == [3] * 9


def test_steps_belong_to_the_episode_that_they_are_of():
    trials = Trials.draw(Uneven(), 3, episodes=2)
    recording = Recording(RandomAgent(trials.environment).adapt(trials.support))
    trials.score(recording)
    record = recording.record
    assert record.episode.tolist() == [0, 0, 0, 1, 1, 1]  # the longest of these three has three steps
    assert record.by_episode.tolist() == [[1, 3, 6], [1, 3, 6]]
    assert record.live.tolist() == 2 * [[True] * 3, [False, True, True], [False, False, True]]
    assert record.last.rewards.tolist() == [[1, 1, 1], [0, 2, 2], [0, 0, 3]]


def test_an_agent_that_is_recorded_stays_as_it_is_and_its_record_is_of_the_last_time():
    trials = Trials.draw(Bandits(3), 20, episodes=6)
    agent = ThompsonBandit(trials.environment).adapt(trials.support)
    before = agent.memory
    recording = Recording(agent)
    first = trials.score(recording)
    assert trials.score(recording) == first
    assert len(recording.record.rewards) == 6
    assert agent.memory is before
    assert recording.memory is before


def test_an_evaluation_that_is_observed_finds_the_same():
    environment = Bandits(3)
    trials = Trials.draw(environment, 64, episodes=5, explored=1)
    agents = [ThompsonBandit(environment), RandomAgent(environment)]
    seen = []
    observed = evaluate(agents[0], trials, baselines=agents[1:], observe=lambda *told: seen.append(told))
    plain = evaluate(agents[0], trials, baselines=agents[1:])
    for result in (observed, plain):
        for row in result["results"]:
            del row["seconds_per_task"]
    assert observed == plain
    assert [(learner, tasks) for learner, tasks, _, _ in seen] == [(agent, trials) for agent in agents]
    for row, (_, _, recording, scores) in zip(plain["results"], seen, strict=True):
        assert recording.record.returns.tolist() == scores["return"]
        assert recording.record.returns.mean().item() == pytest.approx(row["mean"])
