"""Training as an environment: its tasks, what it pays and shows, and that every trial trains by itself."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.inner.training_loop.controls import FACTORS, OPTIMIZERS, PARTS, Controls, draw_rows
from quickstudy.inner.training_loop.environment import TrainingEnvironment
from quickstudy.inner.training_loop.schedules import train_by, train_by_plateau
from quickstudy.learners.agents.rl2 import RL2
from quickstudy.models.policy import RecurrentPolicy
from quickstudy.tasks.trials import Trials

KEEP = FACTORS.index(1.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(dim=6, **settings):
    """Gaussian blobs of five classes, of which a task has three."""
    labels = torch.arange(5).repeat(60)
    inputs = 2 * torch.randn(5, dim, generator=seeded(8))[labels] + torch.randn(300, dim, generator=seeded(9))
    sizes = {"classes": 3, "rows": (40, 60), "validation": 30, "hidden": 8, "batch": 8, "steps": 3, "horizon": 4}
    return TrainingEnvironment(inputs, labels, **{**sizes, **settings})


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


def test_noise_is_in_training_labels_alone_and_of_its_share():
    environment = small(noise=(0.2, 0.4), rows=(60, 60))
    tasks = environment.draw(400, seeded())
    pool, which = environment.labels, torch.arange(400)[:, None]
    # What a task calls class 0, 1, 2 is known from its clean validation rows.
    name = torch.full((400, 5), -1)
    name[which, pool[tasks["validation"]]] = tasks["validation_labels"]
    assert (name[which, pool[tasks["validation"]]] == tasks["validation_labels"]).all()
    assert ((name >= 0).sum(1) == 3).all()
    wrong = name[which, pool[tasks["rows"]]] != tasks["labels"]
    assert_close(wrong.float().mean(), tasks["noise"].mean(), atol=0.01, rtol=0)
    assert wrong[tasks["noise"] > 0.35].float().mean() > wrong[tasks["noise"] < 0.25].float().mean() + 0.1
    assert set(tasks["labels"].unique().tolist()) == {0, 1, 2}
    assert 0.2 <= tasks["noise"].min() <= tasks["noise"].max() <= 0.4


def test_rows_are_drawn_once_and_validation_is_held_out():
    tasks = small().draw(50, seeded())
    rows = torch.cat([tasks["rows"], tasks["validation"]], dim=1)
    assert all(len(set(each)) == 90 for each in rows.tolist())
    assert 40 <= tasks["count"].min() < 45 < 55 < tasks["count"].max() <= 60
    assert 0.003 <= tasks["rate"].min() < 0.02 < 0.5 < tasks["rate"].max() <= 3


def test_rows_past_the_count_are_neither_drawn_nor_judged():
    environment = small(control=("data",))
    tasks = environment.draw(4, seeded())
    other = dict(tasks)
    past = torch.arange(60) >= tasks["count"][:, None]
    other["labels"] = torch.where(past, (tasks["labels"] + 1) % 3, tasks["labels"])
    actions = [torch.arange(4)] * 3
    for one, two in zip(played(environment, tasks, actions), played(environment, other, actions), strict=True):
        if isinstance(one, torch.Tensor):
            assert_close(one, two)


@pytest.mark.parametrize(("part", "ranks"), [(0, range(20)), (1, range(10)), (2, range(10, 20)), (3, range(16))])
def test_parts_are_between_quantiles_of_the_loss(part, ranks):
    losses = torch.rand(2, 30, generator=seeded())
    losses[:, 20:] = 0.0  # past the count
    losses[1, 4] = torch.nan  # as hard as can be
    counts = torch.tensor([20, 20])
    places = draw_rows(losses, counts, torch.tensor([part, part]), 500, seeded())
    for row in range(2):
        easy = sorted(range(20), key=lambda place: torch.nan_to_num(losses[row, place], nan=9.0).item())
        assert set(places[row].tolist()) == {easy[rank] for rank in ranks}
    assert list(PARTS)[part] == ["all", "easiest half", "hardest half", "without the hardest fifth"][part]


def test_parts_differ_from_trial_to_trial():
    losses = torch.arange(10.0).expand(3, 10)
    places = draw_rows(losses, torch.full((3,), 10), torch.tensor([1, 2, 0]), 300, seeded())
    assert [set(each) for each in places.tolist()] == [set(range(5)), set(range(5, 10)), set(range(10))]


def test_actions_are_products_of_what_is_controlled():
    everything = Controls(("rate", "optimizer", "data"))
    factors, optimizers, parts = everything.decode(torch.arange(everything.count))
    assert everything.count == 60
    assert len(set(zip(factors.tolist(), optimizers.tolist(), parts.tolist(), strict=True))) == 60
    action = torch.tensor([(4 * 3 + 2) * 4 + 1])
    assert [each.item() for each in everything.decode(action)] == [4.0, 2, 1]
    factors, optimizers, parts = Controls(("data", "rate")).decode(torch.tensor([3 * 5 + 0, KEEP]))
    assert (factors.tolist(), optimizers.tolist(), parts.tolist()) == ([0.25, 1.0], [0, 0], [3, 0])
    factors, optimizers, parts = Controls(("optimizer",)).decode(torch.tensor([1]))
    assert (factors.item(), optimizers.item(), parts.item()) == (1.0, 1, 0)


def test_rewards_add_up_to_the_logarithm_of_the_first_loss_over_the_last():
    environment = small(first_rate=(0.1, 0.5))
    tasks = environment.draw(6, seeded())
    states, seen, rewards, ends = played(environment, tasks, [torch.full((6,), KEEP)] * 4)
    assert_close(rewards.sum(0), states[0].judged.validation - states[-1].judged.validation)
    assert (rewards.sum(0) > 0.3).all()
    assert not ends.any()
    assert_close(seen[:, 0, 0], torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert_close(seen[-1, :, 1], -rewards.sum(0))
    assert_close(seen[1:, :, 3], -rewards)
    assert_close(seen[:, :, 7], torch.zeros(5, 6))
    assert (seen[0, :, [2, 3, 5]] == 0).all()
    assert environment.accuracy(tasks, states[-1]).mean() > environment.accuracy(tasks, states[0]).mean() + 0.2


def test_rates_are_multiplied_and_seen():
    environment = small()
    tasks = environment.draw(5, seeded())
    states, seen, _, _ = played(environment, tasks, [torch.arange(5)] * 2)
    assert_close(states[-1].rates, tasks["rate"] * torch.tensor(FACTORS) ** 2)
    assert_close(seen[-1, :, 7], 2 * torch.tensor(FACTORS).log())
    # At first what is seen of an update is a step of SGD at the first rate.
    again = environment.draw(5, seeded())
    again["rate"] = 2 * again["rate"]
    assert_close(environment.reset(again, seeded())[1][:, 6], seen[0, :, 6] + math.log(2))


def test_a_training_that_diverges_stays_so_and_shows_finite_numbers():
    environment = small(horizon=6)
    tasks = environment.draw(3, seeded())
    tasks["rate"][1] = 1e30
    states, seen, rewards, ends = played(environment, tasks, [torch.full((3,), KEEP)] * 6)
    assert ends.tolist() == [[False, True, False]] * 6
    assert seen.isfinite().all()
    assert seen.abs().max() <= 10
    assert_close(rewards[0, 1], states[0].judged.validation[1] - math.log(100))
    assert (rewards[1:, 1] == 0).all()
    assert environment.accuracy(tasks, states[-1]).isfinite().all()
    calm = environment.draw(3, seeded())
    others = [0, 2]
    assert_close(rewards[:, others], played(environment, calm, [torch.full((3,), KEEP)] * 6)[2][:, others])


@pytest.mark.parametrize("rate", [0.0, 1e3, 1e15])
def test_nothing_seen_is_ever_infinite(rate):
    environment = small(control=("rate", "optimizer", "data"))
    tasks = environment.draw(60, seeded())
    tasks["rate"] = torch.full((60,), rate)
    _, seen, rewards, _ = played(environment, tasks, [torch.arange(60)] * 4)
    assert seen.isfinite().all()
    assert rewards.isfinite().all()


def test_trials_slice_and_their_tasks_are_those_of_the_whole():
    environment = small()
    trials = Trials.draw(environment, 6, seed=3)
    part = trials[2:5]
    for name, values in trials.tasks.items():
        assert_close(part.tasks[name], values[2:5])
    whole, some = (environment.reset(each.tasks, seeded())[1] for each in (trials, part))
    assert_close(some, whole[2:5])
    # With the same rows in every minibatch there is no chance, and a trial goes its way in any company.
    one = small(rows=(1, 1))
    tasks = one.draw(6, seeded())
    actions = torch.arange(6) % 5
    cut = {name: values[2:5] for name, values in tasks.items()}
    assert_close(played(one, cut, [actions[2:5]] * 4)[1], played(one, tasks, [actions] * 4)[1][:, 2:5])


def test_fingerprints_tell_pools_apart():
    one, other = small(), small()
    assert Trials.draw(one, 3).hash == Trials.draw(other, 3).hash
    shifted = replace(one, inputs=one.inputs + 1)
    assert Trials.draw(shifted, 3).hash != Trials.draw(one, 3).hash
    assert "tensor" not in repr(one)


def test_rl2_takes_an_outer_step():
    environment = small(control=("rate", "data"))
    learner = RL2(RecurrentPolicy(environment, 8), epochs=1, minibatches=2)
    optimizer = torch.optim.Adam(learner.parameters(), 0.01)
    before = learner.model.actor.bias.clone()
    for played in learner.batches(Trials.draw(environment, 8)):
        optimizer.zero_grad()
        learner(played).backward()
        optimizer.step()
    assert learner.model.actor.bias.isfinite().all()
    assert (learner.model.actor.bias != before).any()
    trials = Trials.draw(environment, 4, seed=1)
    assert len(trials.score(learner.adapt(trials.support))["return"]) == 4


def test_a_schedule_trains_as_actions_do():
    environment = small(first_rate=(0.2, 0.2))
    tasks = environment.draw(5, seeded())
    states, _, _, _ = played(environment, tasks, [torch.full((5,), KEEP)] * 4, seed=7)
    asked = []

    def schedule(progress, decision):
        asked.append((progress, decision))
        return 0.2

    losses, accuracy = train_by(environment, tasks, schedule, seeded(7))
    assert asked == [(0.0, 0), (0.25, 1), (0.5, 2), (0.75, 3)]
    assert_close(losses.log(), torch.stack([state.judged.validation for state in states[1:]]))
    assert_close(accuracy, environment.accuracy(tasks, states[-1]))
    assert_close(train_by(environment, tasks, lambda progress, decision: tasks["rate"], seeded(7))[0], losses)


def test_schedules_may_have_another_optimizer_and_other_data():
    environment = small(control=("optimizer",))
    tasks = environment.draw(5, seeded())
    found = [train_by(environment, tasks, lambda *_: 0.3, seeded(), optimizer=name)[0] for name in OPTIMIZERS]
    found.append(train_by(environment, tasks, lambda *_: 0.3, seeded(), data="easiest half")[0])
    assert len({each.sum().item() for each in found}) == 4
    # Plain SGD is the same whether there are others to choose from or not.
    assert_close(train_by(replace(environment, control=("rate",)), tasks, lambda *_: 0.3, seeded())[0], found[0])
    with pytest.raises(QuickstudyError, match="optimizer='adam': this environment has plain SGD alone; make one"):
        train_by(small(), tasks, lambda *_: 0.3, seeded(), optimizer="adam")
    with pytest.raises(QuickstudyError, match="data='half' is not known; it is one of all, easiest half"):
        train_by(environment, tasks, lambda *_: 0.3, seeded(), data="half")


def test_each_training_has_an_optimizer_of_its_own():
    """Those with SGD go on as if all had it, and those with Adam likewise; what is seen at first is a step of that kind."""
    environment = small(optimizers=("sgd", "adam"))
    tasks = environment.draw(40, seeded())
    its = tasks["optimizer"]
    assert set(its.tolist()) == {0, 1}
    without = {name: values for name, values in tasks.items() if name != "optimizer"}
    kept = [torch.full((40,), KEEP)] * 3
    states, seen, *_ = played(environment, tasks, kept)
    by_schedule, _ = train_by(environment, tasks, lambda *_: tasks["rate"], seeded())
    for number, name in enumerate(environment.optimizers):
        alone_states, alone_seen, *_ = played(small(optimizers=(name,)), without, kept)
        assert_close(seen[:, its == number], alone_seen[:, its == number])
        assert (states[-1].judged.validation != alone_states[-1].judged.validation).any()
    assert_close(by_schedule[2].log(), states[-1].judged.validation)


def test_a_plateau_lowers_the_rate_of_its_own_trial():
    """At a rate far too high nothing improves, and the rate falls until something does."""
    environment = small(horizon=8, noise=(0.0, 0.0))
    tasks = environment.draw(6, seeded())
    kept = train_by(environment, tasks, lambda *_: 20.0, seeded())[0]
    lowered = train_by_plateau(environment, tasks, 20.0, seeded(), factor=0.1)[0]
    assert lowered[-1].log().mean() < kept[-1].log().mean()
    gentle = train_by(environment, tasks, lambda *_: 0.01, seeded())[0]
    assert_close(train_by_plateau(environment, tasks, 0.01, seeded())[0][:2], gentle[:2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizers": ("sgd", "lion")}, "optimizers has 'lion', which is not known; it is made of sgd, momentum, adam"),
        ({"optimizers": ("adam",), "control": ("optimizer",)}, "give at least one, and none where an action chooses"),
        ({"control": ("lr",)}, "control has 'lr', which is not known; it is made of rate, optimizer, data"),
        ({"control": "rate"}, "control='rate': give a tuple out of rate, optimizer, data"),
        ({"control": ()}, r"control=\(\): give a tuple"),
        ({"control": ("rate", "rate")}, "has a name twice"),
        ({"classes": 6}, "the pool has 5 classes, and a task is to have 6; give fewer classes"),
        ({"classes": 1}, "classes=1: give at least 2"),
        ({"rows": (100, 160)}, "the 3 smallest classes of the pool have 180 rows together, and a task needs 190"),
        ({"rows": (60, 40)}, r"rows=\(60, 40\): give two numbers, the smaller one first"),
        ({"noise": (0.0, 1.5)}, r"noise=\(0, 1.5\)"),
        ({"first_rate": (0.0, 1.0)}, r"first_rate=\(0, 1\)"),
        ({"horizon": 0}, "horizon=0: give at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(QuickstudyError, match=message):
        small(**settings)


def test_pools_that_cannot_be_are_refused():
    good = small()
    with pytest.raises(QuickstudyError, match=r"labels \(300,\) of torch.int32; give inputs \(rows, dim\) of float32"):
        replace(good, labels=good.labels.int())
    with pytest.raises(QuickstudyError, match=r"the pool has inputs \(299, 6\)"):
        replace(good, inputs=good.inputs[1:])
    with pytest.raises(QuickstudyError, match="inputs that are not finite; leave those rows out"):
        replace(good, inputs=good.inputs / 0)
