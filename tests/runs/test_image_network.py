"""Networks over images in a recipe: what they become, what trains, and what does not go together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as distributed
from torch.testing import assert_close

import quickstudy
from quickstudy import QuickstudyError
from quickstudy.models.image_encoder import ImageEncoder
from quickstudy.runs.build import build_learner, build_model, train_episodes, validation_episodes
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

PROTO = """\
learner: {name: prototypical, outer_lr: 0.01}
model: {conv4: {filters: 4, down: pool, batch_norm: running}}
data: {set: omniglot}
episodes: {ways: 3, shots: 1, queries: 1}
steps: 4
validation: {ways: 3, queries: 1, episodes: 2, every: 2}
checkpoint_every: 2
dropout: true
"""
MAML = "learner: {name: maml, inner_lr: 0.1, inner_steps: 1}\nmodel: {conv4: {filters: 4, ways: 3}}\n" + PROTO.split("\n", 2)[2]


@pytest.fixture(autouse=True)
def few_characters(tmp_path_factory, monkeypatch):
    """A data folder with an Omniglot of twelve characters, three images each."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "omniglot").mkdir()
    names = [f"A/character{i:02}" for i in range(12)]
    images = np.random.default_rng(0).integers(0, 16, (36, 28, 28), dtype=np.uint8)
    arrays = {"images": images, "labels": np.arange(12).repeat(3).astype(np.int16), "class_names": np.array(names)}
    np.savez(folder / "omniglot" / "omniglot28.npz", **arrays)
    split = {"train": names[:6], "val": names[6:9], "test": names[9:]}
    (folder / "omniglot" / "vinyals_split.json").write_text(json.dumps(split))
    monkeypatch.setenv("QUICKSTUDY_DATA", str(folder))


@pytest.fixture
def read(tmp_path):
    def reading(text: str, *overrides: str) -> Recipe:
        (tmp_path / "recipe.yaml").write_text(text)
        return Recipe.read(tmp_path / "recipe.yaml", overrides)

    return reading


@pytest.mark.parametrize(
    ("model", "dim"),
    [
        ("conv4", 64),
        ("{conv4: {filters: 4}}", 4),
        ("{resnet12: {width: 512, channels: 1, size: 16}}", 512),
        ("{vit: {patch: 4, width: 8, depth: 1, heads: 2, size: 8}}", 8),
    ],
)
def test_a_network_without_a_head_is_an_encoder_over_references(read, model, dim):
    net = build_model(read(PROTO, f"model={model}"))
    assert isinstance(net, ImageEncoder)
    references = validation_episodes(read(PROTO))[0].support.inputs
    assert net(references).shape == (3, dim)


def test_a_network_with_a_head_takes_the_pixels_that_its_tasks_hold(read):
    recipe = read(MAML)
    net, task = build_model(recipe), train_episodes(recipe)[0][0]
    assert type(net) is torch.nn.Sequential
    assert task.support.inputs.shape == (3, 1, 28, 28)
    assert net(task.support.inputs).shape == (3, 3)
    assert build_learner(recipe)([task]).requires_grad


def test_running_averages_are_part_of_a_run(read, tmp_path):
    recipe = read(PROTO, "validation=null")
    train(recipe, tmp_path / "run")
    learner = open_run(tmp_path / "run")[1]
    norm = learner.model.module.block1.norm
    assert norm.num_batches_tracked == 4
    assert norm.running_mean.abs().sum() > 0
    task = validation_episodes(read(PROTO))[0]
    adapted = learner.adapt(task.support)
    adapted.save_pretrained(tmp_path / "saved")
    assert_close(quickstudy.load(tmp_path / "saved").logits(task.query.inputs), adapted.logits(task.query.inputs))


def test_a_resumed_run_has_the_same_averages(read, tmp_path):
    class Killed(BaseException):
        pass

    def killing(step: int, *_: object) -> None:
        if step == 3:
            raise Killed

    train(read(PROTO), tmp_path / "whole")
    with pytest.raises(Killed):
        train(read(PROTO), tmp_path / "killed", progress=killing)
    train(read(PROTO), tmp_path / "killed", resume=True)
    for file in ("checkpoint/state.safetensors", "learner/learner.safetensors", "metrics.jsonl"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "recipes" / "images").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_recipes_that_are_shipped_and_the_variants_they_name(path):
    variants = re.findall(r"--set (\S+)", path.read_text())
    plain, changed = Recipe.read(path), Recipe.read(path, variants)
    assert build_learner(plain).outer_lr == plain.learner_settings(plain.learner_class())["outer_lr"]
    if variants:
        assert changed != plain
        build_learner(changed)


@pytest.mark.parametrize(
    ("text", "change", "said"),
    [
        (PROTO, "model.conv4.filtres=4", "unknown key 'filtres'; did you mean 'filters'?"),
        (PROTO, "model.conv4.zzz=4", "model.conv4 has filters, down, channels, size, ways, batch_norm"),
        (PROTO, "model.conv4.down=average", "model.conv4.down should be 'pool' or 'stride', not 'average'"),
        (PROTO, "model.conv4.batch_norm=support", "model.conv4.batch_norm should be 'transductive' or 'running', not 'support'"),
        (PROTO, "model.conv4.channels=2", "model.conv4.channels should be 1 or 3, not 2"),
        (PROTO, "model.mlp=[2, 3]", "model needs exactly one of name, mlp, gru, fast_weights, policy, conv4, resnet12 and vit"),
        (PROTO, "model.conv4=7", "model.conv4 should be a group of keys, not 7"),
        (PROTO, "model={vit: {patch: 5}}", "patch=5 does not divide size=28"),
        (PROTO, "model.conv4.size=8", "size=8: four times halved by pooling nothing is left"),
        (PROTO, "model.conv4.ways=3", "ways is a head for learners that move it, and Prototypical compares embeddings"),
        (PROTO, "dropout=false", "running averages move in training mode alone; give dropout: true"),
        (MAML, "model.conv4.batch_norm=running", "running averages never move in MAML, which calls its network with other"),
        (
            MAML,
            "episodes.ways=[3, 4]",
            "4 classes in a task, and model.conv4.ways is 3, so the head has no output for the others",
        ),
        (MAML, "validation.ways=all", "validation.ways: 12 classes in a task, and model.conv4.ways is 3"),
        (PROTO, "data.set=helpdesk", "the model reads images, and the data hold sentences; give another model"),
        (PROTO, "data={source: sinusoids}", "the model reads images, and the data hold numbers"),
        (PROTO, "model=ngrams", "the model reads sentences, and the data hold images"),
        (PROTO, "model={mlp: [2, 3]}", "the model reads numbers, and the data hold images"),
    ],
)
def test_what_does_not_go_together_and_where(read, text, change, said):
    def build() -> None:
        recipe = read(text, change)
        _ = build_learner(recipe), train_episodes(recipe), validation_episodes(recipe)

    with pytest.raises(QuickstudyError) as error:
        build()
    assert said in str(error.value)
    assert "recipe.yaml:" in str(error.value) or f"--set {change}: " in str(error.value)


def test_running_averages_of_several_processes_are_refused(read, monkeypatch):
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    with pytest.raises(QuickstudyError, match=r"recipe.yaml:2:53: .*running averages would differ between processes"):
        build_learner(read(PROTO))
    build_learner(read(PROTO, "model.conv4.batch_norm=transductive"))
