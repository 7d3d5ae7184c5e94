"""Heads: from embeddings to logits. What a task learned on top of an encoder, as tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

HEAD = ("task_head.weight", "task_head.bias")
"""The names, among the parameters that a task moves, of the head that it gets on top of an encoder."""


class LinearHead(nn.Module):
    """logits = W x + b. Prototypes under squared Euclidean distance are this too, up to a constant per example."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """`(examples, dim) -> (examples, classes)`."""
        return F.linear(embeddings, self.weight, self.bias)


class AttentionHead(nn.Module):
    """Log of the attention over the support, summed by class (Vinyals et al. 2016, equations 1 and 2)."""

    embeddings: torch.Tensor
    targets: torch.Tensor
    scale: torch.Tensor

    def __init__(self, embeddings: torch.Tensor, targets: torch.Tensor, scale: torch.Tensor):
        super().__init__()
        self.register_buffer("embeddings", embeddings.detach().clone())
        self.register_buffer("targets", targets.detach().clone())
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """`(examples, dim) -> (examples, classes)`: log-probabilities."""
        return attention_logits(embeddings, self.embeddings, self.targets, self.scale)


class SimilarityHead(nn.Module):
    """The similarity to the most similar support example of each class (Koch et al. 2015)."""

    embeddings: torch.Tensor
    targets: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, embeddings: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.register_buffer("embeddings", embeddings.detach().clone())
        self.register_buffer("targets", targets.detach().clone())
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """`(examples, dim) -> (examples, classes)`: logit of "same class" for the nearest."""
        similarity = pair_logits(embeddings, self.embeddings, self.weight, self.bias)
        classes = int(self.targets.max()) + 1
        return torch.stack([similarity[:, self.targets == c].amax(dim=1) for c in range(classes)], dim=1)


def prototypes(embeddings: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean embedding of each class, `(classes, dim)` (Snell et al. 2017, equation 1)."""
    member = F.one_hot(targets).to(embeddings.dtype)
    return (member.T @ embeddings) / member.sum(dim=0).unsqueeze(1)


def prototype_head(centres: torch.Tensor, scale: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of -scale * ||x - c||^2, less the part that is the same for every class (Snell, equation 8)."""
    return 2 * scale * centres, -scale * centres.square().sum(dim=1)


def attention_logits(
    queries: torch.Tensor, support: torch.Tensor, targets: torch.Tensor, scale: torch.Tensor | float
) -> torch.Tensor:
    """log sum_i softmax(scale * cos(x, x_i)) y_i, `(examples, classes)`."""
    cosine = F.normalize(queries, dim=-1) @ F.normalize(support, dim=-1).T
    attention = (scale * cosine).log_softmax(dim=-1)
    classes = int(targets.max()) + 1
    return torch.stack([attention[:, targets == c].logsumexp(dim=1) for c in range(classes)], dim=1)


def pair_logits(left: torch.Tensor, right: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Logit that two examples share a class: bias - sum_j weight_j |a_j - b_j|, `(left, right)` (Koch, section 3.1)."""
    return bias - (left.unsqueeze(1) - right.unsqueeze(0)).abs() @ weight
