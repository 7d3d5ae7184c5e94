"""What an encoder does not read of sentences: the ends that it cuts, and words that its vocabulary does not know."""

from __future__ import annotations

from collections.abc import Sequence

from quickstudy.models.sentence_encoder import SentenceEncoder

UNKNOWN = 0.3
"""The share of a sentence's tokens that may be unknown; names and emoji are, even in a language that the encoder reads."""
MANY = 0.1
"""The share of the sentences that may have more, before it is said."""


def unread(encoder: SentenceEncoder, sentences: Sequence[str]) -> list[str]:
    """What is wrong, a plain sentence each; none where all can be read."""
    distinct = list(dict.fromkeys(sentences))
    return [said for said in (_cut(encoder, distinct), _unknown(encoder, distinct)) if said]


def _cut(encoder: SentenceEncoder, sentences: Sequence[str]) -> str | None:
    lost = []
    for sentence in sentences:
        read = len(encoder.tokenize(sentence))
        if read >= encoder.max_length:  # only these can have been cut, so only these are tokenized again
            whole = encoder.tokenizer(encoder.prompt + sentence, truncation=False, verbose=False)["input_ids"]
            lost.append(len(whole) - read)
    lost = [tokens for tokens in lost if tokens > 0]
    if not lost:
        return None
    what = "1 sentence is" if len(lost) == 1 else f"{len(lost):,} sentences are"
    return (
        f"{what} longer than the {encoder.max_length} tokens that the encoder reads, so {sum(lost):,} tokens at the end were "
        "cut; put what matters first, or give shorter ones"
    )


def _unknown(encoder: SentenceEncoder, sentences: Sequence[str]) -> str | None:
    special = {name: getattr(encoder.tokenizer, f"{name}_token_id", None) for name in ("unk", "bos", "eos", "cls", "sep", "pad")}
    unknown, others = special.pop("unk"), set(special.values())
    if unknown is None:  # a vocabulary of bytes knows every word
        return None
    strange = []
    for sentence in sentences:
        tokens = [token for token in encoder.tokenize(sentence) if token not in others]
        if tokens and tokens.count(unknown) > UNKNOWN * len(tokens):
            strange.append(sentence)
    if len(strange) <= MANY * len(sentences):
        return None
    return (
        f"{len(strange):,} of {len(sentences):,} sentences are in words that the encoder's vocabulary does not know (such as "
        f"{strange[0][:60]!r}), so it tells them apart badly; name an encoder that was trained on this language or script"
    )
