"""What a page says of a choice among models."""

from __future__ import annotations

import pytest
import torch

from quickstudy import evaluate
from quickstudy.evaluation.trials.gather import gather
from quickstudy.evaluation.trials.models import halving, on_best_model
from quickstudy.evaluation.trials.observed import Observed
from quickstudy.evaluation.trials.page import render
from quickstudy.evaluation.trials.record import Recording
from quickstudy.evaluation.trials.setting import setting
from quickstudy.inner.training_loop import SelectionEnvironment, TrainingEnvironment
from quickstudy.inner.training_loop.budgets import on_best, spend, successive_halving
from quickstudy.learners.agents.random_agent import RandomAgent
from quickstudy.learners.agents.strategy import Strategy
from quickstudy.models.policy import Policy
from quickstudy.tasks.trials import Trials


def drawn(count=8, episodes=1, **settings):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(60)
    inputs = 2 * torch.randn(4, 5, generator=generator)[labels] + torch.randn(240, 5, generator=generator)
    sizes = {"classes": 3, "rows": (40, 60), "validation": 30, "hidden": 4, "batch": 8, "steps": 1, "horizon": 4}
    environment = SelectionEnvironment(TrainingEnvironment(inputs, labels, **{**sizes, **settings}), 2)
    return Trials.draw(environment, count, episodes=episodes, seed=3)


def page(trials):
    learner, observed = Strategy(Policy(trials.environment, 4)), Observed()
    result = evaluate(learner, trials, baselines=[RandomAgent(trials.environment)], observe=observed)
    return render(gather(result, observed, trials, model="run", recipe="", seeds={"the run": 0})), observed


def test_the_share_of_the_best_stands_beside_that_of_successive_halving():
    trials = drawn()
    html, observed = page(trials)
    said = " ".join(html.split())
    assert "Which model it trains" in html
    assert 'id="best-title"' in html
    assert "How it trains" not in html
    curves = observed.agents[0].on_best, halving(trials)
    shares = [f"{25 * sum(curve.middle):.0f}%" for curve in curves]
    assert (
        f"Strategy gives {shares[0]} of its budget to the candidate that is best in the end, successive halving {shares[1]}."
        in said
    )
    assert "budgets among 2 small classifiers on tasks of 3 classes" in said


def test_what_is_read_off_a_record_is_what_went_on():
    trials = drawn(episodes=2)
    its = trials.environment
    recording = Recording(RandomAgent(its).adapt(trials.support))
    trials.score(recording)
    actions = recording.record.last.actions
    generator = torch.Generator().manual_seed(trials.query.inputs.seed)
    for chosen in (recording.record.actions[: its.horizon], actions):
        state, _ = its.reset(trials.tasks, generator)
        losses = []
        for action in chosen:
            state, *_ = its.step(trials.tasks, state, action, generator)
            losses.append(state.least)
    assert on_best_model(recording.record).middle == on_best(actions, torch.stack(losses)).double().mean(1).tolist()


def test_halving_has_the_minibatches_that_an_agent_has():
    trials = drawn()
    its = trials.environment
    generator = torch.Generator().manual_seed(trials.query.inputs.seed)
    found = spend(its, trials.tasks, successive_halving(2, 4), generator)
    assert halving(trials).middle == on_best(found.chosen, found.losses).double().mean(1).tolist()


def test_where_there_is_nothing_to_halve_the_page_goes_without():
    trials = drawn(horizon=1)
    assert halving(trials) is None
    assert "Which model it trains" not in page(trials)[0]


@pytest.mark.parametrize(("episodes", "length"), [(1, "4 decisions"), (2, "4 decisions in each of 2 trainings")])
def test_it_is_said_what_is_played(episodes, length):
    its = setting(drawn(episodes=episodes))
    assert its.length == length
    assert its.reward == f"decrease of log validation loss of the best model in a {its.point}"
