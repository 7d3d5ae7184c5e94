"""The page of a run that learned to act: whole, harmless, and with the numbers that `evaluate` prints."""

from __future__ import annotations

import re

import pytest
import torch

from quickstudy import evaluate
from quickstudy.evaluation.report.page import MARK
from quickstudy.evaluation.table import render as printed
from quickstudy.evaluation.trials.facts import alike, signed
from quickstudy.evaluation.trials.gather import gather
from quickstudy.evaluation.trials.observed import Observed
from quickstudy.evaluation.trials.page import render, write
from quickstudy.evaluation.trials.setting import setting
from quickstudy.inner.training_loop import TrainingEnvironment
from quickstudy.learners.agents.rl2 import RL2
from quickstudy.learners.agents.strategy import Strategy
from quickstudy.models.policy import Policy, RecurrentPolicy
from quickstudy.runs.agents import agents_for
from quickstudy.tasks.environments import Bandits, Gymnasium, MDPs
from quickstudy.tasks.trials import Trials

RECIPE = "learner: {name: rl2}\nmodel:\n  gru: 4  # <b>\n"


def trainings(**settings):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(60)
    inputs = 2 * torch.randn(4, 5, generator=generator)[labels] + torch.randn(240, 5, generator=generator)
    sizes = {"classes": 3, "rows": (40, 60), "validation": 30, "hidden": 8, "batch": 8, "steps": 2, "horizon": 3}
    return TrainingEnvironment(inputs, labels, **{**sizes, **settings})


def judged(environment, *, count=64, alone=False, **settings):
    """What a page is made of, for a policy that is not trained."""
    trials = Trials.draw(environment, count, **settings)
    is_training = isinstance(environment, TrainingEnvironment)
    learner = Strategy(Policy(environment, 4)) if is_training else RL2(RecurrentPolicy(environment, 4))
    observed = Observed()
    result = evaluate(learner, trials, baselines=[] if alone else agents_for(trials), observe=observed)
    tuned_on = Trials.draw(environment, 8, seed=9) if is_training else None
    seeds = {"the trials (--seed)": 0, "the run": 7}
    return gather(result, observed, trials, model="<my> run", recipe=RECIPE, seeds=seeds, tuned_on=tuned_on), result


@pytest.fixture(scope="module")
def bandits():
    return judged(Bandits(3), episodes=5)


def sections(page):
    return [section["id"] for section in page.named("section")]


def figures(page):
    return [e["aria-labelledby"].split()[0] for e in page.named("svg") if "plot" in (e.get("class") or "")]


def test_the_page_needs_nothing_from_outside_and_runs_nothing(bandits, read):
    html = render(bandits[0])
    page = read(html)
    assert html.startswith("<!DOCTYPE html>")
    assert MARK in html
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "a"})
    assert not re.search(r"https?:|url\(|@import|src=", html)
    policy = next(e["content"] for e in page.named("meta") if "http-equiv" in e)
    assert policy.startswith("default-src 'none'")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_bandits_have_every_section(bandits, read):
    page = read(render(bandits[0]))
    assert sections(page) == ["agents", "trial", "arms", "protocol"]
    assert figures(page) == ["rewards-title", "regret-title", "best-title", "tried-title"]
    assert "<my> run in bandits of 3 arms: 64 trials of 5 pulls" in page.text
    assert "OptimalBandit, which no agent can beat on average" in page.text


def test_returns_are_those_that_are_printed(bandits, read):
    found, result = bandits
    page, said = read(render(found)), printed(result).replace("-", "\u2212")
    shown = re.findall(r"\S+ \(\S+ to \S+\)", said)
    assert len(shown) >= 2 * len(result["results"]) - 1
    assert all(number in page.text for number in shown)
    assert found["verdict"] == said.splitlines()[0]
    assert result["episodes"]["hash"] in page.text
    assert "Seed of the run 7" in page.text
    assert "learner: {name: rl2} model: gru: 4 # <b>" in page.text


def test_mdps_are_shown_by_episode(read):
    page = read(render(judged(MDPs(3, 2, 4), episodes=6)[0]))
    assert sections(page) == ["agents", "trial", "protocol"]
    assert figures(page) == ["rewards-title"]
    assert "MDPs of 3 states and 2 actions: 64 trials of 6 episodes of 4 steps" in page.text
    assert "Does it learn within a trial" in page.text
    assert "CertaintyEquivalentAgent" in page.text


@pytest.mark.parametrize("episodes", [1, 2])
def test_trainings_stand_beside_a_tuned_cosine(read, episodes):
    page = read(render(judged(trainings(), count=16, episodes=episodes)[0]))
    assert sections(page) == ["agents", "trial", "trainings", "protocol"]
    assert figures(page) == ["rewards-title", "losses-title", "rates-title"]
    for said in ("is the best of 14 on 8 trainings", "cosine", "RandomAgent", "Its loss beside a tuned cosine's"):
        assert said in page.text
    assert ("The last training of each trial" in page.text) == (episodes == 2)


def test_rates_are_shown_where_they_are_chosen(read):
    page = read(render(judged(trainings(control=("data",)), count=16)[0]))
    assert figures(page) == ["rewards-title", "losses-title"]


def test_an_agent_alone_in_trials_that_have_little_to_show(read):
    page = read(render(judged(Bandits(3), count=1, alone=True)[0]))
    assert "RL2 was judged alone." in page.text
    assert "A trial is a single pull, so there is no curve over it." in page.text
    assert figures(page) == []
    assert "nan" not in page.text


def test_few_trials_are_no_evidence(read):
    found, _ = judged(Bandits(3), count=8, episodes=5)
    assert [fact.answer for fact in found["facts"][1:]] == ["Not certain", "Not certain"]
    assert "8 trials are few" in read(render(found)).text
    assert found["rewards"].said.endswith("the difference may be chance.")


def test_episodes_for_learning_alone_are_named(read):
    assert (
        "at each pull of a trial after 2 for learning alone" in read(render(judged(Bandits(3), episodes=4, explored=2)[0])).text
    )


def test_a_page_is_written_where_one_may_be(bandits, tmp_path):
    for _ in range(2):  # a report may be replaced
        write(tmp_path / "r.html", bandits[0])
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == render(bandits[0])


def test_settings_in_words():
    def said(environment, **settings):
        its = setting(Trials.draw(environment, 2, **settings))
        return its.environment, its.length, its.point

    assert said(Bandits(3), episodes=1) == ("bandits of 3 arms", "1 pull", "pull")
    assert said(MDPs(4, 2, 5)) == ("MDPs of 4 states and 2 actions", "1 episode of 5 steps", "step")
    assert said(trainings())[1:] == ("3 decisions", "decision")
    assert said(trainings(), episodes=2)[1:] == ("3 decisions in each of 2 trainings", "training")
    pytest.importorskip("gymnasium")
    assert said(Gymnasium("CartPole-v1"), episodes=3) == ("CartPole-v1", "3 episodes of at most 500 steps", "episode")


def test_numbers_have_the_digits_that_they_are_worth():
    assert signed(0.06725, [0.02775, 0.1065]) == "+0.067 (+0.028 to +0.106)"
    assert signed(-29.43, [-32.23, -26.58]) == "\u221229.4 (\u221232.2 to \u221226.6)"
    assert signed(0.5, None) == "+0.5"
    assert signed(0.0, [0.0, 0.0]) == "+0"
    assert alike(0.8624, -0.00428) == ["0.862", "\u22120.004"]
    assert alike(149.6, 99.0) == ["150", "99"]
    assert alike(0.0, 0.0) == ["0", "0"]
