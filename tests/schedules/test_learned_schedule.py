"""A learned schedule in a loop of one's own: what its policy sees, what it does to the rates, and that it can be resumed."""

from __future__ import annotations

import gc
import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from quickstudy import LearnedSchedule, QuickstudyError, Strategy
from quickstudy.inner.training_loop.controls import FACTORS, draw_rows
from quickstudy.inner.training_loop.environment import TrainingEnvironment
from quickstudy.inner.training_loop.networks import norm
from quickstudy.models.policy import Policy, RecurrentPolicy
from quickstudy.runs import checkpoint
from quickstudy.runs.build import build_learner
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.record import RunFolder
from quickstudy.tasks.environments.environment import Interface
from quickstudy.tasks.environments.spaces import Discrete
from quickstudy.tasks.trials import Trials


class Recorded(Strategy):
    """Keeps what it sees, and what it is told."""

    def __init__(self, model):
        super().__init__(model)
        self.seen, self.rewards = [], []

    def choose(self, memory, seen):
        self.seen.append(seen)
        return super().choose(memory, seen)

    def told(self, memory, reward, ended, live):
        self.rewards.append(reward.item())
        assert not ended.any()
        return super().told(memory, reward, ended, live)


def always(factor):
    """One that chooses this factor, whatever it sees."""
    learner = Recorded(Policy(Interface(8, Discrete(5)), 4))
    learner.model.actor.bias.data[FACTORS.index(factor)] = 1.0
    return learner


SEEDS = {Policy: 1, RecurrentPolicy: 5}
"""Of random policies that do not always choose the same."""


def lively(kind=RecurrentPolicy, width=8):
    """One that chooses now this, now that."""
    learner = Recorded(kind(Interface(8, Discrete(5)), width))
    learner.model.actor.weight.data.normal_(std=3.0, generator=torch.Generator().manual_seed(SEEDS[kind]))
    learner.model.actor.bias.data[-1] = -4.0  # and seldom the largest factor
    return learner


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


class Loop:
    """Someone's training: a small regression, with AdamW and two groups of parameters."""

    def __init__(self, learner, steps=25, rates=(0.02, 0.01), **settings):
        self.model = net()
        groups = [{"params": list(part.parameters()), "lr": rate} for part, rate in zip(self.model[::2], rates, strict=True)]
        self.optimizer = torch.optim.AdamW(groups)
        self.schedule = LearnedSchedule(self.optimizer, learner, steps, **settings)

    def loss(self, seed):
        inputs = torch.randn(16, 3, generator=torch.Generator().manual_seed(seed))
        return F.mse_loss(self.model(inputs), inputs.sum(1, keepdim=True))

    def move(self, step):
        self.optimizer.zero_grad()
        loss = self.loss(step)
        loss.backward()
        self.optimizer.step()
        return loss

    def follow(self, loss, step):
        self.schedule.step(loss, self.loss(1000) if step % 4 == 0 else None)

    def run(self, first, last):
        for step in range(first, last):
            self.follow(self.move(step), step)
        return self


