"""Character n-grams as an encoder."""

from __future__ import annotations

import pytest
import torch

from quickstudy import Batch, Default, PriorHead, QuickstudyError, load, models

TEXTS = ["天气很好", "今天下雨", "股票上涨", "基金下跌"]
LABELS = ["天气", "天气", "财经", "财经"]


def test_embeddings_have_unit_length_and_do_not_depend_on_the_others():
    model = models.load("ngrams")
    together, alone = model.embed(TEXTS), model.embed(TEXTS[:1])
    assert together.shape == (4, model.dim)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(together[:1], alone)
    assert set(model.memory(TEXTS)) == set(model.memory(TEXTS)) == set(TEXTS)
    assert model.embed([]).shape == (0, model.dim)


def test_sentences_that_share_characters_are_alike():
    first, second, other = models.load("ngrams").embed(["今天天气很好", "今天天气不好", "股票"])
    assert first @ second > 0.5 > first @ other


def test_a_classifier_on_it_opens_again(tmp_path):
    adapted = Default(models.load("ngrams")).adapt(Batch(TEXTS, LABELS))
    adapted.save_pretrained(tmp_path / "clf")
    opened = load(tmp_path / "clf")
    torch.testing.assert_close(opened.predict_proba(TEXTS), adapted.predict_proba(TEXTS))
    assert PriorHead(models.load("ngrams")).adapt(Batch(TEXTS, LABELS)).predict(TEXTS) == LABELS


def test_there_is_nothing_to_put_an_adapter_on():
    with pytest.raises(QuickstudyError, match="ngrams has no Transformer"):
        models.load("ngrams", lora=4)
