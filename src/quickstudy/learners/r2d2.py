"""Ridge regression as a differentiable head (Bertinetto, Henriques, Torr and Vedaldi 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.learners.metric import MetricLearner
from quickstudy.models.device import like
from quickstudy.models.heads import LinearHead


class R2D2(MetricLearner):
    """A ridge regression from embeddings to one-hot targets, in closed form; its strength and the logits' scale are learned.

    W = Z' (Z Z' + lambda I)^-1 Y (equation 4, the Woodbury form: as many unknowns as examples, or in the primal as many
    as dimensions, whichever are fewer), and logits alpha * x W + beta (equation 6).
    """

    def __init__(self, model: nn.Module, outer_lr: float = 0.001, *, scale: float | None = None):
        super().__init__(model, outer_lr, scale=scale)
        self.log_strength = nn.Parameter(like(model).new_zeros(()))
        self.log_scale = nn.Parameter(like(model).new_tensor(self.scale).log())
        self.bias = nn.Parameter(like(model).new_zeros(()))

    def head(self, embeddings: torch.Tensor, targets: torch.Tensor) -> nn.Module:
        """The solution as a linear head."""
        weight = self.log_scale.exp() * self._solved(embeddings, targets)
        return LinearHead(weight, self.bias.expand(len(weight)))

    def loss(self, support, support_targets, query, query_targets) -> torch.Tensor:
        """Mean negative log-probability of the query's classes."""
        return F.cross_entropy(self.log_scale.exp() * query @ self._solved(support, support_targets).T + self.bias, query_targets)

    def _solved(self, embeddings: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        truth, strength = F.one_hot(targets).to(embeddings), self.log_strength.exp()
        if len(embeddings) <= embeddings.shape[1]:
            gram = embeddings @ embeddings.T
            return torch.linalg.solve(gram + strength * torch.eye(len(gram)).to(gram), truth).T @ embeddings
        gram = embeddings.T @ embeddings
        return torch.linalg.solve(gram + strength * torch.eye(len(gram)).to(gram), embeddings.T @ truth).T
