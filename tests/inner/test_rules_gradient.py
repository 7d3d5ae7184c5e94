"""The gradient through K steps of every update rule, in float64: for phi_0, for eta and for each number that is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from quickstudy import Batch, Rates
from quickstudy.inner.derivatives import Autograd
from quickstudy.inner.loop import InnerLoop
from quickstudy.inner.rules import SGD, Adam, AdamW, ClipNorm, ClipValue, RMSprop, Rule

EPS, H = 1e-2, 2e-4
"""A root and a step of a finite difference for which the loss is smooth; no element crosses the edge of a clip on it."""
Number = Callable[[float], float | Rates]
RULES: dict[str, Callable[[Number], Rule]] = {
    "sgd": lambda n: SGD(n(0.3), weight_decay=n(0.1)),
    "momentum": lambda n: SGD(n(0.3), momentum=n(0.6), dampening=n(0.2), weight_decay=n(0.1)),
    "nesterov": lambda n: SGD(n(0.3), momentum=n(0.6), nesterov=True),
    "adam": lambda n: Adam(n(0.1), betas=(n(0.7), n(0.9)), eps=EPS, weight_decay=n(0.1)),
    "adamw": lambda n: AdamW(n(0.1), betas=(n(0.7), n(0.9)), eps=EPS, weight_decay=n(0.2)),
    "rmsprop": lambda n: RMSprop(n(0.1), alpha=n(0.8), eps=EPS, weight_decay=n(0.1)),
    "rmsprop centred": lambda n: RMSprop(n(0.1), alpha=n(0.8), eps=EPS, momentum=n(0.5), centered=True),
    "clipped by norm": lambda n: ClipNorm(SGD(n(0.3), momentum=n(0.6)), 0.2),
    "clipped by value": lambda n: ClipValue(Adam(n(0.1), betas=(n(0.7), n(0.9)), eps=EPS), 0.15),
    "both": lambda n: ClipValue(ClipNorm(SGD(n(0.3)), 0.1), 0.05),
}
NUMBERS: dict[str, Number] = {
    "fixed": lambda value: value,
    "space": lambda value: Rates(value, per="space"),
    "layer and step": lambda value: Rates(value, per="layer", steps=2),
    "parameter": lambda value: Rates(value, per="parameter"),
    "element and step": lambda value: Rates(value, per="element", steps=3),
}


@dataclass
class Problem:
    """A small network whose first and last layers are phi and whose middle is eta, and a task of K batches and a query."""

    model: nn.Module
    phi: dict[str, torch.Tensor]
    eta: list[torch.Tensor]
    loop: InnerLoop
    batches: list[Batch]
    query: Batch

    @property
    def learned(self) -> list[torch.Tensor]:
        """phi_0, eta and what the rule learns."""
        return [*self.phi.values(), *self.eta, *self.loop.rule.parameters()]

    def value(self) -> torch.Tensor:
        total, weight = self.loop.derivatives.sums(self.loop.learn(self.phi, self.batches).phi, self.query)
        return (total / weight).detach()

    def by_recursion(self, *, second_order: bool = True) -> tuple[torch.Tensor, list[torch.Tensor]]:
        rates = list(self.loop.rule.parameters())
        path = self.loop.learn(self.phi, self.batches, record=True)
        value, _, adjoint, d_eta = self.loop.derivatives.slope(path.phi, self.query, self.eta)
        adjoint, more, d_rates = self.loop.pull_back(path, adjoint, self.eta, rates, second_order=second_order)
        return value, [*adjoint.values(), *(a + b for a, b in zip(d_eta, more, strict=True)), *d_rates]

    def by_graph(self, *, second_order: bool = True) -> tuple[torch.Tensor, list[torch.Tensor]]:
        total, weight = self.loop.derivatives.sums(
            self.loop.learn_with_graph(self.phi, self.batches, second_order=second_order)[-1], self.query
        )
        slopes = torch.autograd.grad(total / weight, self.learned, allow_unused=True, materialize_grads=True)
        return (total / weight).detach(), list(slopes)


def problem(rule: Rule, steps: int) -> Problem:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    phi = {name: p for name, p in model.named_parameters() if not name.startswith("2.")}
    rule.bind({name: p.shape for name, p in phi.items()}, torch.ones(()))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
        for parameter in rule.parameters():  # so that a number of one layer is not that of another
            parameter.mul_(1 + 0.05 * torch.randn_like(parameter))

    def objective(phi: dict[str, torch.Tensor], batch: Batch, whole: bool) -> tuple[torch.Tensor, float]:
        losses = F.cross_entropy(functional_call(model, phi, (batch.inputs,)), batch.targets, reduction="none")
        return losses.sum(), float(len(losses))

    batches = [Batch(torch.randn(5, 3), torch.arange(5) % 3) for _ in range(steps)]
    query = Batch(torch.randn(6, 3), torch.arange(6) % 3)
    return Problem(model, phi, list(model[2].parameters()), InnerLoop(Autograd(objective, model), rule, model), batches, query)


def error(got: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """The largest relative error of a tensor; a tensor of nearly zero is measured against a thousandth of the largest."""
    floor = 1e-3 * max(float(e.norm()) for e in expected)
    assert floor > 0
    return max(float((g - e).norm() / e.norm().clamp(min=floor)) for g, e in zip(got, expected, strict=True))


def slope_error(task: Problem, group: list[torch.Tensor], got: list[torch.Tensor], floor: float) -> float:
    """The error of the slope along a random direction, against differences, relative to the gradient's length or `floor`."""
    ways = [torch.randn_like(tensor) for tensor in group]
    length = torch.sqrt(sum((way**2).sum() for way in ways))
    kept = [tensor.detach().clone() for tensor in group]

    @torch.no_grad()
    def value(t: float) -> float:
        for tensor, at, way in zip(group, kept, ways, strict=True):
            tensor.copy_(at + t * way / length)
        result = task.value().item()
        for tensor, at in zip(group, kept, strict=True):
            tensor.copy_(at)
        return result

    h = H
    slope = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    exact = float(sum((g * way).sum() for g, way in zip(got, ways, strict=True)) / length)
    return abs(exact - slope) / max(float(torch.sqrt(sum((g**2).sum() for g in got))), floor)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("rule", RULES)
