"""Trials: a sequence that slices, plays and counts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch.testing import assert_close

from quickstudy import Task
from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Acting, Agent
from quickstudy.tasks.environments import Bandits, Discrete
from quickstudy.tasks.trials import Trials, TrialStream


@dataclass(frozen=True)
class Countdown:
    """An episode of a trial lasts as long as its task says; a step pays its number in the episode, from 1."""

    horizon: int = 4
    observation = 1
    action = Discrete(2)
    broken: str = ""

    def draw(self, trials, generator):
        return {"steps": torch.arange(trials) % self.horizon + 1}

    def reset(self, tasks, generator):
        return torch.zeros(len(tasks["steps"])), torch.zeros(len(tasks["steps"]), 2 if self.broken == "shape" else 1)

    def step(self, tasks, state, actions, generator):
        state = state + 1
        reward = state / (0 if self.broken == "reward" else 1)
        return state, state[:, None], reward, state >= tasks["steps"]


class Recorder(Agent):
    """Remembers all it was told, where it counts."""

    def begin(self, support):
        return ((),)

    def choose(self, memory, seen):
        return torch.zeros(len(seen), dtype=torch.long), memory

    def told(self, memory, reward, ended, live):
        return ((*memory[0], (reward.tolist(), ended.tolist(), live.tolist())),)


def test_every_trial_counts_its_own_steps():
    trials = Trials.draw(Countdown(), 4, episodes=3)
    assert trials.score(Recorder().adapt(trials.support)) == {"return": [3.0 * sum(range(1, n + 1)) for n in (1, 2, 3, 4)]}


def test_who_is_done_waits_and_is_told_so():
    trials = Trials.draw(Countdown(), 2, episodes=1, explored=1)
    agent = Recorder().adapt(trials.support)
    assert agent.memory[0] == (([1, 1], [True, False], [True, True]), ([0, 2], [True, True], [False, True]))


def test_an_agent_is_not_changed_by_being_judged():
    trials = Trials.draw(Countdown(), 2, explored=1)
    agent = Recorder().adapt(trials.support)
    before = agent.memory
    first = trials.score(agent)
    assert trials.score(agent) == first
    assert agent.memory is before


def test_slices_are_trials_and_a_place_is_a_task():
    trials = Trials.draw(Bandits(3), 10, episodes=5, explored=2, seed=4)
    assert len(trials[2:7]) == 5
    assert_close(trials[2:7].tasks["arms"], trials.tasks["arms"][2:7])
    assert_close(trials[1::3].tasks["arms"], trials.tasks["arms"][1::3])
    assert len({part.seed for part in (trials, trials[1::2], trials[0::2], trials[2:7])}) == 4  # no two play the same chance
    assert trials[:3].seed == trials.seed
    task = trials[-1]
    assert isinstance(task, Task)
    assert_close(task.support.inputs.tasks["arms"], trials.tasks["arms"][-1:])
    assert (task.support.inputs.count, task.query.inputs.count) == (2, 5)
    assert task.score(Recorder().adapt(task.support))["return"] == task.score(Recorder().adapt(task.support))["return"]
    with pytest.raises(IndexError):
        trials[10]


def test_the_seed_decides_everything():
    def found(seed):
        trials = Trials.draw(Bandits(3), 50, episodes=5, seed=seed)
        return trials.hash, trials.score(Recorder().adapt(trials.support))

    assert found(0) == found(0)
    assert found(0)[0] != found(1)[0]
    assert found(0)[1] != found(1)[1]


def test_a_stream_depends_on_seed_and_place_alone():
    stream = TrialStream(Bandits(3), 8, episodes=2, seed=3)
    assert stream[5].hash == TrialStream(Bandits(3), 8, episodes=2, seed=3)[5].hash
    assert len({stream[i].hash for i in range(4)} | {TrialStream(Bandits(3), 8, episodes=2, seed=4)[0].hash}) == 5
    assert next(iter(stream)).hash == stream[0].hash


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("shape", r"Countdown gave an observation of shape \(3, 2\) for 3 trials; it should be \(3, 1\)"),
        ("reward", "Countdown gave a reward that is not finite in trial 0; mend the environment"),
    ],
)
def test_a_broken_environment_is_named(broken, message):
    trials = Trials.draw(Countdown(broken=broken), 3)
    with pytest.raises(QuickstudyError, match=message):
        trials.score(Recorder().adapt(trials.support))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "episodes=0: an agent is judged on at least 1 episode"),
        ({"explored": -1}, "explored=-1: give 0 or more"),
    ],
)
def test_what_cannot_be_played_is_refused(settings, message):
    with pytest.raises(QuickstudyError, match=message):
        Trials.draw(Bandits(2), 3, **settings)
    with pytest.raises(QuickstudyError, match="0 trials: give at least 1"):
        Trials.draw(Bandits(2), 0)


def test_an_agent_says_that_it_predicts_and_keeps_nothing(tmp_path):
    with pytest.raises(QuickstudyError, match=r"ask act\(observation\)"):
        Acting(Recorder(), ()).predict([])
    with pytest.raises(QuickstudyError, match="ends with them; the run keeps how it learns"):
        Acting(Recorder(), ()).save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()
