"""Recipes over trials: agents that are trained, resumed and judged like everything else."""

import json
from pathlib import Path

import pytest
import torch

from quickstudy import QuickstudyError
from quickstudy.inner.training_loop import SelectionEnvironment
from quickstudy.runs.agents import agents_for
from quickstudy.runs.build import build_learner, train_episodes, trials_of, validation_episodes
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train
from quickstudy.tasks.environments import Bandits, MDPs, Points

RECIPE = """\
learner: {name: rl2, outer_lr: 0.01, minibatches: 2, epochs: 2}
model: {gru: 8}
data:
  trials: {bandits: {arms: 2}, episodes: 5}
episodes: {tasks: 64}
validation: {episodes: 256, every: 4}
steps: 8
checkpoint_every: 3
seed: 1
"""


@pytest.fixture
def recipe(tmp_path):
    def write(*changes):
        (tmp_path / "recipe.yaml").write_text(RECIPE)
        return Recipe.read(tmp_path / "recipe.yaml", changes)

    return write


def test_an_agent_is_trained_and_opened_again(recipe, tmp_path):
    found = train(recipe(), tmp_path / "run")
    assert found["metric"] == "return"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert found["best"] == max(line["validation"]["return"] for line in lines if "validation" in line)
    opened, learner = open_run(tmp_path / "run")
    judged = validation_episodes(opened)
    assert sum(judged.score(learner.adapt(judged.support))["return"]) / 256 == pytest.approx(found["best"])


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(recipe, tmp_path):
    train(recipe(), tmp_path / "whole")

    def stop(step, steps, numbers):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "stopped", progress=stop)
    train(recipe(), tmp_path / "stopped", resume=True)
    for name in ("learner", "checkpoint"):
        for file in (tmp_path / "whole" / name).iterdir():
            assert file.read_bytes() == (tmp_path / "stopped" / name / file.name).read_bytes()


def test_training_validation_and_test_are_drawn_apart(recipe):
    read = recipe()
    drawn = [*(train_episodes(read)[at] for at in range(3)), validation_episodes(read), trials_of(read, 64, seed=0)]
    arms = [tuple(row) for trials in drawn for row in trials.tasks["arms"].tolist()]
    assert len(set(arms)) == len(arms)


def test_the_recipes_that_ship_can_be_built():
    from quickstudy.runs.shipped import find_recipe

    read = Recipe.read(find_recipe(Path("bandit-10pulls-5arms")))
    assert build_learner(read).title == "RL2"
    assert len(train_episodes(read)[0]) == 1024


def test_a_run_is_opened_without_its_data(monkeypatch):
    from quickstudy.runs.shipped import find_recipe
    from quickstudy.runs.trials_part import TrainingPart

    def at_hand(self, name):
        raise AssertionError("the sentences were read")

    monkeypatch.setattr(TrainingPart, "environment", at_hand)
    read = Recipe.read(find_recipe(Path("learned-rate")))
    learner = build_learner(read)
    assert learner.title == "Strategy"
    assert (learner.model.observation, learner.model.action.count) == (8, 5)


MODELS = "data={trials: {training: {control: [model], candidates: 3, hidden: 4, steps: 2, horizon: 6}, episodes: 1}}"


def pool(name, fold, encoder, part):
    """In place of embedded sentences; ten classes of eighty rows."""
    labels = torch.arange(10).repeat(80)
    return torch.randn(800, 3, generator=torch.Generator().manual_seed(len(part))) + labels[:, None], labels


def test_models_are_chosen_between(recipe, tmp_path, monkeypatch):
    from quickstudy.runs import trials_part
    from quickstudy.schedules.policy import RatePolicy

    monkeypatch.setattr(trials_part, "_pool", pool)
    read = recipe(MODELS, "learner={name: strategy, minibatches: 2}", "model={policy: 8}", "episodes.tasks=4", "steps=1")
    its = train_episodes(read)[0].environment
    assert isinstance(its, SelectionEnvironment)
    assert (its.candidates, its.training.hidden, its.training.steps, its.horizon) == (3, 4, 2, 6)
    model = build_learner(read).model
    assert (model.observation, model.action) == (its.observation, its.action)
    train(read, tmp_path / "run")
    opened, learner = open_run(tmp_path / "run")
    trials = trials_of(opened, 4, seed=0)
    assert len(trials.score(learner.adapt(trials.support))["return"]) == 4
    with pytest.raises(QuickstudyError, match="has learned to decide model, and a schedule sets the rate alone; train one with"):
        RatePolicy(tmp_path / "run")


