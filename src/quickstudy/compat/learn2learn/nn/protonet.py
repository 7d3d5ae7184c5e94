"""The classifier of prototypical networks (Snell, Swersky and Zemel 2017)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.heads import prototypes

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of prototypes `(classes, dim)` to queries `(queries, dim)`: `(queries, classes)`."""


class PrototypicalClassifier(nn.Module):
    """Logits that are negative distances to class means, in the order of the labels.

    Args:
        support: embeddings `(examples, dim)`, and
        labels: their labels `(examples,)`; both may come later, in `fit_`.
        distance: "euclidean" (squared), "cosine" (of unit vectors), or a function from prototypes and queries.
        normalize: whether prototypes and queries are made unit vectors.

    Raises:
        QuickstudyError: another distance; queries before there is a support.
    """

    def __init__(
        self,
        support: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        distance: str | Distance = "euclidean",
        normalize: bool = False,
    ):
        super().__init__()
        known: dict[str, Distance] = {"euclidean": self.euclidean_distance, "cosine": self.cosine_distance}
        if isinstance(distance, str) and distance not in known:
            raise QuickstudyError(f"distance={distance!r} is not known; it is 'euclidean', 'cosine', or a function")
        self.distance = known[distance] if isinstance(distance, str) else distance
        self.normalize = normalize or distance == "cosine"
        self.prototypes: torch.Tensor | None = None
        if support is not None and labels is not None:
            self.fit_(support, labels)

    def fit_(self, support: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Makes the class means of this support, keeps and returns them, `(classes, dim)`; gradients reach the embeddings."""
        means = prototypes(support, labels.unique(return_inverse=True)[1])
        self.prototypes = F.normalize(means) if self.normalize else means
        return self.prototypes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(queries, dim)` to logits `(queries, classes)`."""
        if self.prototypes is None:
            raise QuickstudyError("the classifier has no prototypes yet; call fit_(support, labels) first")
        return -self.distance(self.prototypes, F.normalize(x) if self.normalize else x)

    @staticmethod
    def euclidean_distance(prototypes: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        """||q - c||^2."""
        return (queries[:, None] - prototypes).square().sum(dim=2)

    @staticmethod
    def cosine_distance(prototypes: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        """-q c, of unit vectors."""
        return -queries @ prototypes.T
