"""MAML for reinforcement: its gradient, against differences and a closed form, what it plays, and that it learns."""

from __future__ import annotations

import copy
import warnings
from dataclasses import fields

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.inner.policy_gradient import Steps, linear_baseline, normalised
from quickstudy.inner.rules import Rates
from quickstudy.inner.trajectories import Lives
from quickstudy.learners.agents import maml_rl
from quickstudy.learners.agents.maml_rl import MAMLRL
from quickstudy.models.policy import Policy, RecurrentPolicy
from quickstudy.tasks.environments import Bandits, Box, Discrete, Gymnasium, Points
from quickstudy.tasks.trials import Trials, TrialStream

SMALL = Points(horizon=5)


def moved(environment=SMALL, inner_lr=0.5, **settings):
    """A learner whose policy does not treat all actions alike."""
    learner = MAMLRL(Policy(environment, 8, seed=1), inner_lr, **settings)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    return learner


def doubled(lives):
    def of(steps):
        return Steps(*(x.double() if x.is_floating_point() else x for x in (getattr(steps, f.name) for f in fields(Steps))))

    return Lives([of(steps) for steps in lives.before], of(lives.after))


def chosen(lives, tasks):
    def of(steps):
        return Steps(*(getattr(steps, field.name)[tasks] for field in fields(Steps)))

    return Lives([of(steps) for steps in lives.before], of(lives.after))


def gradient(learner, lives):
    learner.zero_grad()
    value = learner(lives)
    value.backward()
    return value.detach(), {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("later", [False, True])
def test_the_gradient_is_that_of_the_surrogate_with_what_was_played(steps, later):
    """Against differences in float64; `later`, after theta has moved on from where it played."""
    learner = moved(inner_lr=Rates(0.5, per="layer", steps=steps), inner_steps=steps)
    lives = doubled(learner.play(Trials.draw(SMALL, 3, episodes=4, explored=4 * steps)))
    learner.double()
    if later:
        with torch.no_grad():
            for parameter in learner.model.parameters():
                parameter.add_(0.01)
    _, found = gradient(learner, lives)
    generator, eps = torch.Generator().manual_seed(3), 1e-6
    for name, parameter in learner.named_parameters():
        if name not in found:
            assert name.startswith(("model.critic", "rule.lr.rates.critic"))
            continue
        way = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * eps * way)
                ends.append(learner(lives))
                parameter.sub_(sign * eps * way)
        assert_close((found[name] * way).sum(), (ends[0] - ends[1]) / (2 * eps), atol=1e-7, rtol=1e-5)
    assert sum(found[f"rule.lr.rates.{layer}"].abs().sum() for layer in ("body/0", "body/2", "actor")) > 0


def test_first_order_counts_the_inner_gradient_as_constant():
    learner = moved(gradient="first_order")
    lives = learner.play(Trials.draw(SMALL, 1, episodes=4, explored=4))
    _, found = gradient(learner, lives)
    other = MAMLRL(copy.deepcopy(learner.model), inner_steps=0)
    phi = learner.step(0, learner.start(1), lives.before[0])
    other.model.load_state_dict({name: value.detach()[0] for name, value in phi.items()})
    _, expected = gradient(other, Lives([], lives.after))
    assert_close(found, expected)
    learner.gradient = "exact"
    assert (gradient(learner, lives)[1]["model.actor.bias"] - found["model.actor.bias"]).abs().max() > 1e-3


def bandit_lives(learner, phi, paid, pulls=40_000):
    """Every arm as often as its probability says, so that means over the pulls are expectations."""
    log_probs = learner._outputs(phi, torch.zeros(1, 1, 0, dtype=torch.float64)).flatten().log_softmax(0).detach()
    counts = (pulls * log_probs.exp()).round().long()
    actions = torch.arange(len(counts)).repeat_interleave(counts)[None, None]  # one task, one step
    live, reward = torch.ones_like(actions, dtype=torch.bool), paid[actions]
    seen = torch.zeros(*actions.shape, 0, dtype=torch.float64)
    return Steps(seen, actions, log_probs[actions], reward - reward.mean(), reward, live)


