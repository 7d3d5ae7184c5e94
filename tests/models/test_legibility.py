"""What an encoder does not read of sentences is said, and nothing of those that it reads."""

from __future__ import annotations

import pytest
from test_sentence_encoder import Letters, Table

from quickstudy.models.legibility import unread
from quickstudy.models.sentence_encoder import SentenceEncoder


class Words(Letters):
    """A tokenizer with a start and an end, that knows words of ASCII letters alone."""

    unk_token_id, cls_token_id, sep_token_id, pad_token_id = 1, 2, 3, 0

    def __call__(self, text, *, truncation, max_length=None, verbose=True):
        ids = [4 + len(word) % 20 if word.isascii() else 1 for word in text.split()]
        return {"input_ids": [2, *(ids[: max_length - 2] if truncation else ids), 3]}


class Bytes(Words):
    """One whose unknown token is only its end."""

    unk_token_id = 3


def encoder(tokenizer=None, **settings) -> SentenceEncoder:
    return SentenceEncoder(Table(), tokenizer or Words(), **{"max_length": 8, **settings})


GOOD = ["my card is lost", "where is it", "six words are just short enough"]


def test_what_can_be_read_is_not_mentioned():
    assert unread(encoder(), GOOD) == []
    assert unread(encoder(), []) == []


def test_what_is_cut_is_counted():
    (said,) = unread(encoder(), [*GOOD, "seven words are one more than fit"])
    assert said.startswith("1 sentence is longer than the 8 tokens that the encoder reads, so 1 tokens at the end were cut")
    (said,) = unread(encoder(), [*GOOD, "one two three four five six " * 2, "one two three four five six " * 3])
    assert said.startswith("2 sentences are longer than the 8 tokens")
    assert "so 18 tokens" in said


def test_a_prompt_takes_room():
    assert len(unread(encoder(prompt="find this: "), GOOD)) == 1


@pytest.mark.parametrize(("strange", "said"), [(0, False), (1, False), (2, True), (10, True)])
def test_many_sentences_of_unknown_words_are_said(strange, said):
    sentences = [f"my card is number {i}" for i in range(10 - strange)] + [f"ልጄ ካርድ ጠፋ {i}" for i in range(strange)]
    found = unread(encoder(), sentences)
    assert bool(found) == said
    if said:
        assert f"{strange} of 10 sentences" in found[0]
        assert "'ልጄ ካርድ ጠፋ 0" in found[0] or strange == 10


def test_a_name_or_an_emoji_among_known_words_is_no_matter():
    assert unread(encoder(), ["my card is lost 🙂", "i live in łódź now"]) == []


def test_a_vocabulary_of_bytes_knows_every_word():
    assert unread(encoder(Bytes()), ["ልጄ", "ካርድ", "ጠፋ"]) == []
