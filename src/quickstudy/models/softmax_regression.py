"""Softmax regression with a prior: maximum a posteriori weights on fixed embeddings."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F

from quickstudy.models.threads import one_thread

LARGE = 20_000_000
"""Multiplications in one product from which a second thread pays."""


def fit(
    embeddings: torch.Tensor,
    targets: torch.Tensor,
    centres: torch.Tensor,
    *,
    weights: torch.Tensor,
    scale: float,
    pull: float,
    tolerance: float = 1e-3,
    iterations: int = 500,
) -> torch.Tensor:
    """The W `(classes, dim)` that minimises sum_i w_i CE(scale * W z_i, y_i) / sum_i w_i + pull / 2 * ||W - centres||^2.

    With prototypes as centres, a strong pull is the nearest prototype and a weak one is logistic regression; with zeros,
    it is logistic regression with an L2 penalty. Strictly convex, so there is one answer; found from `centres` by
    accelerated gradient descent with restarts (Nesterov 1983; O'Donoghue and Candes 2015, gradient scheme), since the
    slope's Lipschitz constant is known. A quasi-Newton library method takes five times as long to the same accuracy.

    Args:
        embeddings: `(examples, dim)`.
        targets: class numbers `(examples,)`.
        centres: the mean of the Gaussian prior, `(classes, dim)`.
        weights: how much each example counts, `(examples,)`.
        scale: of the logits.
        pull: the precision of the prior, against the mean loss of an example.
        tolerance: ends when the slope has fallen to this share of what it was at the centres.
    """
    with one_thread() if embeddings.numel() * len(centres) < LARGE else nullcontext():
        share = (weights / weights.sum()).unsqueeze(1)
        truth = F.one_hot(targets, len(centres)).to(embeddings)
        start = scale * embeddings @ centres.T
        # W leaves the centres within the span of the examples alone: with fewer of them than dimensions, in fewer coordinates
        basis, coordinates = None, embeddings
        if len(embeddings) < embeddings.shape[1]:
            basis, triangle = torch.linalg.qr(embeddings.T)
            coordinates = triangle.T
        steepest = scale**2 / 2 * torch.linalg.matrix_norm(coordinates * share.sqrt(), 2) ** 2 + pull
        found = ahead = coordinates.new_zeros(len(centres), coordinates.shape[1])
        momentum, first = 1.0, None
        for _ in range(iterations):
            wrong = (start + scale * coordinates @ ahead.T).softmax(dim=1) - truth
            slope = scale * (share * wrong).T @ coordinates + pull * ahead
            step = ahead - slope / steepest
            moved = step - found
            if torch.sum((ahead - step) * moved) > 0:
                momentum = 1.0
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            found, ahead, momentum = step, step + (momentum - 1) / following * moved, following
            steepness = slope.norm()
            first = steepness if first is None else first
            if steepness <= tolerance * first:  # nothing to do at all where there is a single class
                break
        return centres + (found if basis is None else found @ basis.T)
