"""From recipes to models, learners and tasks."""

from __future__ import annotations

import pytest
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.models.networks import mlp
from quickstudy.runs.build import build_learner, build_model, data_part, train_episodes, validation_episodes
from quickstudy.runs.joint import train_joint
from quickstudy.runs.recipe import Recipe
from quickstudy.tasks.episodes import fingerprint

TEXT = """\
learner: {name: maml, outer_lr: 0.02}
model: {mlp: [1, 4, 1]}
data: {source: sinusoids}
episodes: {shots: 4, queries: 3, tasks: 2}
steps: 3
validation: {ways: 3, queries: 3, episodes: 4}
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text(TEXT)
    rows = [f"sentence {i} of {label},{label}" for label in "abcdefghijklmnopqrst" for i in range(6)]
    (tmp_path / "my.csv").write_text("\n".join(["sentence,intent", *rows]))
    return lambda *overrides: Recipe.read(tmp_path / "recipe.yaml", overrides)


def table(tmp_path):
    return f"data={{table: {tmp_path}/my.csv, text: sentence, label: intent}}"


def test_networks_come_from_the_seed(recipe):
    one, two, other = (build_model(recipe(f"seed={seed}")) for seed in (1, 1, 2))
    assert [type(layer).__name__ for layer in one] == ["Linear", "ReLU", "Linear"]
    assert torch.equal(one[0].weight, two[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)
    before = torch.get_rng_state()
    mlp([2, 3])
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_reach_the_learner(recipe):
    learner = build_learner(recipe("learner.inner_lr=5e-2", "learner.inner_steps=2"))
    assert (learner.outer_lr, learner.inner_steps, learner.rule.lr) == (0.02, 2, 0.05)


@pytest.mark.parametrize("data", [None, "data.set=helpdesk", "data={set: helpdesk, fold: 1}"])
def test_parts_share_no_class(recipe, tmp_path, data):
    change = data.replace("data.set=", "data={set: ").rstrip("}") + "}" if data else table(tmp_path)
    parts = [set(data_part(recipe(change), name).classes) for name in ("train", "valid", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == (40 if data else 20)


def test_the_runs_seed_leaves_the_classes_alone(recipe, tmp_path):
    one, two = (data_part(recipe(table(tmp_path), f"seed={seed}"), "test").classes for seed in (0, 1))
    other = data_part(recipe(table(tmp_path), "data.seed=1"), "test").classes
    assert one == two != other


def test_validation_tasks_are_fixed_and_others(recipe):
    first, again = validation_episodes(recipe()), validation_episodes(recipe("steps=9"))
    assert len(first) == 4
    assert fingerprint(first) == fingerprint(again)
    assert fingerprint(first) != fingerprint(validation_episodes(recipe("seed=1")))
    assert fingerprint(first[:2]) != fingerprint(train_episodes(recipe())[0])
    assert validation_episodes(recipe("validation=null")) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("episodes.ways=50", r"recipe.yaml:4:11: ways=50, but my.csv/train has 12 classes"),
        ("validation.shots=6", r"recipe.yaml:6:13: label .* has 6 sentences"),
        ("data.label=intend", r"no column 'intend'"),
    ],
)
def test_tasks_that_the_table_cannot_give(recipe, tmp_path, change, said):
    asked = recipe(table(tmp_path), change)
    with pytest.raises(QuickstudyError, match=said):
        _ = train_episodes(asked), validation_episodes(asked)


def test_joint_training_moves_the_same_model(recipe):
    learner, start = train_joint(recipe()), build_model(recipe())
    assert type(learner).__name__ == "JointTraining"
    assert learner.outer_lr == 0.02
    assert not torch.equal(learner.model[0].weight, start[0].weight)
