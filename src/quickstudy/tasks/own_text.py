"""One's own text, divided into what a language model learns from and what it is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.blocks import LEAST, as_batch, cut
from quickstudy.tasks.documents import Document, Domain

HELD_OUT = 0.2
"""The share of the documents that is held out."""
MOST = 8
"""Blocks that are held out at most, since they are judged after each step."""


@dataclass(frozen=True)
class OwnText:
    """Text in blocks of tokens.

    Args:
        support: blocks to learn from.
        held_out: for each held-out document its blocks; empty where a single document leaves none to hold out.
        documents: how many documents are learned from.
        copies: documents left out, each a copy of another.
    """

    support: Batch
    held_out: list[Batch]
    documents: int
    copies: int

    @property
    def tokens(self) -> int:
        """Tokens to learn from."""
        return sum(map(len, self.support.targets))


def divided(documents: list[Document], tokenizer: Any, *, block: int, seed: int = 0) -> OwnText:
    """Holds out a fifth of the documents, drawn by the seed; copies, exact or nearly so, are left out before.

    Raises:
        QuickstudyError: no text of more than 8 tokens.
    """
    domain = Domain(documents, tokenizer)
    texts = _tokenized(domain)
    order = [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))]
    count = round(HELD_OUT * len(order)) or min(1, len(order) - 1)
    held, left = [], MOST
    for tokens in order[:count]:
        blocks = cut(tokens, block)[:left]
        left -= len(blocks)
        if blocks:
            held.append(as_batch(blocks))
    learned = order[count:]
    support = as_batch([piece for tokens in learned for piece in cut(tokens, block)])
    return OwnText(support, held, len(learned), len(domain.copies))


def whole(documents: list[Document], tokenizer: Any, *, block: int) -> Batch:
    """All of some text in blocks.

    Raises:
        QuickstudyError: no text of more than 8 tokens.
    """
    return as_batch([piece for tokens in _tokenized(Domain(documents, tokenizer)) for piece in cut(tokens, block)])


def _tokenized(domain: Domain) -> list[np.ndarray]:
    texts = [tokens for _, tokens in domain.tokenized if len(tokens) > LEAST]
    if not texts:
        raise QuickstudyError(f"the text holds no document of more than {LEAST} tokens; add text")
    return texts
