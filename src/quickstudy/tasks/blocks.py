"""Blocks: the tokens of a document in pieces, and as what a language model is to predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from quickstudy.tasks.batch import Batch

LEAST = 8
"""Predicted tokens of a block; a shorter rest of a document is not worth a forward pass."""


def cut(tokens: np.ndarray, block: int) -> list[np.ndarray]:
    """Consecutive blocks that predict at most `block` tokens each, so of one more, which the next begins with.

    Every token but the first is predicted once; a rest of fewer than 8 is dropped, unless there is no other block.
    """
    blocks = [tokens[at : at + block + 1] for at in range(0, len(tokens) - 1, block)]
    return blocks[:-1] if len(blocks) > 1 and len(blocks[-1]) <= LEAST else blocks


def halves(tokens: np.ndarray, block: int) -> list[list[np.ndarray]]:
    """Blocks of the first half and of the rest, which share no token at all; none where there are not enough for both."""
    middle = (len(tokens) - 2 + block) // block // 2 * block + 1
    both = [cut(tokens[:middle], block), cut(tokens[middle:], block)]
    return both if all(blocks and len(blocks[0]) > LEAST for blocks in both) else []


def as_batch(blocks: Sequence[np.ndarray]) -> Batch:
    """Blocks without their last token, and the same moved on by one to be predicted, `(tokens,)` each."""
    whole = [torch.from_numpy(block.astype(np.int64)) for block in blocks]
    return Batch([tokens[:-1] for tokens in whole], [tokens[1:] for tokens in whole])
