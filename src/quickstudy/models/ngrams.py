"""A sentence encoder without a Transformer: character n-grams, for scripts that the packaged encoder does not read."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from quickstudy.models.encoder import Encoder

DIM = 4096
LENGTHS = (1, 2)
"""The shortest and the longest n-gram: most Chinese words have one or two characters."""


class NGrams(Encoder):
    """Sentences to hashed counts of their character n-grams, of unit length.

    scikit-learn's `HashingVectorizer`, with the logarithm of counts: it knows no language, needs no files and learns
    nothing, so it embeds a sentence the same whatever the others are. Words come from learning on top of it.
    """

    place: torch.Tensor

    def __init__(self, dim: int = DIM):
        from sklearn.feature_extraction.text import HashingVectorizer

        super().__init__(nn.Identity(), dim, normalize=True, spec={"name": "ngrams"})
        settings: dict[str, Any] = {"analyzer": "char", "ngram_range": LENGTHS, "n_features": dim, "norm": None}
        self._vectorizer = HashingVectorizer(**settings)
        self.register_buffer("place", torch.zeros(()))  # moves with `.to`, and says where embeddings go

    def forward(self, sentences: Any = (), **tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings `(sentences, dim)`."""
        if not len(sentences):
            return torch.empty(0, self.dim, device=self.device)
        sparse: Any = self._vectorizer.transform(list(sentences))
        counts = torch.from_numpy(sparse.toarray()).float()
        return nn.functional.normalize(counts.sign() * counts.abs().log1p(), dim=1).to(self.device)

    @property
    def device(self) -> torch.device:
        """Where embeddings go."""
        return self.place.device

    def _cache(self, short: bool) -> None:
        """Nothing is kept on disk: counting characters is cheaper than looking them up."""
