"""What a classifier learned from, kept beside it: the nearest examples, and whether a sentence is like any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from quickstudy.models.heads import prototypes

ALARMS = 0.05
"""The share of a person's own sentences, held out, that may be called none of the labels."""


@dataclass(frozen=True)
class Likeness:
    """What a sentence is like.

    Args:
        none: whether it fits none of the labels.
        nearest: the most similar examples, as (sentence, number of its class, cosine).
    """

    none: bool
    nearest: Sequence[tuple[str, int, float]]


@dataclass(frozen=True)
class Examples:
    """The sentences of a support, with their embeddings.

    Args:
        texts: the sentences.
        targets: class numbers `(sentences,)`.
        embeddings: `(sentences, dim)`, of unit length.
        none_below: a sentence whose familiarity is lower fits none of the labels; minus infinity where that could not
            be found out.
    """

    texts: Sequence[str]
    targets: torch.Tensor
    embeddings: torch.Tensor
    none_below: float = -float("inf")

    def familiarity(self, embeddings: torch.Tensor) -> torch.Tensor:
        """The cosine to the nearest class mean, `(sentences,)`: how much they are like anything that was learned."""
        centres = F.normalize(prototypes(self.embeddings, self.targets), dim=1)
        return (F.normalize(embeddings, dim=1) @ centres.T).amax(dim=1)

    def like(self, embeddings: torch.Tensor, count: int = 3) -> list[Likeness]:
        """What each sentence is like, by its embedding `(sentences, dim)`."""
        best = (F.normalize(embeddings, dim=1) @ self.embeddings.T).topk(min(count, len(self.texts)), dim=1)
        none = (self.familiarity(embeddings) < self.none_below).tolist()
        texts, targets = list(self.texts), self.targets.tolist()
        return [
            Likeness(fits_none, [(texts[i], targets[i], cosine) for i, cosine in zip(numbers, cosines, strict=True)])
            for fits_none, numbers, cosines in zip(none, best.indices.tolist(), best.values.tolist(), strict=True)
        ]


def threshold(held_out: np.ndarray) -> float:
    """The familiarity below which a sentence fits no label: all but 5% of a person's own sentences reach it when held out."""
    return float(np.quantile(held_out, ALARMS)) if len(held_out) else -float("inf")
