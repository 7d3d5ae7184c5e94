"""The inner loop, and the exact gradient through it at the memory of one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules import Rule, State
from quickstudy.models.functional import Parameters, random_state, replay
from quickstudy.tasks.batch import Batch

Objective = Callable[[Parameters, Batch, bool], tuple[torch.Tensor, torch.Tensor | float]]
"""`(phi, examples, whole) -> (weighted sum of the losses, sum of the weights)`; may depend on eta beside phi."""
Tensors = list[torch.Tensor]
Judge = Callable[[int, Parameters], tuple[Parameters, Sequence[torch.Tensor]] | None]


@dataclass(frozen=True)
class Step:
    """What is kept of one inner step: enough to repeat it. No graph."""

    batch: Batch
    phi: Parameters
    state: State
    gradient: Parameters
    weight: torch.Tensor | float
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
        objective: the inner loss, as sums over examples.
        rule: U, the update rule.
        model: whose randomness (dropout) is recorded and replayed.
        micro_batch: at most so many examples in one call of the model. Gradients and Hessian-vector products are sums
            over examples, so the result is the same and memory is flat in the size of the support.
    """

    objective: Objective
    rule: Rule
    model: nn.Module
    micro_batch: int | None = None

    def learn(self, phi: Parameters, batches: Sequence[Batch], *, record: bool = False) -> Path:
        """phi_K after one step on each of `batches`, without a graph; with `record`, the steps to go back over."""
        path = Path({name: value.detach() for name, value in phi.items()}, {})
        path.state = self.rule.init(path.phi)
        for k, batch in enumerate(batches):
            random = random_state(self.model) if record else []
            _, weight, gradient, _ = self.slope(path.phi, batch)
            if record:
                path.steps.append(Step(batch, path.phi, path.state, gradient, weight, random))
            with torch.no_grad():
                path.phi, path.state = self.rule.update(k, path.phi, path.state, gradient)
        return path

    def learn_with_graph(self, phi: Parameters, batches: Sequence[Batch], *, second_order: bool) -> list[Parameters]:
        """phi_1 to phi_K (phi_0 where there is no step) as functions of phi_0, rates and eta: all graphs are kept."""
        # views, so that a part of phi_0 that was made from another (prototypes from the body) counts as itself from here on
        phi = {
            name: value.view_as(value) if value.requires_grad else value.detach().requires_grad_() for name, value in phi.items()
        }
        state, phis = self.rule.init(phi), []
        for k, batch in enumerate(batches):
            total, weight = self.sums(phi, batch)
            gradient = _grad(torch.as_tensor(total / weight), list(phi.values()), create_graph=second_order)
            phi, state = self.rule.update(k, phi, state, dict(zip(phi, gradient, strict=True)))
            phis.append(phi)
        return phis or [phi]

    def slope(self, phi: Parameters, batch: Batch, eta: Sequence[torch.Tensor] = ()):
        """Value, sum of weights, gradient for phi and gradient for eta of the mean loss; no graph survives."""
        with torch.enable_grad():
            phi = _leaves(phi)
            wanted = [*phi.values(), *eta]
            value, weight, sums = 0.0, 0.0, None
            for part in batch.split(self.micro_batch):
                part_value, part_weight = self.objective(phi, part, len(part) == len(batch))
                gradients = _grad(part_value, wanted)
                sums = gradients if sums is None else [a + b for a, b in zip(sums, gradients, strict=True)]
                value, weight = value + part_value.detach(), weight + part_weight
        if sums is None:
            raise QuickstudyError("a task with an empty batch: there is nothing to learn from or to be judged on")
        means = [s / weight for s in sums]
        return torch.as_tensor(value / weight), weight, dict(zip(phi, means, strict=False)), means[len(phi) :]

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
            d_rates = _plus(d_rates, more)
            if second_order:
                replay(self.model, step.random)
                d_phi, more = self.hessian_vector(step.batch, step.phi, step.weight, a_gradient, eta)
                adjoint = {name: value + d_phi[name] for name, value in adjoint.items()}
                d_eta = _plus(d_eta, more)
            if judge and k and (slopes := judge(k, step.phi)):
                adjoint = {name: value + slopes[0][name] for name, value in adjoint.items()}
                d_eta = _plus(d_eta, slopes[1])
        return adjoint, d_eta, d_rates

    def _through_rule(self, k: int, step: Step, adjoint: Parameters, state_adjoint: State, rates: Sequence[torch.Tensor]):
        with torch.enable_grad():
            phi, state, gradient = _leaves(step.phi), _leaves(step.state), _leaves(step.gradient)
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

    def hessian_vector(
        self, batch: Batch, phi: Parameters, weight: torch.Tensor | float, vector: Parameters, eta: Sequence[torch.Tensor]
    ) -> tuple[Parameters, Tensors]:
        """dz/dphi and dz/deta of z = <dL/dphi, vector>, with L the mean loss of a batch whose weights sum to `weight`."""
        with torch.enable_grad():
            phi = _leaves(phi)
            wanted = [*phi.values(), *eta]
            sums = [torch.zeros_like(w) for w in wanted]
            for part in batch.split(self.micro_batch):
                value, _ = self.objective(phi, part, len(part) == len(batch))
                gradient = _grad(value, list(phi.values()), create_graph=True)
                z = sum((g * vector[name]).sum() for name, g in zip(phi, gradient, strict=True))
                if isinstance(z, torch.Tensor) and z.requires_grad:
                    sums = _plus(sums, _grad(z, wanted))
        means = [s / weight for s in sums]
        return dict(zip(phi, means, strict=False)), means[len(phi) :]

    def sums(self, phi: Parameters, batch: Batch):
        """The weighted sum of the losses and the sum of the weights over all parts of a batch."""
        total, weight = 0.0, 0.0
        for part in batch.split(self.micro_batch):
            value, part_weight = self.objective(phi, part, len(part) == len(batch))
            total, weight = total + value, weight + part_weight
        return total, weight


def _leaves(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().requires_grad_() for name, value in values.items()}


def _plus(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> Tensors:
    return [a + b for a, b in zip(left, right, strict=True)]


def _grad(value: torch.Tensor, wanted: Sequence[torch.Tensor], *, create_graph: bool = False) -> Tensors:
    if not wanted:
        return []
    if not value.requires_grad:
        raise QuickstudyError(
            "the loss does not depend on any parameter that learns: its graph was cut (detach, no_grad, a conversion "
            "to NumPy), or the parameters in the adaptation space are not used"
        )
    return list(torch.autograd.grad(value, wanted, create_graph=create_graph, allow_unused=True, materialize_grads=True))