def meta_gradient(learner, paid):
    """That of the learner for two steps of inner learning, and that of the expected return after them."""
    before, phi = [], learner.start(1)
    for k in range(2):
        before.append(bandit_lives(learner, phi, paid))
        with torch.no_grad():
            phi = learner.step(k, phi, before[-1])
    _, found = gradient(learner, Lives(before, bandit_lives(learner, phi, paid)))

    def expected(its):
        return (learner._outputs(its, torch.zeros(1, 1, 0, dtype=torch.float64)).softmax(-1) * paid).sum()

    its = learner.start(1)
    for k in range(2):
        up = torch.autograd.grad(expected(its), list(its.values()), create_graph=True, allow_unused=True, materialize_grads=True)
        its = {name: value + 2.0 * learner.later**k * by for (name, value), by in zip(its.items(), up, strict=True)}
    learner.zero_grad()
    (-expected(its)).backward()
    return found, {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


def test_the_meta_gradient_is_that_of_the_expected_return_after_learning(monkeypatch):
    """A bandit whose expected return is known in closed form. -log pi A, which has the same inner gradient, gets this wrong."""
    paid, learner = torch.tensor([1.0, 0.2, 0.5], dtype=torch.float64), moved(Bandits(3), 2.0, inner_steps=2).double()
    found, expected = meta_gradient(learner, paid)
    size = max(each.abs().max() for each in expected.values())
    for name, its in expected.items():
        assert_close(found[name], its, atol=2e-3 * size, rtol=0)
    monkeypatch.setattr(maml_rl, "reinforce_loss", lambda log_probs, old, advantages: -log_probs * advantages)
    naive, _ = meta_gradient(learner, paid)
    assert max((naive[name] - its).abs().max() for name, its in expected.items()) > 0.1 * size


def test_tasks_are_learned_side_by_side_as_alone_and_in_any_order():
    learner = moved(inner_steps=2)
    lives = learner.play(Trials.draw(SMALL, 3, episodes=4, explored=8))
    value, found = gradient(learner, lives)
    assert_close(gradient(learner, chosen(lives, [2, 0, 1])), (value, found))
    alone = [gradient(learner, chosen(lives, [at])) for at in range(3)]
    assert_close(value, sum(each for each, _ in alone) / 3)
    assert_close(found, {name: sum(each[name] for _, each in alone) / 3 for name in found})


def test_without_a_gradient_the_value_is_the_same():
    learner = moved()
    lives = learner.play(Trials.draw(SMALL, 2, episodes=4, explored=4))
    with torch.no_grad():
        value = learner(lives)
    assert not value.requires_grad
    assert_close(value, gradient(learner, lives)[0])
    assert_close(value, torch.tensor(0.0), atol=1e-4, rtol=0)  # advantages have a mean of 0, and no ratio has changed


def test_trials_are_played_once_for_all_epochs():
    learner, trials = moved(epochs=3), Trials.draw(SMALL, 2, episodes=4, explored=4)
    parts = list(learner.batches(trials))
    assert len(parts) == 3
    assert all(part is parts[0] for part in parts)
    assert torch.equal(learner(trials), learner(parts[0]))  # what was not played is played first, the same


def test_what_is_played_is_what_the_policy_does():
    learner, trials = moved(inner_steps=2), Trials.draw(SMALL, 3, episodes=2, explored=6)
    lives = learner.play(trials)
    assert [steps.live.shape for steps in lives.before] == [(3, 5, 3)] * 2
    assert lives.after.read.shape == (3, 5, 2, 2)
    phi = learner.start(3)
    for k, steps in enumerate([*lives.before, lives.after]):
        assert_close(learner._log_probs(phi, steps), steps.log_probs)
        positions = steps.read[:, :-1] + 0.1 * steps.actions[:, :-1].clamp(-1, 1)
        assert_close(steps.read[:, 1:], positions)
        phi = learner.step(k, phi, steps) if k < 2 else phi
    assert not torch.equal(lives.before[0].actions[0], lives.before[0].actions[1])
    again = learner.play(trials)
    assert torch.equal(again.after.actions, lives.after.actions)


def test_episodes_of_a_simulator_side_by_side_begin_differently():
    pytest.importorskip("gymnasium")
    environment = Gymnasium("CartPole-v1", horizon=3)
    lives = moved(environment).play(Trials.draw(environment, 2, episodes=1, explored=3))
    assert len(torch.unique(lives.before[0].read[:, 0].flatten(0, 1), dim=0)) == 6


def test_advantages_are_returns_less_a_baseline_of_each_task():
    learner = moved(gamma=0.9)
    trials = Trials.draw(SMALL, 2, episodes=1, explored=6)
    steps = learner.play(trials).before[0]
    off = steps.read - trials.tasks["goal"][:, None, None]
    rewards = -off.norm(dim=-1)[:, 1:]  # of all steps but the last
    assert_close(steps.returns[:, :-1] - 0.9 * steps.returns[:, 1:], rewards, atol=1e-5, rtol=1e-4)
    ahead = steps.returns - linear_baseline(steps.read, steps.returns, steps.live)
    for task in range(2):
        assert_close(steps.advantages[task], normalised(ahead[task], steps.live[task]), atol=1e-4, rtol=1e-4)


def test_an_inner_step_is_one_of_descent():
    learner = moved(Bandits(2), 0.3)
    steps = learner.play(Trials.draw(Bandits(2), 1, episodes=1, explored=50)).before[0]
    its = copy.deepcopy(learner.model)
    outputs, _, _ = its(torch.zeros(1, 50, 4), its.begin(50))
    loss = -(its.action.log_prob(outputs, steps.actions[0]) * steps.advantages[0]).mean()
    loss.backward()
    with torch.no_grad():
        phi = learner.step(0, learner.start(1), steps)
    for name, parameter in its.named_parameters():
        assert_close(phi[name][0], parameter - 0.3 * (0 if parameter.grad is None else parameter.grad))


def test_adapting_changes_no_weight_and_is_repeatable():
    learner, trials = moved(), Trials.draw(SMALL, 3, episodes=2, explored=4)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    chance = torch.get_rng_state()
    first, second = learner.adapt(trials.support), learner.adapt(trials.support)
    assert trials.score(first) == trials.score(second) == trials.score(first)
    assert torch.equal(torch.get_rng_state(), chance)
    assert_close(learner.state_dict(), before, atol=0, rtol=0)
    assert all(p.grad is None for p in learner.parameters())
    fresh = Trials.draw(SMALL, 3, episodes=2, explored=4, seed=1)
    assert trials.score(learner.adapt(fresh.support)) != trials.score(first)


def test_more_steps_than_in_training_and_none():
    learner, trials = moved(), Trials.draw(SMALL, 2, episodes=1, explored=6)
    assert learner.play(trials).before[0].live.shape == (2, 5, 6)
    learner.adapt_steps = 3
    assert learner.adapt(trials.support).memory.phi["actor.bias"].shape == (2, 4)
    learner.adapt_steps = 4
    with pytest.raises(QuickstudyError, match="explored=6: the episodes for learning are shared evenly among 4 inner steps"):
        learner.adapt(trials.support)
    learner.adapt_steps = 0
    assert_close(learner.adapt(trials.support).memory.phi["actor.bias"][1], learner.model.actor.bias.detach())
    with pytest.raises(QuickstudyError, match="give a multiple of 1"):
        learner.play(Trials.draw(SMALL, 2))


def test_the_policy_sees_nothing_of_its_last_action_and_reward():
    learner = moved()
    with torch.no_grad():
        learner.model.body[0].weight[:, 2:] = 1e6
    acting = learner.adapt(Trials.draw(SMALL, 2, explored=2).support)
    acting.act(torch.zeros(2, 2))
    acting.told(torch.ones(2), torch.ones(2, dtype=torch.bool))
    assert acting.act(torch.zeros(2, 2)).abs().max() < 20


class Breaking(Points):
    """Trajectories break that go too far to the right."""

    def step(self, tasks, state, actions, generator):
        state, seen, reward, done = super().step(tasks, state, actions, generator)
        return state, torch.where(state[:, :1] > 0.12, torch.nan, seen), reward, done


def test_a_trajectory_that_breaks_is_left_out_and_counted():
    learner, trials = moved(Breaking(horizon=3), 0.01), Trials.draw(Breaking(horizon=3), 3, episodes=4, explored=4)
    with pytest.warns(UserWarning, match=r"Breaking: \d+ of 12 trajectories are not finite, and left out"):
        lives = learner.play(trials)
    gone = ~lives.before[0].live.any(1)
    assert 0 < gone.sum() < 12
    assert (lives.before[0].advantages.transpose(1, 2)[gone] == 0).all()
    assert (lives.before[0].read[lives.before[0].live][:, 0] <= 0.12).all()
    _, found = gradient(learner, lives)
    assert all(torch.isfinite(each).all() for each in found.values())


def test_when_all_break_it_is_said():
    class Broken(Points):
        def reset(self, tasks, generator):
            return super().reset(tasks, generator)[0], torch.full((len(tasks["goal"]), 2), torch.inf)

    with pytest.raises(QuickstudyError, match="Broken: none of 8 trajectories is finite; mend the environment"):
        moved().adapt(Trials.draw(Broken(), 2, explored=4).support)


def test_the_least_deviation_is_a_setting():
    learner = MAMLRL(Policy(SMALL, 8), least_std=0.05)
    certain = torch.tensor([[0.0, 0.0, -50.0, -50.0]])
    drawn = learner.action.sample(certain.expand(5_000, 4), torch.Generator().manual_seed(0))
    assert drawn.std().item() == pytest.approx(0.05, abs=0.002)
    assert learner.model.action == Box(2, -1.0, 1.0)  # the policy's own stays as it is
    assert MAMLRL(Policy(Bandits(2), 8), least_std=0.5).action == Discrete(2)
    policy = Policy(SMALL, 8)
    policy.action = Box(2, -1.0, 1.0, std=(0.1, 1.5))  # an environment may say it too
    assert MAMLRL(policy).action.std == (0.1, 1.5)
    assert MAMLRL(policy, least_std=0.4).action.std == (0.4, 1.5)


def test_one_step_of_learning_becomes_worth_more():
    """Two arms, one of which always pays: what ten pulls teach is a guess at first."""

    class Sure(Bandits):
        def draw(self, trials, generator):
            first = torch.randint(2, (trials,), generator=generator)
            return {"arms": torch.stack([first, 1 - first], dim=1).float()}

    learner, stream = MAMLRL(Policy(Sure(2), 8), 0.5, 0.02), TrialStream(Sure(2), 16, episodes=10, explored=10)
    trials = Trials.draw(Sure(2), 300, episodes=1, explored=10, seed=9)

    def score():
        return sum(trials.score(learner.adapt(trials.support))["return"]) / 300

    first, optimizer = score(), torch.optim.Adam(learner.parameters(), lr=learner.outer_lr)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(25):
            for part in learner.batches(stream[step]):
                optimizer.zero_grad()
                learner(part).backward()
                optimizer.step()
    assert first < 0.7
    assert score() > 0.9


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (RecurrentPolicy(SMALL, 4), {}, "MAMLRL adapts a policy without memory, and a RecurrentPolicy is none; give"),
        (Policy(SMALL, 4), {"gradient": "implicit"}, "it is 'exact' or 'first_order'"),
        (Policy(SMALL, 4), {"inner_steps": -1}, "inner_steps=-1: the number of inner steps cannot be negative"),
        (Policy(SMALL, 4), {"least_std": 0.0}, "least_std=0: the least deviation of actions lies between 0 and 2.7"),
    ],
)
def test_what_cannot_be_is_refused(model, settings, message):
    with pytest.raises(QuickstudyError, match=message):
        MAMLRL(model, **settings)


def test_rates_are_learned():
    learner = MAMLRL(Policy(SMALL, 4), Rates(0.1, per="element"))
    lives = learner.play(Trials.draw(SMALL, 3, episodes=4, explored=4))
    _, found = gradient(learner, lives)
    assert found["rule.lr.rates.actor/weight"].shape == (4, 4)
    assert found["rule.lr.rates.actor/bias"].abs().sum() > 0
