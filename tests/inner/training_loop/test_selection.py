"""A choice among models: what is drawn, that each trains as it would alone, and what is paid and shown."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules import SGD, Adam
from quickstudy.inner.training_loop import SelectionEnvironment, TrainingEnvironment
from quickstudy.inner.training_loop.environment import WEIGHTS
from quickstudy.inner.training_loop.networks import Training, initial, logits, narrow
from quickstudy.learners.agents.strategy import Strategy
from quickstudy.models.policy import Policy
from quickstudy.tasks.trials import Trials


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(candidates=3, **settings):
    """Gaussian blobs of five classes, of which a task has three."""
    labels = torch.arange(5).repeat(60)
    inputs = 2 * torch.randn(5, 6, generator=seeded(8))[labels] + torch.randn(300, 6, generator=seeded(9))
    sizes = {"classes": 3, "rows": (40, 60), "validation": 30, "hidden": 8, "batch": 8, "steps": 3, "horizon": 6}
    sizes |= {"first_rate": (0.02, 0.5)}
    return SelectionEnvironment(TrainingEnvironment(inputs, labels, **{**sizes, **settings}), candidates)


def played(environment, tasks, actions, seed=0):
    """States from the first to the last, observations, rewards and ends."""
    generator = seeded(seed)
    state, seen = environment.reset(tasks, generator)
    states, found = [state], [seen]
    rewards, ends = [], []
    for action in actions:
        state, seen, reward, done = environment.step(tasks, state, action, generator)
        states.append(state)
        found.append(seen)
        rewards.append(reward)
        ends.append(done)
    return states, torch.stack(found), torch.stack(rewards), torch.stack(ends)


def alone(tasks, chosen):
    """Tasks of `TrainingEnvironment` with one of the candidates each."""
    rows = torch.arange(len(chosen))
    return {**tasks, **{name: tasks[name][rows, chosen] for name in (*WEIGHTS, "rate")}}


def test_candidates_differ_in_width_rate_and_weights_and_their_order_says_nothing():
    tasks = small(4, hidden=32).draw(400, seeded())
    widths, rates = tasks["width"], tasks["rate"]
    assert widths.shape == rates.shape == (400, 4)
    assert widths.unique().tolist() == list(range(2, 33))
    for values, low, high in ((widths.double(), 2, 33), (rates, 0.02, 0.5)):
        middle = values.log().mean(0)
        assert (middle - math.log(low * high) / 2).abs().max() < 0.2
    assert tasks["hidden.weight"].shape == (400, 4, 6, 32)
    there = torch.arange(32) < widths[..., None]
    assert ((tasks["hidden.weight"] != 0).all(2) == there).all()
    assert ((tasks["out.weight"] != 0).all(3) == there).all()
    assert ((tasks["hidden.bias"][:, :, 0] != 0) == there).all()
    most = tasks["out.weight"].abs().flatten(2).amax(2) * widths.sqrt()
    assert 0.98 < most.amax() <= 1.0001
    assert most[widths == 2].mean() > 0.7  # the narrowest too begin as layers of their own width do


@pytest.mark.parametrize("rule", [SGD(1.0), SGD(0.1, momentum=0.9), Adam(0.01)])
def test_units_that_are_not_there_stay_so_and_a_narrow_network_is_one_that_is_cut(rule):
    widths = torch.tensor([2, 5, 7])
    phi = narrow(initial(3, 6, 7, 4, seeded()), widths)
    training, kept = Training(rule), torch.zeros(3, dtype=torch.long)
    now = training.begin(phi)
    cut = [
        {
            "hidden.weight": phi["hidden.weight"][at : at + 1, :, :width],
            "hidden.bias": phi["hidden.bias"][at : at + 1, :, :width],
            "out.weight": phi["out.weight"][at : at + 1, :width],
            "out.bias": phi["out.bias"][at : at + 1],
        }
        for at, width in enumerate(widths.tolist())
    ]
    others = [training.begin(each) for each in cut]
    generator = seeded(1)
    for _ in range(8):
        inputs, labels = torch.randn(3, 9, 6, generator=generator), torch.randint(4, (3, 9), generator=generator)
        now = training.step(now, inputs, labels, torch.ones(3), kept)
        for at, other in enumerate(others):
            rows = slice(at, at + 1)
            others[at] = training.step(other, inputs[rows], labels[rows], torch.ones(1), kept[rows])
    for at, (width, other) in enumerate(zip(widths.tolist(), others, strict=True)):
        assert (now.phi["hidden.weight"][at, :, width:] == 0).all()
        assert (now.phi["hidden.bias"][at, :, width:] == 0).all()
        assert (now.phi["out.weight"][at, width:] == 0).all()
        assert (now.phi["hidden.weight"][at] - phi["hidden.weight"][at])[:, :width].abs().amax() > 1e-3
        assert_close(logits(now.phi, inputs)[at], logits(other.phi, inputs[at : at + 1])[0])


def test_the_chosen_one_trains_as_it_would_alone_and_the_others_wait():
    environment = small()
    tasks = environment.draw(5, seeded())
    first, second = torch.arange(5) % 3, (torch.arange(5) + 1) % 3
    states, _, _, _ = played(environment, tasks, [first, second, first], seed=4)
    generator, training = seeded(4), environment.training
    own = {name: alone(tasks, chosen) for name, chosen in (("first", first), ("second", second))}
    now = {name: training.reset(each, generator)[0] for name, each in own.items()}
    nothing = torch.zeros(5, dtype=torch.long)
    for state, name, chosen in zip(states[1:], ("first", "second", "first"), (first, second, first), strict=True):
        now[name] = training.train(own[name], now[name], own[name]["rate"], nothing, nothing, generator)
        its = {key: values[torch.arange(5), chosen] for key, values in state.candidates.items()}
        for key, values in {**now[name].trained.phi, **vars(now[name].judged)}.items():
            assert torch.equal(its[key], values)
    for before, after, chosen in zip(states, states[1:], (first, second, first), strict=False):
        waited = torch.arange(3) != chosen[:, None]
        for key, values in after.candidates.items():
            assert torch.equal(values[waited], before.candidates[key][waited])
        assert torch.equal(after.change[waited], before.change[waited])
    assert (states[-1].spent.sum(1) == 3).all()
    assert (states[-1].spent[torch.arange(5), first] == 2).all()


def test_rewards_add_up_to_the_logarithm_of_the_first_loss_over_the_best():
    environment = small(first_rate=(0.05, 3.0))
    tasks = environment.draw(40, seeded())
    actions = [torch.randint(3, (40,), generator=seeded(5 + step)) for step in range(6)]
    states, seen, rewards, ends = played(environment, tasks, actions)
    every = torch.stack([state.candidates["validation"] for state in states])
    assert_close(rewards.sum(0), every[0].amin(1) - every.amin(dim=(0, 2)))
    assert (rewards >= 0).all()
    assert (every[-1].amin(1) > every.amin(dim=(0, 2)) + 0.01).any()  # a model that got worse again does not take it back
    assert rewards.sum(0).mean() > 0.3
    assert not ends.any()
    assert seen.shape == (7, 40, environment.observation) == (7, 40, 19)


def test_what_is_judged_in_the_end_is_the_best_model_of_all_times():
    environment = small(first_rate=(0.05, 3.0))
    tasks = environment.draw(20, seeded())
    tasks["rate"][:, 1] = 1e30
    actions = [torch.randint(3, (20,), generator=seeded(5 + step)) for step in range(6)]
    states, _, _, _ = played(environment, tasks, actions)
    every = torch.stack([state.candidates["validation"] for state in states], dim=1).flatten(1)
    at, rows = every.argmin(1), torch.arange(20)
    assert_close(states[-1].least, every[rows, at])
    phi = {name: torch.stack([state.candidates[name] for state in states])[at // 3, rows, at % 3] for name in WEIGHTS}
    found = logits(phi, environment.training.inputs[tasks["validation"]]).argmax(2)
    assert_close(environment.accuracy(tasks, states[-1]), (found == tasks["validation_labels"]).float().mean(1))
    assert (at // 3 < 6).any()


def test_one_that_diverges_stays_so_and_only_when_all_have_it_is_over():
    environment = small()
    tasks = environment.draw(3, seeded())
    tasks["rate"][0] = 1e30
    tasks["rate"][1, :2] = 1e30
    actions = [torch.full((3,), number) for number in (0, 1, 2, 0, 1, 2)]
    states, seen, rewards, ends = played(environment, tasks, actions)
    assert ends.T.tolist() == [[False] * 2 + [True] * 4, [False] * 6, [False] * 6]
    assert seen.isfinite().all()
    assert seen.abs().max() <= 10
    assert (rewards[:, 0] == 0).all()
    assert (rewards[[0, 1, 3, 4], 1] == 0).all()
    assert rewards[2, 1] > 0
    assert_close(states[-1].candidates["validation"][1, :2], torch.full((2,), math.log(100)))
    assert environment.accuracy(tasks, states[-1]).isfinite().all()


def test_what_is_seen_of_each_candidate():
    environment = small()
    tasks = environment.draw(4, seeded())
    one, two = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 0])
    states, seen, _, _ = played(environment, tasks, [one, two])
    assert seen[:, :, 0].tolist() == [[0.0] * 4, [pytest.approx(1 / 6)] * 4, [pytest.approx(1 / 3)] * 4]
    share, loss, change, gap, rate, width = seen[:, :, 1:].unflatten(2, (3, 6)).unbind(3)
    assert_close(share[-1] * 6, states[-1].spent.float())
    every = torch.stack([state.candidates["validation"] for state in states])
    assert_close(loss, every - every[0].amin(1)[:, None])
    assert (change[0] == 0).all()
    rows = torch.arange(4)
    assert_close(change[1], (every[1] - every[0]))
    assert_close(change[2][rows, two], (every[2] - every[1])[rows, two])
    assert_close(change[2][0, 0], change[1][0, 0])  # it was not trained since
    assert_close(gap[-1], states[-1].candidates["train"] - every[-1])
    assert_close(rate, tasks["rate"].log().expand(3, 4, 3))
    assert_close(width, (tasks["width"] / 8).log().expand(3, 4, 3))


def test_what_the_training_controls_is_of_no_account():
    environment = small()
    other = replace(environment, training=replace(environment.training, control=("optimizer", "data")))
    tasks = environment.draw(4, seeded())
    actions = [torch.arange(4) % 3] * 3
    assert torch.equal(played(environment, tasks, actions)[1], played(other, tasks, actions)[1])


def test_a_strategy_takes_an_outer_step_and_trials_slice():
    environment = small()
    learner = Strategy(Policy(environment, 8), epochs=1, minibatches=2)
    optimizer = torch.optim.Adam(learner.parameters(), 0.01)
    before = learner.model.actor.bias.clone()
    for steps in learner.batches(Trials.draw(environment, 8)):
        optimizer.zero_grad()
        learner(steps).backward()
        optimizer.step()
    assert (learner.model.actor.bias != before).any()
    trials = Trials.draw(environment, 6, seed=1)
    assert len(trials[2:5].score(learner.adapt(trials[2:5].support))["return"]) == 3
    assert trials.hash != Trials.draw(small(4), 6, seed=1).hash
    assert "tensor" not in repr(environment)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 1}, "candidates=1: there is nothing to choose from; give at least 2"),
        ({"hidden": 1}, "hidden=1: candidates have 2 hidden units or more; give at least 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(QuickstudyError, match=message):
        small(**settings)