def test_the_recursion_is_the_graph_and_both_are_the_slope(rule, numbers, steps):
    task = problem(RULES[rule](NUMBERS[numbers]), steps)
    value, got = task.by_recursion()
    plain, expected = task.by_graph()
    assert value.item() == pytest.approx(plain.item(), rel=1e-12)
    assert error(got, expected) < 1e-10
    sizes = [len(task.phi), len(task.eta)]
    groups = {"phi": slice(0, sizes[0]), "eta": slice(sizes[0], sum(sizes))}
    for i, (name, _) in enumerate(task.loop.rule.named_parameters(), sum(sizes)):
        groups[name] = slice(i, i + 1)
    floor = 1e-3 * max(float(g.norm()) for g in got)
    for name, group in groups.items():
        assert slope_error(task, task.learned[group], got[group], floor) < 1e-6, name


@pytest.mark.parametrize("rule", RULES)
def test_first_order_is_the_graph_without_second_derivatives(rule):
    task = problem(RULES[rule](NUMBERS["layer and step"]), 3)
    expected = task.by_graph(second_order=False)[1]
    assert error(task.by_recursion(second_order=False)[1], expected) < 1e-10
    assert error(task.by_recursion()[1], expected) > 1e-3


@pytest.mark.parametrize("name", ["clipped by norm", "clipped by value", "both"])
def test_clipping_was_in_force(name):
    task = problem(RULES[name](NUMBERS["fixed"]), 5)
    clipped, rule = task.by_recursion()[1], task.loop.rule
    while isinstance(rule, (ClipNorm, ClipValue)):
        rule = rule.rule
    task.loop = InnerLoop(task.loop.derivatives, rule, task.model)
    assert error(task.by_recursion()[1], clipped) > 1e-2


def test_clipping_by_norm_couples_all_parameters():
    phi = {"a": torch.randn(3), "b": torch.randn(2)}
    gradient = {name: torch.randn_like(value).requires_grad_() for name, value in phi.items()}
    for rule, coupled in ((SGD(0.3), False), (ClipNorm(SGD(0.3), 0.2), True), (ClipValue(SGD(0.3), 0.2), False)):
        moved, _ = rule.update(0, phi, {}, gradient)
        (across,) = torch.autograd.grad(moved["a"].sum(), gradient["b"], allow_unused=True, materialize_grads=True)
        assert bool(across.any()) == coupled