@pytest.mark.parametrize("updates", [1, 3])
def test_the_policy_sees_what_it_was_trained_on(updates):
    """A training of the environment is done again by hand: same net, minibatches and rates.

    Three things differ, and are made alike here or compared with what they should be. The environment's start moves nothing,
    so the first step is taken back. Its training loss is that of all rows after the updates, which is given in place of the
    minibatches' losses. Its norms are means over the updates of a decision, those of a schedule are of the last update.
    """
    labels = torch.arange(5).repeat(60)
    inputs = torch.randn(300, 6, generator=torch.Generator().manual_seed(9)) + labels[:, None]
    sizes = {"classes": 3, "rows": (40, 60), "validation": 30, "hidden": 8, "batch": 8, "first_rate": (0.05, 0.05)}
    environment = TrainingEnvironment(inputs, labels, **sizes, steps=updates, horizon=4)
    tasks = environment.draw(1, torch.Generator().manual_seed(3))
    learner = lively()
    agent = learner.adapt(Trials(environment, tasks).support)
    expected, states, generator = [], [], torch.Generator().manual_seed(1)
    state, seen = environment.reset(tasks, generator)
    for _ in range(4):
        states.append(state)
        expected.append(seen)
        state, seen, reward, done = environment.step(tasks, state, agent.act(seen), generator)
        agent.told(reward, done)
    chosen = [each.rates.item() for each in states[1:]] + [state.rates.item()]
    states.append(state)

    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    for layer, name in ((model[0], "hidden"), (model[2], "out")):
        layer.weight.data.copy_(tasks[f"{name}.weight"][0].T)
        layer.bias.data.copy_(tasks[f"{name}.bias"][0, 0])
    optimizer = torch.optim.SGD(model.parameters(), tasks["rate"].item())
    again = lively()
    schedule = LearnedSchedule(optimizer, again, 1 + 4 * updates, every=updates)

    def step(rows, of):
        optimizer.zero_grad()
        F.cross_entropy(model(of.data[0, rows]), tasks["labels"][0, rows]).backward()
        optimizer.step()
        schedule.step(of.judged.train.exp(), of.judged.validation.exp())

    begun = [each.detach().clone() for each in model.parameters()]
    step(torch.arange(8), states[0])
    for each, value in zip(model.parameters(), begun, strict=True):
        each.data.copy_(value)
    generator, everything = torch.Generator().manual_seed(1), torch.zeros(1, dtype=torch.long)
    for after in states[1:]:
        for rows in draw_rows(after.judged.rows, tasks["count"], everything, 8 * updates, generator)[0].split(8):
            step(rows, after)

    found, expected = torch.cat(again.seen), torch.cat(expected)
    last = torch.cat([each.trained.gradient_norm / states[0].first_gradient_norm for each in states[1:-1]])
    moved = torch.cat([each.trained.update_norm / norm(each.trained.phi) for each in states[1:-1]])
    if updates > 1:
        assert (expected[1:, 5] - last.log()).abs().max() > 0.01
        expected[1:, 5], expected[1:, 6] = last.log(), moved.log()
    assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert_close(torch.tensor([rate for _, rate in schedule.rates]), torch.tensor(chosen))
    assert len(set(chosen)) > 1
    assert_close(torch.tensor(again.rewards), torch.tensor(learner.rewards[:3]), atol=1e-5, rtol=1e-4)
    assert_close(model[0].weight, states[-1].trained.phi["hidden.weight"][0].T, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("factor", FACTORS)
def test_rates_are_multiplied_after_the_first_step_and_then_every_few(factor):
    loop = Loop(always(factor), 13, every=3)
    due = []
    for step in range(1, 14):
        due.append(loop.schedule.due)
        loop.follow(loop.move(step), step)
        times = (step + 2) // 3 if step < 13 else 4
        assert [group["lr"] for group in loop.optimizer.param_groups] == [0.02 * factor**times, 0.01 * factor**times]
        assert loop.schedule.get_last_lr() == [0.02 * factor**times, 0.01 * factor**times]
    assert [step for step, is_due in enumerate(due, 1) if is_due] == [1, 4, 7, 10]
    assert loop.schedule.rates == [(step, 0.02 * factor**times) for step, times in ((1, 1), (4, 2), (7, 3), (10, 4))]
    loop.schedule.step(5.0)  # a step too many
    assert len(loop.schedule.rates) == 4


def test_what_is_seen_without_validation():
    learner = always(0.5)
    loop = Loop(learner, 7, every=2)
    losses = []
    for step in range(7):
        losses.append(loop.move(step).item())
        loop.schedule.step(losses[-1])
    seen = torch.cat(learner.seen)
    assert_close(seen[:, 0], torch.tensor([0.0, 1 / 3, 2 / 3]))
    means = [losses[0], sum(losses[1:3]) / 2, sum(losses[3:5]) / 2]
    logs = torch.tensor([math.log(each) for each in means])
    assert_close(seen[:, 1], logs - logs[0])
    assert_close(seen[1:, 2], logs.diff())
    assert_close(seen[:, 4], torch.zeros(3))
    assert_close(seen[:, 7], torch.tensor([0.0, math.log(0.5), math.log(0.25)]))
    assert_close(torch.tensor(learner.rewards), -logs.diff())


def test_norms_are_those_of_the_steps_before_decisions():
    learner = always(1.0)
    loop = Loop(learner, 7, every=3)
    weights = list(loop.model.parameters())
    norms, updates = [], []

    def length(tensors):
        return torch.cat([each.detach().flatten() for each in tensors]).norm()

    for step in range(7):
        before = [each.detach().clone() for each in weights]
        loop.schedule.step(loop.move(step))
        norms.append(length([each.grad for each in weights]))
        moved = length([now - then for now, then in zip(weights, before, strict=True)])
        updates.append(moved / length(before if step == 0 else weights))
    seen = torch.cat(learner.seen)
    assert_close(seen[:, 5], torch.stack([norms[0] / norms[0], norms[3] / norms[0]]).log(), atol=1e-6, rtol=1e-5)
    assert_close(seen[:, 6], torch.stack([updates[0], updates[3]]).log(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("steps", "every"), [(121, 10), (120, 10), (122, 11), (13, 1), (2, 1), (1, 1)])
def test_there_are_as_many_decisions_as_the_policy_is_used_to(steps, every):
    assert Loop(always(1.0), steps).schedule.every == every


def saved(tmp_path, control="[rate]", learner="strategy", data="training: {control: CONTROL, horizon: 5}"):
    """A run that was not trained."""
    text = f"learner: {learner}\nmodel: {{policy: 8}}\ndata: {{trials: {{{data.replace('CONTROL', control)}}}}}\nsteps: 1\n"
    (tmp_path / "recipe.yaml").write_text(text)
    folder = RunFolder(tmp_path)
    learner = build_learner(Recipe.read(folder.recipe))
    facts = {"learner": type(learner).__name__, "step": 1, "best": None}
    checkpoint.write(folder.learner, checkpoint.learner_tensors(learner), facts)
    return tmp_path


def test_a_run_is_opened_and_says_how_many_decisions(tmp_path):
    folder = saved(tmp_path)
    assert Loop(folder, 51).schedule.every == 10
    assert Loop(str(folder), 51, every=3).run(0, 51).schedule.rates[-1][0] == 49


@pytest.mark.parametrize(
    ("control", "learner", "data", "message"),
    [
        ("[rate, data]", "strategy", None, r"has learned to decide rate and data, .*; train one with `control: \[rate\]`"),
        ("[optimizer]", "strategy", None, "has learned to decide optimizer"),
        (
            "",
            "strategy",
            "bandits: {arms: 5}",
            r"is a run of Strategy that has not learned on trainings; .*data\.trials\.training",
        ),
        ("[rate]", "ppo", None, "strategy is a PPO; give a Strategy, or the folder of a run"),
    ],
)
def test_runs_of_other_things_are_refused(tmp_path, control, learner, data, message):
    folder = saved(tmp_path, control, learner, *([data] if data else []))
    with pytest.raises(QuickstudyError, match=message):
        Loop(folder)


@pytest.mark.parametrize("kind", [Policy, RecurrentPolicy])
@pytest.mark.parametrize("half_way", [False, True])
def test_resumed_is_as_if_never_stopped(kind, half_way, tmp_path):
    """From a file, after a step or between the optimizer's step and the schedule's; with every part of it made anew."""
    whole = Loop(lively(kind), every=2).run(0, 25)
    assert len({rate for _, rate in whole.schedule.rates}) > 3
    first = Loop(lively(kind), every=2).run(0, 12)
    assert first.schedule.rates[-1][1] != first.schedule.rates[-2][1] / 4  # which is action 0, what a lost one might read as
    loss = first.move(12).item()  # the step before a decision
    if not half_way:
        first.follow(loss, 12)
    torch.save([each.state_dict() for each in (first.schedule, first.optimizer, first.model)], tmp_path / "state.pt")
    first.run(13, 14)
    other = Loop(lively(kind), every=2, rates=(0.5, 0.5))
    states = torch.load(tmp_path / "state.pt", weights_only=True)
    for part, state in zip((other.schedule, other.optimizer, other.model), states, strict=True):
        part.load_state_dict(state)
    if half_way:
        other.follow(loss, 12)
    other.run(13, 25)
    assert other.schedule.rates == whole.schedule.rates
    assert all(torch.equal(one, two) for one, two in zip(other.model.parameters(), whole.model.parameters(), strict=True))
    seen = whole.schedule._policy._learner.seen
    assert torch.equal(
        torch.cat(other.schedule._policy._learner.seen), torch.cat(seen)[-len(other.schedule._policy._learner.seen) :]
    )
    assert torch.equal(other.schedule.state_dict()["memory"], whole.schedule.state_dict()["memory"])


def test_a_state_is_taken_back_after_the_end():
    loop = Loop(lively(), 9, every=2).run(0, 3)
    state = loop.schedule.state_dict()
    rates = loop.run(3, 9).schedule.rates
    loop.schedule.load_state_dict(state)
    assert loop.schedule.rates == rates[:2]
    assert loop.run(3, 9).schedule.rates[2:][0][0] == rates[2][0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 30}, "the state is of a training with 25 steps, and this one has 30; give steps=25"),
        ({"every": 4}, "with 2 steps for each decision, and this one has 4; give every=2"),
        (
            {"learner": lively(width=4)},
            "of a policy of width 8 with a memory of 8, and this one is of width 4 with a memory of 4",
        ),
        ({"learner": lively(Policy)}, "of a policy of width 8 with a memory of 8, and this one is of width 8 without a memory"),
    ],
)
def test_states_of_something_else_are_refused(settings, message):
    state = Loop(lively(), every=2).run(0, 5).schedule.state_dict()
    other = Loop(**{"learner": lively(), "every": 2, **settings})
    with pytest.raises(QuickstudyError, match=message):
        other.schedule.load_state_dict(state)
    assert other.schedule.get_last_lr() == [0.02, 0.01]


