"""RL^2: its memory, what it is trained on, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.inner.policy_gradient import advantages
from quickstudy.learners.agents.ppo import PPO
from quickstudy.learners.agents.rl2 import RL2
from quickstudy.models.fast_weights import HEADS, KEYS, NOTHING, SHARPNESS, FastWeightPolicy
from quickstudy.models.networks import mlp
from quickstudy.models.policy import Policy, RecurrentPolicy
from quickstudy.tasks.environments import Bandits, Discrete
from quickstudy.tasks.trials import Trials, TrialStream

memories = pytest.mark.parametrize("memory", [RecurrentPolicy, FastWeightPolicy])


class Uneven:
    """Episodes of 1 to 3 steps, whose length is the task's; observed is what an agent has done so far, so that it matters."""

    observation, action, horizon = 2, Discrete(3), 3

    def draw(self, trials, generator):
        return {"steps": 1 + torch.arange(trials) % 3}

    def reset(self, tasks, generator):
        return torch.zeros(len(tasks["steps"]), 2), torch.zeros(len(tasks["steps"]), 2)

    def step(self, tasks, state, actions, generator):
        state = state + torch.stack([torch.ones(len(state)), actions.float()], dim=1)
        return state, state, state[:, 1] + tasks["steps"], state[:, 0] >= tasks["steps"]


def moved(environment, memory=RecurrentPolicy, **settings):
    """RL^2 whose policy does not treat all actions alike."""
    learner = RL2(memory(environment, 8, seed=1), **settings)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    return learner


def test_at_first_all_actions_are_alike():
    policy = RecurrentPolicy(Bandits(5), 16)
    outputs, values, _ = policy(torch.randn(3, 4, 7), policy.begin(4))
    assert_close(outputs.softmax(-1), torch.full((3, 4, 5), 0.2))
    assert (values == 0).all()


@memories
def test_what_was_played_is_read_again_alike(memory):
    """The probabilities of a whole trial at once are those of its steps one by one: so the first ratio of PPO is 1."""
    learner, trials = moved(Uneven(), memory), Trials.draw(Uneven(), 9, episodes=3)
    played = learner.play(trials)
    outputs, values, _ = learner.model(played.read, learner.model.begin(9))
    found = learner.model.action.log_prob(outputs, played.actions)
    assert_close(found[played.live], played.log_probs[played.live])
    assert (played.returns - values)[played.live].std() > 0


@memories
def test_a_trial_does_not_depend_on_how_long_the_others_take(memory):
    learner, both = moved(Uneven(), memory), Trials.draw(Uneven(), 3, episodes=3)
    played = learner.play(both)
    assert played.live.sum(0).tolist() == [3, 6, 9]
    assert (played.live.int().diff(dim=0) <= 0).all()  # what counts comes first
    state = learner.model.begin(1)
    for step in range(3):  # the shortest trial alone, step by step
        outputs, _, state = learner.model(played.read[step : step + 1, :1], state)
        log_prob = learner.model.action.log_prob(outputs[0], played.actions[step, :1])
        assert_close(log_prob, played.log_probs[step, :1])


def test_credit_passes_from_one_episode_to_the_next():
    learner, trials = moved(Bandits(2), lam=1.0, gamma=1.0), Trials.draw(Bandits(2), 64, episodes=6, seed=1)
    played = learner.play(trials)
    _, values, _ = learner.model(played.read, learner.model.begin(64))
    paid = learner.unit * (played.returns - torch.cat([played.returns[1:], torch.zeros(1, 64)]))
    assert set(paid.round().unique().tolist()) == {0.0, 1.0}
    expected = advantages(paid.round() / learner.unit, values.detach(), 1.0, 1.0)
    assert_close(played.advantages, (expected - expected.mean()) / expected.std(), atol=1e-4, rtol=1e-3)


def test_episodes_for_learning_alone_pay_nothing():
    learner = moved(Bandits(2), lam=1.0)
    played = learner.play(Trials.draw(Bandits(2), 512, episodes=1, explored=3))
    assert len(played.live) == 4
    assert_close(played.returns[:3], played.returns[3:].expand(3, 512))  # all that is ahead of them is the last pull
    assert 0.3 < (learner.unit * played.returns).mean() < 0.7


def test_returns_are_told_to_the_critic_in_a_unit_of_their_own():
    """A critic of returns a hundred times as large has nothing more to learn; the unit follows slowly what returns become."""
    learner, trials = moved(Bandits(2), lam=1.0), Trials.draw(Bandits(2), 64, episodes=20)
    assert learner.play(trials).returns.square().mean().sqrt().item() == pytest.approx(1)
    first = learner.unit.item()
    learner.play(Trials.draw(Bandits(2), 64, episodes=40))
    assert first < learner.unit < 1.15 * first


def test_the_first_gradient_is_the_policy_gradient():
    learner = moved(Bandits(3), entropy=0.0, value=0.0)
    played = learner.play(Trials.draw(Bandits(3), 32, episodes=4))
    found = torch.autograd.grad(learner(played), list(learner.model.actor.parameters()))
    outputs, _, _ = learner.model(played.read, learner.model.begin(32))
    surrogate = -(learner.model.action.log_prob(outputs, played.actions) * played.advantages).mean()
    assert_close(found, torch.autograd.grad(surrogate, list(learner.model.actor.parameters())))


