"""One's own text, divided into what is learned and what is held out."""

import pytest
import torch

from quickstudy import QuickstudyError
from quickstudy.models.loading import tokenizer
from quickstudy.tasks.documents import Document
from quickstudy.tasks.own_text import MOST, divided

SOME = "my the card please help is it now lost stolen gone late waiting slow back return wrong"
WORDS = SOME.split()


def documents(count: int, length: int = 30) -> list[Document]:
    generator = torch.Generator().manual_seed(count)
    drawn = torch.randint(len(WORDS), (count, length), generator=generator).tolist()
    return [Document(" ".join(WORDS[i] for i in row), f"{at}.txt", "notes") for at, row in enumerate(drawn)]


@pytest.fixture(scope="module")
def reader(tiny_llama):
    return tokenizer(tiny_llama)


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (3, 1), (10, 2), (20, 4)])
def test_a_fifth_of_the_documents_is_held_out_and_nothing_is_in_both(reader, count, held):
    text = divided(documents(count), reader, block=16)
    assert (text.documents, len(text.held_out)) == (count - held, held)
    held_out = [block for document in text.held_out for block in document.inputs]
    both = [{tuple(block.tolist()) for block in side} for side in (text.support.inputs, held_out)]
    assert not both[0] & both[1]
    assert text.tokens == sum(map(len, text.support.targets)) > 0
    for inputs, targets in zip(text.support.inputs, text.support.targets, strict=True):
        assert torch.equal(inputs[1:], targets[:-1])
        assert len(inputs) <= 16


def test_held_out_text_is_bounded_since_it_is_judged_at_each_step(reader):
    text = divided(documents(100), reader, block=16)
    assert sum(len(document) for document in text.held_out) == MOST
    assert text.documents == 80


def test_copies_are_left_out_before_anything_is_held_out(reader):
    some = documents(10)
    text = divided(some + [Document(d.text.upper(), "copy", "notes") for d in some], reader, block=16)
    assert (text.copies, text.documents) == (10, 8)


def test_the_seed_decides(reader):
    first, same, other = (divided(documents(10), reader, block=16, seed=seed).support.inputs[0] for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_too_little_text_is_refused(reader):
    with pytest.raises(QuickstudyError, match="no document of more than 8 tokens"):
        divided([Document("my card is lost", "a.txt", "notes")], reader, block=16)