def test_states_of_other_groups_or_schedulers_are_refused():
    state = Loop(lively(), every=2).run(0, 5).schedule.state_dict()
    schedule = LearnedSchedule(torch.optim.SGD(net().parameters(), 0.1), lively(), 25, every=2)
    with pytest.raises(QuickstudyError, match="the state has the rates of 2 groups, and the optimizer has 1"):
        schedule.load_state_dict(state)
    with pytest.raises(QuickstudyError, match="this is no state of a LearnedSchedule"):
        schedule.load_state_dict({"base_lrs": [0.1]})


@pytest.mark.parametrize("broken", [math.nan, math.inf, torch.tensor(-math.inf)])
def test_a_loss_that_is_not_finite_lowers_the_rates_once(broken):
    learner = always(2.0)
    loop = Loop(learner, every=3).run(0, 2)
    loop.move(2)
    with pytest.warns(UserWarning, match=r"the loss is -?(nan|inf) after step 3: all rates are multiplied by 0\.25") as caught:
        loop.schedule.step(broken)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert loop.schedule.get_last_lr() == [0.01, 0.005]
    assert loop.schedule.rates[-1] == (3, 0.01)
    loss = loop.move(3).item()
    loop.schedule.step(loss)  # decides on the losses of step 1, 2 and 3, but for the one that is none
    mean = (Loop(always(2.0), every=3).run(0, 1).move(1).item() + loss) / 2
    first = Loop(always(2.0), every=3).loss(0).item()
    assert_close(learner.seen[1][0, 2].item(), math.log(mean) - math.log(first), atol=1e-6, rtol=1e-5)
    loop.move(4)
    with pytest.raises(QuickstudyError, match="after step 5 of 25, and was not finite before either; resume from a checkpoint"):
        loop.schedule.step(broken)


