"""The inner loop, and the exact gradient through it at the memory of one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from quickstudy.inner.derivatives import Autograd, Derivatives, Tensors, gradients_of, leaves, plus
from quickstudy.inner.diverged import check_loss
from quickstudy.inner.refusals import twice_differentiable
from quickstudy.inner.rules import Rule, State
from quickstudy.models.functional import Parameters, random_state, replay
from quickstudy.tasks.batch import Batch

Judge = Callable[[int, Parameters], tuple[Parameters, Sequence[torch.Tensor]] | None]


@dataclass(frozen=True)
class Step:
    """What is kept of one inner step: enough to repeat it, or `kept` so that nothing need be. No graph."""

    batch: Batch
    phi: Parameters
    state: State
    gradient: Parameters
    kept: Any
    random: Tensors


@dataclass
class Path:
    """The way from phi_0 to phi_K."""

    phi: Parameters
    state: State
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class InnerLoop:
    """K steps of an update rule on one task.

    Args:
        derivatives: the inner loss's gradient and Hessian-vector products.
        rule: U, the update rule.
        model: whose randomness (dropout) is recorded and replayed.
    """

    derivatives: Derivatives
    rule: Rule
    model: nn.Module

    def learn(self, phi: Parameters, batches: Sequence[Batch], *, record: bool = False, keep: int = 0) -> Path:
        """phi_K after one step on each of `batches`, without a graph; with `record`, the steps to go back over.

        Args:
            keep: so many steps, the last ones, keep what they computed, where the derivatives can.
        """
        path = Path({name: value.detach() for name, value in phi.items()}, {})
        path.state = self.rule.init(path.phi)
        for k, batch in enumerate(batches):
            random = random_state(self.model) if record else []
            value, kept, gradient, _ = self.derivatives.slope(path.phi, batch, keep=k >= len(batches) - keep)
            check_loss(value, k, len(batches))
            if record:
                path.steps.append(Step(batch, path.phi, path.state, gradient, kept, random))
            with torch.no_grad():
                path.phi, path.state = self.rule.update(k, path.phi, path.state, gradient)
        return path

    def learn_with_graph(self, phi: Parameters, batches: Sequence[Batch], *, second_order: bool) -> list[Parameters]:
        """phi_1 to phi_K (phi_0 where there is no step) as functions of phi_0, rates and eta: all graphs are kept."""
        losses = self.derivatives
        assert isinstance(losses, Autograd), "only autograd has graphs to keep"
        # views, so that a part of phi_0 that was made from another (prototypes from the body) counts as itself from here on
        phi = {
            name: value.view_as(value) if value.requires_grad else value.detach().requires_grad_() for name, value in phi.items()
        }
        state, phis = self.rule.init(phi), []
        for k, batch in enumerate(batches):
            value = losses.mean(phi, batch)
            check_loss(value, k, len(batches))
            if second_order:
                twice_differentiable(value, self.model, lambda phi=phi, batch=batch: losses.mean(phi, batch))
            gradient = gradients_of(value, list(phi.values()), create_graph=second_order)
            phi, state = self.rule.update(k, phi, state, dict(zip(phi, gradient, strict=True)))
            phis.append(phi)
        return phis or [phi]

    def pull_back(
        self,
        path: Path,
        adjoint: Parameters,
        eta: Sequence[torch.Tensor],
        rates: Sequence[torch.Tensor],
        *,
        second_order: bool,
        judge: Judge | None = None,
    ) -> tuple[Parameters, Tensors, Tensors]:
        """From dL/dphi_K back to dL/dphi_0, d_eta and d_rates, one step at a time.

        At step k the adjoint is pulled through the rule alone (no model call), giving a_g for the gradient's place;
        then one Hessian-vector product: z = <dL_k/dphi, stop(a_g)>, adjoint += dz/dphi, d_eta += dz/deta.
        Exact for any K; without `second_order` the products are left out (first-order MAML).

        Args:
            judge: the slopes, for phi and eta, of an outer loss at phi_k, for k = K-1 .. 1 (MAML++); None: it does not count.
        """
        state = {name: torch.zeros_like(value) for name, value in path.state.items()}
        d_eta, d_rates = [torch.zeros_like(e) for e in eta], [torch.zeros_like(r) for r in rates]
        while path.steps:
            step = path.steps.pop()
            k = len(path.steps)
            adjoint, state, a_gradient, more = self._through_rule(k, step, adjoint, state, rates)
            d_rates = plus(d_rates, more)
            if second_order:
                replay(self.model, step.random)
                d_phi, more = self.derivatives.hessian_vector(step.batch, step.phi, step.kept, a_gradient, eta)
                adjoint = {name: value + d_phi[name] for name, value in adjoint.items()}
                d_eta = plus(d_eta, more)
            if judge and k and (slopes := judge(k, step.phi)):
                adjoint = {name: value + slopes[0][name] for name, value in adjoint.items()}
                d_eta = plus(d_eta, slopes[1])
        return adjoint, d_eta, d_rates

    def _through_rule(self, k: int, step: Step, adjoint: Parameters, state_adjoint: State, rates: Sequence[torch.Tensor]):
        with torch.enable_grad():
            phi, state, gradient = leaves(step.phi), leaves(step.state), leaves(step.gradient)
            new_phi, new_state = self.rule.update(k, phi, state, gradient)
            outputs = [*new_phi.values(), *new_state.values()]
            adjoints = [adjoint[name] for name in new_phi] + [state_adjoint[name] for name in new_state]
            wanted = [*phi.values(), *state.values(), *gradient.values(), *rates]
            pulled = iter(torch.autograd.grad(outputs, wanted, adjoints, allow_unused=True, materialize_grads=True))
        return (
            {name: next(pulled) for name in phi},
            {name: next(pulled) for name in state},
            {name: next(pulled) for name in gradient},
            list(pulled),
        )
