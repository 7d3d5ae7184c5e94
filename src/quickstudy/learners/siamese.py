"""Siamese networks for one-shot recognition (Koch, Zemel and Salakhutdinov 2015)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.metric import MetricLearner
from quickstudy.models.device import like
from quickstudy.models.heads import SimilarityHead, pair_logits


class Siamese(MetricLearner):
    """Learns whether two examples share a class, from pairs; a new example takes the class of its most similar one.

    p(same | a, b) = sigmoid(bias - sum_j weight_j |a_j - b_j|) (section 3.1), trained by cross entropy over all pairs
    of a query and a support example; the few "same" pairs weigh as much as the many others.

    Args:
        dim: the width of the model's embeddings, where the model does not say it.
    """

    def __init__(self, model: nn.Module, outer_lr: float = 0.001, *, scale: float | None = None, dim: int | None = None):
        super().__init__(model, outer_lr, scale=scale)
        dim = int(dim or getattr(model, "dim", 0) or _last_width(model))
        self.weight = nn.Parameter(like(model).new_full((dim,), self.scale / dim**0.5))
        self.bias = nn.Parameter(like(model).new_tensor(self.scale / 2))

    def head(self, embeddings: torch.Tensor, targets: torch.Tensor) -> nn.Module:
        """The support, and the learned similarity."""
        return SimilarityHead(embeddings, targets, self.weight, self.bias)

    def loss(self, support, support_targets, query, query_targets) -> torch.Tensor:
        """Balanced cross entropy over pairs (section 3.2)."""
        logits = pair_logits(query, support, self.weight, self.bias)
        same = query_targets.unsqueeze(1) == support_targets.unsqueeze(0)
        alike, different = F.softplus(-logits[same]), F.softplus(logits[~same])
        return (alike.mean() + different.mean()) / 2


def _last_width(model: nn.Module) -> int:
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise QuickstudyError(
            f"Siamese learns one weight per embedding dimension: give dim=, the width of {type(model).__name__}'s output"
        )
    return linear[-1].out_features