@pytest.mark.filterwarnings("ignore:the loss is nan")
@pytest.mark.parametrize("at", [0, 3])
def test_a_decision_waits_for_a_loss_that_is_finite(at):
    loop = Loop(always(0.5), 13, every=3)
    for step in range(13):
        loss = loop.move(step)
        loop.schedule.step(math.nan if step == at else loss)
    steps = [step for step, _ in loop.schedule.rates]
    assert steps == ([1, 2, 5, 8, 11] if at == 0 else [1, 4, 5, 8, 11])
    assert loop.schedule.get_last_lr()[0] == 0.02 * 0.25 * 0.5**4


def test_a_validation_loss_that_is_not_finite_counts_as_the_largest():
    learner = always(1.0)
    loop = Loop(learner, every=1)
    for step in range(2):
        loop.schedule.step(loop.move(step), 1.0 if step == 0 else math.nan)
    assert_close(learner.rewards, [-math.log(100)])
    assert loop.schedule.get_last_lr() == [0.02, 0.01]


def test_a_step_that_was_left_out_counts_for_nothing():
    loop, other = Loop(lively(), every=2), Loop(lively(), every=2)
    with pytest.warns(UserWarning, match="the optimizer has made no step yet"):
        loop.schedule.step(7.0)
    for step in range(25):
        loss = loop.move(step)
        loop.follow(loss, step)
        loop.schedule.step(9.0)
    other.run(0, 25)
    assert loop.schedule.rates == other.schedule.rates
    assert all(torch.equal(one, two) for one, two in zip(loop.model.parameters(), other.model.parameters(), strict=True))