def test_a_policy_without_memory_is_credited_within_episodes():
    learner, trials = PPO(Policy(Uneven(), 8), lam=0.5, gamma=1.0), Trials.draw(Uneven(), 3, episodes=2)
    with torch.no_grad():
        learner.model.critic.bias.fill_(100.0)  # expects much of every step, whatever comes
    played = learner.play(trials)
    last = played.live & torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]]).bool()
    rewards = played.returns[last]
    assert (rewards < 20).all()  # nothing is expected after the end of an episode


def test_minibatches_are_all_trials_once_an_epoch():
    learner, trials = moved(Bandits(2), epochs=2, minibatches=4), Trials.draw(Bandits(2), 10, episodes=2)
    torch.manual_seed(0)
    parts = list(learner.batches(trials))
    assert sum(map(len, parts)) == 20
    assert len(parts) == 8
    found = torch.cat([part.read for part in parts[:4]], dim=1).sum((0, 2)).sort().values
    assert_close(found, learner.play(trials).read.sum((0, 2)).sort().values)


@memories
def test_adapting_changes_no_weight_and_is_repeatable(memory):
    learner = moved(Uneven(), memory)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    trials = Trials.draw(Uneven(), 6, episodes=2, explored=1)
    first, second = learner.adapt(trials.support), learner.adapt(trials.support)
    assert trials.score(first) == trials.score(second)
    assert trials.score(first) == trials.score(first)
    assert_close(learner.state_dict(), before, atol=0, rtol=0)


@memories
def test_the_memory_is_what_learns(memory):
    """Two arms, one of which always pays: ten pulls are learned in seconds, and without memory they are a guess."""

    class Sure(Bandits):
        def draw(self, trials, generator):
            first = torch.randint(2, (trials,), generator=generator)
            return {"arms": torch.stack([first, 1 - first], dim=1).float()}

    learner, stream = RL2(memory(Sure(2), 16)), TrialStream(Sure(2), 128, episodes=10)
    optimizer = torch.optim.Adam(learner.parameters(), lr=learner.outer_lr)
    for step in range(60):
        learner.progress = step / 60
        torch.manual_seed(step)
        for part in learner.batches(stream[step]):
            optimizer.zero_grad()
            learner(part).backward()
            optimizer.step()
    trials = Trials.draw(Sure(2), 2000, episodes=10, seed=9)
    with_memory = sum(trials.score(learner.adapt(trials.support))["return"]) / 2000
    assert with_memory > 8  # 9.5 at best, and 5 by guessing

    class Forgetful(RL2):
        def told(self, memory, reward, ended, live):
            return self.begin(trials.support)

    learner.__class__ = Forgetful
    without = sum(trials.score(learner.adapt(trials.support))["return"]) / 2000
    assert without == pytest.approx(5, abs=0.4)


def test_a_model_without_memory_is_refused():
    with pytest.raises(QuickstudyError, match="RL2 learns in the memory of its policy, and a Sequential has none"):
        RL2(mlp([2, 2]))


def test_what_was_written_at_a_key_is_read_as_a_mean():
    """The whole trial at once is W_t = W_{t-1} + k_t v_t^T, step by step, with how much was written beside it."""
    policy = FastWeightPolicy(Bandits(3), 8, seed=1)
    read = torch.randn(4, 2, policy.inputs, generator=torch.Generator().manual_seed(0))
    found, _ = policy.states(read, policy.begin(2))
    written, last = torch.zeros(2, HEADS, KEYS, KEYS), torch.zeros(2, policy.inputs)
    count = torch.zeros(2, HEADS, KEYS)
    for step, now in enumerate(read):
        embedded = policy.body["embed"](torch.cat([now, last], dim=1)).tanh()
        query, key, value = (policy.body[name](embedded).view(2, HEADS, KEYS) for name in ("query", "key", "value"))
        query, key = ((SHARPNESS * each).softmax(-1) for each in (query, key))
        written, count, last = written + key[..., None] * value[..., None, :], count + key, now
        much = (query * count).sum(-1, keepdim=True)
        mean = torch.einsum("thk,thkv->thv", query, written) / (much + NOTHING)
        assert_close(found[step], policy.body["out"](torch.cat([embedded, torch.cat([mean, much], -1).flatten(1)], dim=1)))


@memories
def test_rewards_that_follow_are_predicted(memory):
    """What is not predicted is a share of the mean square: 1 for a prediction of nothing; and the memory learns from it."""
    learner = moved(Bandits(2), memory, prediction=1.0, entropy=0.0, value=0.0)
    played = learner.play(Trials.draw(Bandits(2), 64, episodes=6))
    with_it, states = learner(played), learner.model.states(played.read, learner.model.begin(64))[0]
    paid = played.read[1:, :, -2]
    assert set(paid.unique().tolist()) == {0.0, 1.0}
    assert learner.predictor is not None
    told = torch.cat([states, torch.nn.functional.one_hot(played.actions, 2)], dim=-1)[:-1]
    expected = (learner.predictor(told).squeeze(-1) - paid).square().mean() / paid.mean()
    learner.prediction = 0.0
    assert_close(with_it - learner(played), expected)
    (gradient,) = torch.autograd.grad(expected, [next(learner.model.body.parameters())])
    assert gradient.abs().max() > 0
    with torch.no_grad():
        for parameter in learner.predictor.parameters():
            parameter.zero_()
    learner.prediction = 1.0
    assert_close(learner._unpredicted(played, states), torch.tensor(1.0))