def test_four_models_where_nothing_else_is_said():
    from quickstudy.runs.trials_part import TrainingPart

    its = TrainingPart(control=("model",)).interface()
    assert its.action.count == SelectionEnvironment.candidates == 4
    assert "candidates" not in TrainingPart(control=("model",)).model_dump()


@pytest.mark.parametrize(
    ("change", "environment"),
    [
        ("data.trials={bandits: {arms: 3}}", Bandits(3)),
        ("data.trials={mdps: {states: 4, horizon: 3}}", MDPs(4, 5, 3)),
        ("data.trials={points: {goals: [0.1, 1], obstacles: 2}}", Points((0.1, 1.0), 2)),
    ],
)
def test_environments_are_those_of_the_recipe(recipe, change, environment):
    read = recipe(change)
    assert train_episodes(read).environment == environment
    assert build_learner(read).model.action == environment.action


def test_a_policy_without_memory_is_for_ppo(recipe, tmp_path):
    assert train(recipe("learner={name: ppo, minibatches: 2}", "model={policy: 8}"), tmp_path / "run")["finished"]


def test_a_gymnasium_environment_trains(recipe, tmp_path):
    read = recipe("data.trials={gymnasium: CartPole-v1, episodes: 1}", "episodes.tasks=4", "validation.episodes=4", "steps=1")
    assert train(read, tmp_path / "run")["best"] > 5  # a pole takes some steps to fall


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data={trials: {bandits: {arms: 1}}}", "data.trials.bandits.arms"),
        ("data={trials: {episodes: 3}}", "exactly one of bandits, mdps, points, maze, training and gymnasium"),
        ("data={trials: {gymnasium: Nothing-v0}}", "Nothing"),
        ("data={trials: {gymnasium: 'os:Nothing-v0'}}", "would import a module; name a registered environment alone"),
        (
            "data={trials: {training: {control: [rate, model]}}}",
            r"has control: \[rate, model\]; a choice of model goes with no other, so give \[model\] alone",
        ),
        (
            "data={trials: {training: {candidates: 3}}}",
            r"data.trials.training has candidates: 3, and no model is chosen; give control: \[model\], or leave it out",
        ),
        ("data={trials: {training: {control: [model], candidates: 1}}}", "data.trials.training.candidates"),
        ("data.trials.episodes=0", "data.trials.episodes"),
        ("episodes.shots=3", "episodes.shots: trials have episodes, in data.trials; leave it out"),
        ("data={source: sinusoids}", "gru is for agents, and there are no trials; give data.trials"),
        ("learner={name: maml}", "MAML does not act, and these data are trials; give an agent such as rl2"),
        ("model={policy: 8}", "RL2 learns in the memory of its policy, and a Policy has none; give model.gru"),
        ("model={mlp: [2, 2]}", "RL2 learns in the memory of its policy, and a Sequential has none; give model.gru"),
    ],
)
def test_what_does_not_fit_is_named(recipe, change, message):
    with pytest.raises(QuickstudyError, match=message):
        build_learner(recipe(change))


def test_who_is_judged_beside_an_agent():
    from quickstudy.tasks.trials import Trials

    def names(environment, **settings):
        return [agent.title for agent in agents_for(Trials.draw(environment, 2, **settings))]

    assert names(Bandits(2), episodes=5)[-1] == "OptimalBandit"
    assert "OptimalBandit" not in names(Bandits(5), episodes=100)
    assert names(MDPs()) == ["RandomAgent", "PSRLAgent", "CertaintyEquivalentAgent"]
