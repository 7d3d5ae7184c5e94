"""Tokens whose loss changed, and continuations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from quickstudy import FineTune, ZeroStep
from quickstudy.evaluation.language.copied import copied, copied_sentence
from quickstudy.evaluation.language.holding import holding
from quickstudy.evaluation.language.method import Method
from quickstudy.evaluation.language.methods import base_of
from quickstudy.evaluation.language.samples import continuations
from quickstudy.evaluation.language.tokens import LEAST, MANY, changed_tokens, pieces_of
from quickstudy.tasks.task import token_losses


@pytest.fixture
def method(llama):
    return Method("m", FineTune(llama, 0.1), "")


def test_losses_are_cross_entropies_of_each_token(llama, text):
    query = text("cards", count=1).tasks[0].query
    found = token_losses(ZeroStep(llama).adapt(query), query)
    for block, targets, nats in zip(query.inputs, query.targets, found, strict=True):
        with torch.no_grad():
            logits = llama.module(block[None]).logits[0]
        assert_close(nats, F.cross_entropy(logits, targets, reduction="none"))


def test_the_tokens_that_changed_most_are_in_order_and_in_their_place(llama, text, method):
    tasks, base = text("cards", "money", count=4).tasks, base_of(llama)
    gained, lost = changed_tokens(method, base, tasks, 3, 1.0)
    assert 0 < len(gained) <= MANY
    assert [each.change for each in gained] == sorted(each.change for each in gained)
    assert [each.change for each in lost] == sorted((each.change for each in lost), reverse=True)
    assert all(each.change < 0 for each in gained)
    assert all(each.change > 0 for each in lost)
    for each in (*gained, *lost):
        assert each.place >= LEAST
        assert each.pieces[each.place][1] == pytest.approx(each.change, abs=1e-5)
        assert "".join(piece for piece, _ in each.pieces) in [
            llama.tokenizer.decode([*block.tolist(), int(targets[-1])])
            for block, targets in zip(tasks[each.task].query.inputs, tasks[each.task].query.targets, strict=True)
        ]
    adapted, query = method.adapted(tasks[gained[0].task], 3), tasks[gained[0].task].query
    changes = [a - b for a, b in zip(token_losses(adapted, query), token_losses(ZeroStep(base).adapt(query), query), strict=True)]
    assert min(float(each[LEAST - 1 :].min()) for each in changes) == pytest.approx(gained[0].change, abs=1e-5)


def test_characters_in_several_tokens_are_shown_once_they_are_complete():
    class Bytes:
        def decode(self, ids, **_):
            return bytes(ids).decode("utf-8", errors="replace")

    assert pieces_of(Bytes(), list("a\u00e9\u4e2db".encode())) == ["a", "", "\u00e9", "", "", "\u4e2d", "b"]


def test_a_text_goes_on_in_three_ways(llama, text, method):
    tasks, base = text("cards", "money", count=2).tasks, base_of(llama)
    found = continuations(method, base, tasks, 3, 1.0, seed=5)
    assert [each.task for each in found] == [0, 1]
    first, ids = found[0], [*tasks[0].query.inputs[0].tolist(), int(tasks[0].query.targets[0][-1])]
    assert first.prompt + first.text == llama.tokenizer.decode(ids)
    adapted = method.adapted(tasks[0], 3)
    after = holding(llama, adapted.phi).continued(first.prompt, tokens=40, seed=5)
    assert (first.before, first.after) == (base.continued(first.prompt, tokens=40, seed=5), after)
    assert found == continuations(method, base, tasks, 3, 1.0, seed=5)
    assert continuations(Method("z", ZeroStep(base), ""), base, tasks, 0, 1.0) == []


def test_copies_are_counted_and_shown(text):
    one, two = text("cards", "money").source, text("cards", "waits").source
    found = copied(one.only("cards"), two)
    assert (found["exact"], found["near"], found["documents"]) == (len(one.only("cards").documents), 0, len(two.documents))
    assert found["examples"][0][0] == found["examples"][0][1]
    assert "are exact copies of documents it learned from" in copied_sentence(found)
    none = copied(one.only("money"), two.only("waits"))
    assert (
        copied_sentence(none) == "Leak check: none of the 12 documents here is a copy, or nearly one, of those it learned from."
    )
    assert copied_sentence(None, "not done") == "Leak check: not done."
