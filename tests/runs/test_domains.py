"""Recipes over text domains: what a language model is meta-trained on."""

import json

import pytest
import torch

from quickstudy import QuickstudyError
from quickstudy.runs.build import data_part, train_episodes, validation_episodes
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

SOME = "my the card please help is it now lost stolen gone late waiting slow back return wrong"
WORDS = SOME.split()
DOMAINS = {"bank": 0, "post": 4, "shop": 8, "clinic": 2}
RECIPE = """\
learner: {learner}
model: {{name: {model}, lora: {{r: 2, layers: 1}}}}
data:
  domains: {{folder: {folder}, train: [bank, post], valid: [shop], test: [clinic], size: 4, block: 16}}
episodes: {{shots: 3, queries: 3, tasks: 2}}
validation: {{shots: 3, queries: 3, episodes: 4, every: 5}}
steps: 10
checkpoint_every: 3
"""


@pytest.fixture
def recipe(tiny_llama, tmp_path):
    """Writes a recipe for a learner, over domains that each have words of their own."""
    generator = torch.Generator().manual_seed(0)
    for domain, first in DOMAINS.items():
        for at in range(10):
            drawn = first + torch.randint(9, (40,), generator=generator)
            file = tmp_path / "text" / domain / f"{at}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(" ".join(WORDS[i] for i in drawn.tolist()))

    def write(learner="{name: joint, outer_lr: 0.02, lr: 0.02, steps: 2}", **changes):
        text = RECIPE.format(learner=learner, model=tiny_llama, folder=tmp_path / "text")
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "recipe.yaml").write_text(text)
        return tmp_path / "recipe.yaml"

    return write


LEARNERS = [
    "{name: joint, outer_lr: 0.02, lr: 0.02, steps: 2}",
    "{name: maml, inner_lr: 0.02, outer_lr: 0.02, inner_steps: 2, rule: adam}",
    "{name: maml, inner_lr: 0.02, outer_lr: 0.02, inner_steps: 1, gradient: first_order}",
    "{name: maml, inner_lr: 0.02, outer_lr: 0.02, inner_steps: 2, rates: {per: layer, steps: 2}}",
    "{name: reptile, inner_lr: 0.005, outer_lr: 0.2, inner_steps: 2, rule: adam}",
    "{name: token_weights, inner_lr: 0.1, outer_lr: 0.02, inner_steps: 1}",
    "{name: adapter_generator, outer_lr: 0.005}",
    "{name: meta_icl, outer_lr: 0.02}",
]


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_way_to_a_start_learns_from_domains(recipe, tmp_path, learner):
    found = train(Recipe.read(recipe(learner)), tmp_path / "run")
    assert found["metric"] == "nats_per_token"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    judged = [line["validation"]["nats_per_token"] for line in lines if "validation" in line]
    assert found["best"] == min(judged) < judged[0]
    _, learned = open_run(tmp_path / "run")
    task = validation_episodes(Recipe.read(tmp_path / "run" / "recipe.yaml"))[0]
    assert task.score(learned.adapt(task.support))["nats_per_token"] > 0


def test_a_run_goes_on_as_if_it_had_not_been_stopped(recipe, tmp_path):
    whole = Recipe.read(recipe())
    train(whole, tmp_path / "whole")

    def stop(step, steps, numbers):
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(whole, tmp_path / "cut", progress=stop)
    train(whole, tmp_path / "cut", resume=True)
    for name in ("learner", "checkpoint"):
        files = [sorted((tmp_path / run / name).iterdir()) for run in ("whole", "cut")]
        assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]


def test_tasks_are_of_their_own_domains(recipe):
    whole = Recipe.read(recipe())
    for part, names in (("train", ["bank", "post"]), ("valid", ["shop"]), ("test", ["clinic"])):
        assert data_part(whole, part).domains == names
    tasks = train_episodes(whole)[0]
    assert [(len(task.support), len(task.query)) for task in tasks] == [(3, 3)] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test: [clinic]": "test: [bank]"}, "data.domains has bank in test and among the domains that are learned from"),
        ({"valid: [shop]": "valid: [shp]"}, r"recipe.yaml:4:12: no domain 'shp'.*did you mean 'shop'"),
        ({"valid: [shop]": "valid: [shop, clinc]", "test: [clinic]": "test: []"}, r"no domain 'clinc'.*did you mean 'clinic'"),
        ({"valid: [shop]": "valid: []"}, "data.domains.valid names no domain"),
        ({"train: [bank, post]": "train: []"}, "data.domains.train"),
        ({"block: 16": "block: 2"}, "data.domains.block"),
        ({"/text": "/nowhere"}, "nowhere does not exist"),
    ],
)
def test_bad_domains_are_said_where_they_are(recipe, changes, message):
    with pytest.raises(QuickstudyError, match=message):
        validation_episodes(Recipe.read(recipe(**changes)))


def test_a_sentence_encoder_reads_no_blocks(recipe, tiny_bert, tiny_llama, tmp_path):
    with pytest.raises(QuickstudyError, match="the model reads sentences, and the data hold texts"):
        train(Recipe.read(recipe(**{tiny_llama: tiny_bert})), tmp_path / "run")
