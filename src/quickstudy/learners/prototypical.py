"""Prototypical networks (Snell, Swersky and Zemel 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.learners.metric import MetricLearner
from quickstudy.models.heads import LinearHead, prototype_head, prototypes


class Prototypical(MetricLearner):
    """Softmax over negative squared distances to class means (equations 1 and 2).

    p(y = k | x) is proportional to exp(-scale * ||f(x) - c_k||^2), with c_k the mean embedding of the support's
    examples of class k.
    """

    def head(self, embeddings: torch.Tensor, targets: torch.Tensor) -> nn.Module:
        """The prototypes as a linear head (section 2.4)."""
        return LinearHead(*prototype_head(prototypes(embeddings, targets), self.scale))

    def loss(self, support, support_targets, query, query_targets) -> torch.Tensor:
        """Mean negative log-probability of the query's classes."""
        weight, bias = prototype_head(prototypes(support, support_targets), self.scale)
        return F.cross_entropy(F.linear(query, weight, bias), query_targets)
