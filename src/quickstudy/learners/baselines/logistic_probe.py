"""Logistic regression on frozen features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.learners.metric import MetricLearner
from quickstudy.models.heads import LinearHead
from quickstudy.models.softmax_regression import fit

GRID = (1.0, 10.0, 100.0, 1000.0)
"""Inverse strengths of the penalty that cross-validation chooses from; embeddings of unit length need weak ones."""
UNCHECKED = 100.0
"""The one used where a class has a single example, so that nothing can be held out."""


class LogisticProbe(MetricLearner):
    """Softmax regression with an L2 penalty on the model's embeddings; C by cross-validation on the support.

    The same optimum as scikit-learn's `LogisticRegression(C, fit_intercept=False)`, which takes far longer on many classes
    (of two classes it penalises a single row, so that our C is its 2C).

    Args:
        C: a fixed inverse strength in place of cross-validation.
    """

    def __init__(self, model: nn.Module, *, C: float | None = None):
        super().__init__(model)
        self.C = C

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned."""
        return iter(())

    def head(self, embeddings: torch.Tensor, targets: torch.Tensor) -> nn.Module:
        """The fitted regression as a linear head."""
        ways = int(targets.max()) + 1
        weight = _fitted(embeddings, targets, ways, self.C or _chosen(embeddings, targets, ways))
        return LinearHead(weight, weight.new_zeros(ways))


def _fitted(embeddings: torch.Tensor, targets: torch.Tensor, ways: int, C: float) -> torch.Tensor:
    zero = embeddings.new_zeros(ways, embeddings.shape[1])
    return fit(embeddings, targets, zero, weights=torch.ones_like(embeddings[:, 0]), scale=1.0, pull=1 / (C * len(embeddings)))


def _chosen(embeddings: torch.Tensor, targets: torch.Tensor, ways: int) -> float:
    """The C of the grid with the best held-out log-likelihood, over as many folds as the rarest class allows, up to 5."""
    from sklearn.model_selection import StratifiedKFold

    folds = min(5, *Counter(targets.tolist()).values())
    if folds < 2:
        return UNCHECKED
    classes = targets.cpu().numpy()
    losses = dict.fromkeys(GRID, 0.0)
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(classes, classes):
        for C in GRID:
            weight = _fitted(embeddings[train], targets[train], ways, C)
            losses[C] += float(F.cross_entropy(embeddings[test] @ weight.T, targets[test], reduction="sum"))
    return min(losses, key=losses.__getitem__)
