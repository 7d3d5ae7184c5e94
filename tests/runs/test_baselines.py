"""Which baselines a learner is judged beside, and what tells them apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from quickstudy import Batch, Centroid, Episodes, FineTune, JointTraining, LogisticProbe, Table, evaluate, models
from quickstudy.learners.baselines.fine_tune import CHOSEN
from quickstudy.runs.baselines import baselines_for

STANDARD = ["Centroid", "LogisticProbe", "Ridge", "NearestNeighbours", "ZeroStep"]
TUNED = ["FineTune (all)", "FineTune (LoRA)", "FineTune (head)"]
RECIPE = """\
learner: {{name: prototypical}}
model: {{name: {model}{lora}}}
data: {{table: {table}}}
episodes: {{ways: 2, shots: 1, queries: 1, tasks: 1}}
steps: 1
validation: null
"""
NETWORK = """\
learner: {name: maml}
model: {mlp: [1, 4, 1]}
data: {source: sinusoids}
episodes: {shots: 4, queries: 3, tasks: 2}
steps: 1
validation: null
"""


def titles(some) -> list[str]:
    return [learner.title for learner in some]


def found(learner, run, name, which, **more) -> tuple[list[str], list[str]]:
    standard, slow = baselines_for(learner, str(run), name, which, **more)
    return titles(standard), titles(slow)


@pytest.fixture
def table(tmp_path, sentences):
    rows = [(f"{text} {label}", f"{label} {part}") for text, label in zip(*sentences, strict=True) for part in ("one", "two")]
    (tmp_path / "my.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return tmp_path / "my.csv"


def test_none_standard_and_full_of_a_plain_encoder(tiny_bert):
    learner = LogisticProbe(models.load(tiny_bert))
    others = [title for title in STANDARD if title != "LogisticProbe"]
    assert found(learner, "nowhere", tiny_bert, "none") == ([], [])
    assert found(learner, "nowhere", tiny_bert, "standard") == (others, [])
    assert found(learner, "nowhere", tiny_bert, "full") == (others, TUNED)


@pytest.mark.parametrize(
    ("labels", "there"), [(["lost", "late"], True), (["1", "2"], False), (["1", "2", "c3", "refund"], False)]
)
def test_names_alone_are_left_out_where_most_are_no_words(tiny_bert, labels, there):
    names, _ = found(Centroid(models.load(tiny_bert)), "nowhere", tiny_bert, "standard", labels=labels)
    assert ("ZeroStep" in names) is there


def test_a_model_without_parameters_cannot_be_fine_tuned():
    assert found(Centroid(models.load("ngrams")), "nowhere", "ngrams", "full")[1] == []


def test_a_run_with_adapters_is_judged_beside_joint_training_too(tiny_bert, table, tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(model=tiny_bert, lora=", lora: 2", table=table))
    standard, slow = baselines_for(Centroid(models.load(tiny_bert)), str(tmp_path), tiny_bert, "full")
    assert titles(standard) == STANDARD[1:]
    assert titles(slow) == [*TUNED, "JointTraining"]
    assert slow[1].model.spec["lora"]["r"] == 2  # adapters of the run's size
    assert slow[0].model is slow[2].model is standard[0].model


def test_a_run_without_adapters_has_nothing_to_train_jointly(tiny_bert, table, tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(model=tiny_bert, lora="", table=table))
    assert found(Centroid(models.load(tiny_bert)), tmp_path, tiny_bert, "full") == (STANDARD[1:], TUNED)


def test_a_network_of_ones_own_is_fine_tuned_as_it_is(tmp_path):
    (tmp_path / "recipe.yaml").write_text(NETWORK)
    assert found(nn.Identity(), tmp_path, None, "full") == (["ZeroStep"], ["FineTune", "JointTraining"])


def test_the_table_tells_the_ways_of_fine_tuning_apart(tiny_bert, sentences):
    learner = Centroid(models.load(tiny_bert))
    tasks = Episodes(Table(*sentences), ways=3, shots=2, queries=2, tasks=2)
    standard, slow = baselines_for(learner, "nowhere", tiny_bert, "full")
    result = evaluate(learner, tasks, baselines=standard, slow_baselines=slow)
    assert [row["learner"] for row in result["results"]] == ["Centroid", *STANDARD[1:], *TUNED]
    assert [row["against"] for row in result["comparisons"]] == [*STANDARD[1:], *TUNED]


def test_each_way_moves_what_it_says_and_the_model_stays_as_it_is(tiny_bert, sentences):
    plain, support = models.load(tiny_bert), Batch(*sentences)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    everything = FineTune(plain, **CHOSEN["all"]).adapt(support)
    head = FineTune(plain, **CHOSEN["head"]).adapt(support)
    lora = FineTune(models.load(tiny_bert, lora=2), **CHOSEN["LoRA"]).adapt(support)
    assert set(everything.phi) == {name for name, _ in plain.named_parameters()}
    assert head.phi == {}
    assert lora.phi
    assert all(".lora_" in name for name in lora.phi)
    moved = [name for name, value in everything.phi.items() if not torch.equal(value, before[name])]
    assert len(moved) > len(everything.phi) / 2
    assert_close(dict(plain.state_dict()), before, rtol=0, atol=0)
    assert not any(p.requires_grad for p in plain.parameters())


def test_the_head_alone_learns_from_embeddings_that_are_looked_up(tiny_bert, sentences, monkeypatch):
    plain, support = models.load(tiny_bert), Batch(*sentences)
    alone = FineTune(plain, **CHOSEN["head"])
    expected = alone.adapt(support).logits(support.inputs)
    with plain.remember(plain.memory(support.inputs)):
        monkeypatch.setattr(type(plain), "forward", lambda *_: pytest.fail("the sentences were encoded again"))
        assert_close(alone.adapt(support).logits(support.inputs), expected, rtol=1e-4, atol=1e-5)
    assert alone.frozen_features
    assert not FineTune(plain, **CHOSEN["all"]).frozen_features


def test_a_joint_model_is_not_named_after_what_moves(tiny_bert):
    assert JointTraining(models.load(tiny_bert, lora=2)).title == "JointTraining"
    assert FineTune(models.load(tiny_bert, lora=2), space=lambda name, _: "query" in name).title == "FineTune"
