"""`Default(thorough=True)`: fine-tuning as one candidate more, and what is kept of an encoder that moved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import quickstudy
from quickstudy import Batch, QuickstudyError, models
from quickstudy.evaluation.cross_validation import cross_validate
from quickstudy.evaluation.held_out import held_out_accuracy
from quickstudy.learners import default
from quickstudy.learners.default import Default
from quickstudy.models.examples import ALARMS, Examples

TUNED = "LoRA fine-tuning"


@pytest.fixture
def far(monkeypatch) -> None:
    """Few steps that move a tiny model far."""
    monkeypatch.setattr(default, "CHOSEN", {"LoRA": {"space": "trainable", "lr": 0.05, "steps": 4}})


@pytest.fixture
def tuned(tiny_bert, sentences, far, monkeypatch):
    """A learner, its support, and what it learned where fine-tuning was the choice."""
    monkeypatch.setattr(default, "best", lambda held_out: TUNED)
    learner, support = Default(models.load(tiny_bert), names="no", thorough=True), Batch(*sentences)
    return learner, support, learner.adapt(support)


def test_fine_tuning_is_judged_like_the_others_and_only_if_asked_for(tiny_bert, sentences, far):
    model, support = models.load(tiny_bert), Batch(*sentences)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    candidates = Default(model, thorough=True).adapt(support).candidates
    assert 0 <= candidates[TUNED] <= 1
    assert candidates.keys() - Default(model).adapt(support).candidates.keys() == {TUNED}
    assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_the_margin_decides_for_it_too(tiny_bert, sentences, far, monkeypatch):
    """Whatever has everything right where the first has nothing is taken: here the first answers at random."""
    monkeypatch.setattr(default.PriorHead, "embed", lambda self, inputs: torch.ones(len(inputs), 16))
    for kind in (default.Centroid, default.Ridge, default.NearestNeighbours):
        monkeypatch.setattr(kind, "embed", lambda self, inputs: torch.ones(len(inputs), 16))
    monkeypatch.setitem(default.CHOSEN["LoRA"], "steps", 40)
    learned = Default(models.load(tiny_bert), names="no", thorough=True).adapt(Batch(*sentences))
    assert next(iter(learned.candidates)) == TUNED
    assert learned.candidates[TUNED] > learned.candidates["prior head"]


def test_a_single_example_a_label_leaves_nothing_to_choose_by(tiny_bert, sentences, far):
    texts, labels = sentences
    learned = Default(models.load(tiny_bert), names="no", thorough=True).adapt(Batch(texts[:3], labels[:3]))
    assert learned.candidates == {"prior head": None}


def test_the_adapter_opens_again_with_the_same_answers(tuned, tmp_path):
    _, support, learned = tuned
    learned.save_pretrained(tmp_path / "clf")
    adapter = json.loads((tmp_path / "clf" / "adapter" / "adapter_config.json").read_text())
    assert adapter["peft_type"] == "LORA"
    assert not (tmp_path / "clf" / "weights.safetensors").exists()  # the adapter is all that moved
    opened = quickstudy.load(tmp_path / "clf")
    asked = [*support.inputs[:4], "please help it is now"]
    assert_close(opened.predict_proba(asked), learned.predict_proba(asked))
    for before, after in zip(learned.likeness(asked), opened.likeness(asked), strict=True):
        assert after.none == before.none
        assert [text for text, _, _ in after.nearest] == [text for text, _, _ in before.nearest]
        assert_close([s for _, _, s in after.nearest], [s for _, _, s in before.nearest], rtol=0, atol=1e-5)


def test_examples_are_where_the_moved_encoder_puts_them(tuned):
    learner, support, learned = tuned
    plain = F.normalize(learner.model.embed(support.inputs), dim=1)
    assert (learned.examples.embeddings - plain).abs().max() > 0.1
    nearest = learned.likeness([support.inputs[7]])[0].nearest[0]
    assert (nearest[0], nearest[2]) == (support.inputs[7], pytest.approx(1, abs=1e-5))


def test_familiarity_is_measured_by_encoders_that_did_not_see_the_sentence(tuned):
    learner, support, learned = tuned
    found = cross_validate(learner.candidates[TUNED], support, learned.classes)
    targets, honest, flattering = learned.examples.targets, [], []
    for fold, without in enumerate(found.learned):
        asked = [row for row, its in zip(found.rows, found.fold, strict=True) if its == fold]
        rest = [row for row in range(len(support)) if row not in asked]
        for adapted, familiar in ((without, honest), (learned, flattering)):
            known, new = (F.normalize(adapted.embed([support.inputs[i] for i in rows]), dim=1) for rows in (rest, asked))
            familiar.append(Examples([support.inputs[i] for i in rest], targets[rest], known).familiarity(new))
    assert learned.examples.none_below == pytest.approx(float(np.quantile(torch.cat(honest), ALARMS)), abs=1e-5)
    assert learned.examples.none_below < float(np.quantile(torch.cat(flattering), ALARMS)) - 1e-3


def test_the_expected_accuracy_repeats_the_choice_without_each_fold(tuned, monkeypatch):
    learner, support, _ = tuned
    chosen: list[int] = []
    monkeypatch.setattr(default, "best", lambda held_out: chosen.append(len(held_out[TUNED].rows)) or TUNED)
    estimate = held_out_accuracy(learner, support)
    assert estimate.judged == len(support)
    assert chosen
    assert max(chosen) < len(support)


def test_adapters_that_the_model_has_are_those_that_move(tiny_bert, sentences, far):
    model = models.load(tiny_bert, lora=2)
    learner = Default(model, thorough=True)
    assert learner.candidates[TUNED].model is model
    assert learner.adapt(Batch(*sentences)).candidates[TUNED] is not None


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: models.load("ngrams")], ids=["a layer", "ngrams"])
def test_a_model_without_room_for_adapters_is_refused_in_words(make):
    with pytest.raises(QuickstudyError, match="leave thorough out"):
        Default(make(), thorough=True)
