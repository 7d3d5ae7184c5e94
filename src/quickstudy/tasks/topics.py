"""`topics`: groups of texts about the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.leaks import words

FEATURES, DIMENSIONS = 20_000, 64
"""Words that are counted, and latent dimensions (Deerwester et al. 1990) that they are reduced to."""
COMMON = 0.5
"""The share of the texts above which a word says nothing about any of them."""


def topics(texts: Sequence[str], size: int, *, seed: int = 0) -> list[list[int]]:
    """Divides texts into groups of neighbours: each is halved along its longest direction until it is small enough.

    Directions are those of latent semantic analysis: TF-IDF, a truncated SVD, unit length. Every text is in one group. The
    same texts and seed give the same groups. Texts that share no word stay in their order.

    Args:
        texts: in any language; `words` of the leak check splits them, so a script without spaces goes by characters.
        size: members of a group; one has those too that are left over, so fewer than twice as many.
        seed: of the SVD.

    Returns:
        Groups of places in `texts`, each in ascending order; a single one of all where there are fewer than `size`.

    Raises:
        QuickstudyError: a size below one.
    """
    if size < 1:
        raise QuickstudyError(f"size={size}: a topic has at least one text; give a number of at least 1")
    if not texts:
        return []
    groups, waiting = [], [np.arange(len(texts))]
    vectors = _vectors(texts, seed) if len(texts) >= 2 * size else np.zeros((len(texts), 1))
    while waiting:
        members = waiting.pop()
        if len(members) < 2 * size:
            groups.append(sorted(members.tolist()))
            continue
        order = members[np.argsort(_along(vectors[members]), kind="stable")]  # texts in the same place stay in their order
        half = len(order) // size // 2 * size  # as near to the median as leaves all groups but one the size asked for
        waiting += [order[half:], order[:half]]
    return groups


def _vectors(texts: Sequence[str], seed: int) -> np.ndarray:
    """One row a text, of unit length or zero; a single column of zeros where no word can tell texts apart."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    settings: dict[str, Any] = {"min_df": 2, "max_df": COMMON, "max_features": FEATURES, "sublinear_tf": True}
    tfidf = TfidfVectorizer(analyzer=cast(Any, words), **settings)  # sklearn's own stubs know no callable
    try:
        counted = tfidf.fit_transform(texts)
    except ValueError:  # every word stands in one text alone, or in most of them
        return np.zeros((len(texts), 1))
    if counted.shape[1] > 1:
        counted = TruncatedSVD(min(DIMENSIONS, *counted.shape), random_state=seed).fit_transform(counted)
    else:
        counted = counted.toarray()
    return np.asarray(normalize(counted), dtype=np.float64)


def _along(vectors: np.ndarray) -> np.ndarray:
    """Each row's place along the first principal direction."""
    centred = vectors - vectors.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    direction *= np.sign(direction[np.abs(direction).argmax()])  # of the two ends, always the same is first
    return centred @ direction
