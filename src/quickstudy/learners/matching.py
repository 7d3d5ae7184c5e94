"""Matching networks (Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.learners.metric import MetricLearner
from quickstudy.models.heads import AttentionHead, attention_logits


class Matching(MetricLearner):
    """Attention over the support: p(y | x) = sum_i softmax(scale * cos(f(x), f(x_i))) y_i (equations 1 and 2).

    Without full context embeddings (section 2.1.2): each example is embedded on its own.

    Args:
        scale: the paper names none. At 1 the softmax of cosines, which are 1 apart at most after a ReLU, can hardly prefer a
            class, and training comes to nothing much: conv4 on Omniglot, 5-way 1-shot, 300 steps: 78%, and 91% at 10.
    """

    def __init__(self, model: nn.Module, outer_lr: float = 0.001, *, scale: float = 20.0):
        super().__init__(model, outer_lr, scale=scale)

    def head(self, embeddings: torch.Tensor, targets: torch.Tensor) -> nn.Module:
        """The support itself."""
        return AttentionHead(embeddings, targets, torch.tensor(self.scale))

    def loss(self, support, support_targets, query, query_targets) -> torch.Tensor:
        """Mean negative log-probability of the query's classes."""
        return F.nll_loss(attention_logits(query, support, support_targets, self.scale), query_targets)
