"""Sentences on a plane: which ones are shown, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SENTENCES = 400
LABELS = 12


@dataclass(frozen=True)
class Projection:
    """Points `(sentences, 2)`, a label for each, and the share of the variation that the two directions hold."""

    points: np.ndarray
    labels: Sequence[str]
    share: float


def choose(labels: Mapping[str, str], first: Sequence[str] = (), *, most: int = LABELS, sentences: int = SENTENCES) -> list[str]:
    """The sentences to show: of at most `most` labels, as many of each, in the order given.

    Args:
        labels: sentence -> label.
        first: labels to prefer (those that are confused, say); the rest are taken by their number of sentences.
    """
    by_label: dict[str, list[str]] = {}
    for sentence, label in labels.items():
        by_label.setdefault(label, []).append(sentence)
    often = sorted(by_label, key=lambda label: (-len(by_label[label]), label))
    shown = [label for label in dict.fromkeys([*first, *often]) if label in by_label][:most]
    each = sentences // max(1, len(shown))
    return [sentence for label in shown for sentence in by_label[label][:each]]


def principal_plane(embeddings: np.ndarray) -> tuple[np.ndarray, float]:
    """Coordinates on the two directions of most variation, `(examples, 2)`, and the share of the variation they hold.

    The sign of each direction is set by its largest loading, so that the same embeddings give the same picture.
    """
    centred = np.asarray(embeddings, dtype=float) - np.mean(embeddings, axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((2, centred.shape[1]))
    plane[: min(2, len(directions))] = directions[:2]
    largest = plane[np.arange(2), np.abs(plane).argmax(axis=1)]
    plane *= np.where(largest < 0, -1.0, 1.0)[:, None]
    total = float((sizes**2).sum())
    return centred @ plane.T, float((sizes[:2] ** 2).sum() / total) if total else 1.0


def project(embeddings: np.ndarray, labels: Sequence[str]) -> Projection | None:
    """The map of these sentences; None where there are fewer than three, which have no plane worth drawing."""
    if len(labels) < 3 or not np.isfinite(embeddings).all():
        return None
    points, share = principal_plane(embeddings)
    return Projection(points, list(labels), share)
