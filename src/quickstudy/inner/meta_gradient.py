"""The gradient of the query loss after K inner steps, for whatever the outer loop learns."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from quickstudy.inner.derivatives import Autograd, Derivatives, plus
from quickstudy.inner.loop import InnerLoop
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch

Learned = tuple[torch.Tensor, Sequence[torch.Tensor]]
"""A query loss after learning, and its gradient for each parameter that is learned."""


def meta_gradient(
    loop: InnerLoop,
    outer: Derivatives,
    phi_0: Parameters,
    batches: Sequence[Batch],
    query: Batch,
    learned: Sequence[torch.Tensor],
    *,
    weights: Sequence[float],
    second_order: bool,
    keep_graph: bool,
) -> Learned:
    """The query loss at phi_K, and its gradient through the K steps: at the memory of one, or with all their graphs.

    Args:
        loop: the inner steps, whose rule may have rates that are learned.
        outer: the derivatives of the outer loss.
        phi_0: the start, as a function of what is learned.
        batches: what each step learns from.
        learned: what the gradient is for.
        weights: how much the query loss after each of the K steps counts.
        second_order: whether it goes through the inner loop's own gradients.
        keep_graph: whether the graphs of all K steps are kept, not computed anew on the way back.
    """
    if keep_graph and isinstance(outer, Autograd):
        with torch.enable_grad():
            phis = loop.learn_with_graph(phi_0, batches, second_order=second_order)
            value = weighted(outer, weights, phis, query)
            return value.detach(), torch.autograd.grad(value, learned, allow_unused=True, materialize_grads=True)
    keep = len(batches) if keep_graph else 1  # the last step's is gone before any other is computed
    path = loop.learn(phi_0, batches, record=True, keep=keep if second_order else 0)

    def judged(weight: float, phi: Parameters) -> tuple[torch.Tensor, Parameters, list[torch.Tensor]]:
        value, _, slope, d_eta = outer.slope(phi, query, learned)
        return weight * value, {name: weight * g for name, g in slope.items()}, [weight * d for d in d_eta]

    value, adjoint, d_learned = judged(weights[-1], path.phi)

    def judge(k: int, phi: Parameters) -> tuple[Parameters, Sequence[torch.Tensor]] | None:
        nonlocal value
        if not weights[k - 1]:
            return None
        more, slope, d_eta = judged(weights[k - 1], phi)
        value = value + more
        return slope, d_eta

    rates = [rate for rate in loop.rule.parameters() if rate.requires_grad]
    adjoint, d_eta, d_rates = loop.pull_back(path, adjoint, learned, rates, second_order=second_order, judge=judge)
    of_rate = {id(rate): gradient for rate, gradient in zip(rates, d_rates, strict=True)}
    gradients = [g + of_rate[id(p)] if id(p) in of_rate else g for p, g in zip(learned, plus(d_learned, d_eta), strict=True)]
    return value, with_start(learned, gradients, phi_0, adjoint)


def with_start(
    learned: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], phi_0: Parameters, adjoint: Parameters
) -> Sequence[torch.Tensor]:
    """These gradients of what is learned, and what comes to it through phi_0, whose own gradient is `adjoint`."""
    started = {name: value for name, value in phi_0.items() if value.requires_grad}
    if not started:
        return gradients
    back = [adjoint[name] for name in started]
    return plus(gradients, torch.autograd.grad(list(started.values()), learned, back, allow_unused=True, materialize_grads=True))


def weighted(outer: Autograd, weights: Sequence[float], phis: Sequence[Parameters], query: Batch) -> torch.Tensor:
    """The sum of the query losses at these phi, each times its weight; with a graph."""
    return torch.stack([w * outer.mean(phi, query) for w, phi in zip(weights, phis, strict=True) if w]).sum()
