"""Logistic regression on frozen features."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from quickstudy.learners.metric import MetricLearner
from quickstudy.models.heads import LinearHead

GRID = (1.0, 10.0, 100.0, 1000.0)
"""Inverse strengths of the penalty that cross-validation chooses from; embeddings of unit length need weak ones."""
UNCHECKED = 100.0
"""The one used where a class has a single example, so that nothing can be held out."""


class LogisticProbe(MetricLearner):
    """scikit-learn's logistic regression on the model's embeddings; C by cross-validation on the support.

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
        features, classes = embeddings.double().cpu().numpy(), targets.cpu().numpy()
        ways = int(classes.max()) + 1
        if ways == 1:
            return LinearHead(embeddings.new_zeros(1, embeddings.shape[1]), embeddings.new_zeros(1))
        weight, bias = _fitted(features, classes, self.C or _chosen(features, classes))
        if ways == 2:  # scikit-learn keeps one row for two classes: the log-odds of the second
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return LinearHead(torch.as_tensor(weight).to(embeddings), torch.as_tensor(bias).to(embeddings))


def _fitted(features: np.ndarray, classes: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a path that stops at max_iter is a fit all the same
        model = LogisticRegression(C=C, max_iter=300, tol=1e-3).fit(features, classes)
    return model.coef_, model.intercept_


def _chosen(features: np.ndarray, classes: np.ndarray) -> float:
    """The C of the grid with the best held-out log-likelihood, over as many folds as the rarest class allows, up to 5."""
    from sklearn.model_selection import StratifiedKFold

    folds = min(5, *Counter(classes.tolist()).values())
    if folds < 2:
        return UNCHECKED
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(features, classes))
    scores = []
    for C in GRID:
        held_out = [_log_likelihood(features, classes, train, test, C) for train, test in splits]
        scores.append(float(np.concatenate(held_out).mean()))
    return GRID[int(np.argmax(scores))]


def _log_likelihood(features: np.ndarray, classes: np.ndarray, train: np.ndarray, test: np.ndarray, C: float) -> np.ndarray:
    from scipy.special import log_softmax

    weight, bias = _fitted(features[train], classes[train], C)
    logits = features[test] @ weight.T + bias
    if logits.shape[1] == 1:
        logits = np.concatenate([-logits, logits], axis=1) / 2
    return log_softmax(logits, axis=1)[np.arange(len(test)), classes[test]]