def test_two_that_set_the_rate_are_told_apart():
    loop = Loop(always(0.5), every=3)
    loop.run(0, 2)
    loop.optimizer.param_groups[1]["lr"] = 0.3
    with pytest.raises(QuickstudyError, match=r"the rate of group 1 is 0\.3, and LearnedSchedule had it at 0\.005; leave out"):
        loop.run(2, 3)


def hooks(optimizer):
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


def test_nothing_hangs_on_the_optimizer_after_the_end():
    loop = Loop(always(1.0), 5)
    loop.run(0, 4)
    assert hooks(loop.optimizer) == 2
    loop.run(4, 5)
    assert hooks(loop.optimizer) == 0
    gc.disable()
    try:
        one = LearnedSchedule(loop.optimizer, always(1.0), 5)
        assert hooks(loop.optimizer) == 2
        del one
        assert hooks(loop.optimizer) == 0
    finally:
        gc.enable()


def test_the_random_state_is_left_alone(tmp_path):
    folder = saved(tmp_path)
    before = torch.get_rng_state()
    Loop(folder).run(0, 25)
    assert torch.equal(torch.get_rng_state(), before)


def test_optimizers_of_other_kinds():
    """One that is given a closure, sparse gradients, a rate in a tensor, and weights that no gradient reaches."""
    learner, table, spare = always(0.5), nn.Embedding(5, 2, sparse=True), nn.Parameter(torch.full((3,), 1e6))
    before = table.weight.detach().clone()
    sparse = torch.optim.SGD([*table.parameters(), spare], torch.tensor(0.3))
    schedule = LearnedSchedule(sparse, learner, 3)
    table(torch.tensor([1, 1, 3])).square().sum().backward()
    sparse.step()
    schedule.step(1.0)
    assert_close(sparse.param_groups[0]["lr"], torch.tensor(0.15))
    assert_close(learner.seen[0][0, 6], ((table.weight - before).norm() / before.norm()).log().detach())
    table(torch.tensor([1])).sum().backward()
    sparse.step()
    schedule.step(1.0)
    assert schedule.rates[-1] == (2, pytest.approx(0.075))

    learner, model = always(0.5), net()
    closed = torch.optim.LBFGS(model.parameters(), 0.1)
    schedule, inputs = LearnedSchedule(closed, learner, 3), torch.ones(4, 3)

    def closure():
        closed.zero_grad()
        loss = model(inputs).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        schedule.step(closed.step(closure))
    assert torch.cat(learner.seen)[:, 5:7].abs().max() < 10
    assert closed.param_groups[0]["lr"] == 0.025


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0: give at least 1"),
        ({"every": 0}, "every=0: give at least 1"),
        ({"rates": (0.1, 0.0)}, r"group 1 of the optimizer has the rate 0\.0; give it one above 0"),
        ({"learner": nn.Linear(2, 2)}, "strategy is a Linear; give a Strategy, or the folder of a run"),
        ({"learner": "nowhere"}, "nowhere is not a run"),
        (
            {"learner": Strategy(Policy(Interface(8, Discrete(60))))},
            "reads 8 numbers and gives 60, and one that sets the rate alone",
        ),
        ({"learner": Strategy(Policy(Interface(3, Discrete(5))))}, r"reads 3 numbers and gives 5, .*train one with `control"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(QuickstudyError, match=message):
        Loop(**{"learner": always(1.0), **settings})


def test_an_optimizer_without_parameters_or_rate_is_refused():
    empty, ruleless = torch.optim.SGD([{"params": []}], 0.1), torch.optim.SGD(net().parameters(), 0.1)
    with pytest.raises(QuickstudyError, match="the SGD has no parameters"):
        LearnedSchedule(empty, always(1.0), 5)
    empty.param_groups.clear()
    with pytest.raises(QuickstudyError, match="the SGD has no parameters"):
        LearnedSchedule(empty, always(1.0), 5)
    ruleless.param_groups[0]["lr"] = None
    with pytest.raises(QuickstudyError, match="group 0 of the optimizer has the rate None"):
        LearnedSchedule(ruleless, always(1.0), 5)


def test_losses_are_single_numbers():
    loop = Loop(always(1.0))
    loop.move(0)
    with pytest.raises(QuickstudyError, match=r"loss has the shape \(2,\); give one number, such as the mean"):
        loop.schedule.step(torch.ones(2))
    with pytest.raises(QuickstudyError, match=r"validation has the shape \(3,\)"):
        loop.schedule.step(1.0, torch.ones(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.schedule.step(torch.ones((), requires_grad=True), torch.ones(1))
    assert len(loop.schedule.rates) == 1
