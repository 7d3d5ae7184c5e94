"""Modules whose derivative has no derivative, or a wrong one: those that compute with a custom `torch.autograd.Function`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from quickstudy.evaluation.probe import Probe
from quickstudy.inner.refusals import custom_functions, differentiable_once, no_second_derivative

TOLERANCE = 1e-3
"""Relative: such layers may compute in half precision, and what is looked for is missing altogether."""


def without_second_derivative(probe: Probe) -> Iterator[str]:
    """Each module that spoils a second derivative; none where none is taken."""
    if not probe.learner.second_order:
        return
    found: list[tuple[str, nn.Module, Any, type]] = []
    nodes: set[Any] = set()  # of inner modules, which are called to their end first

    def look(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            return
        start = [each.grad_fn for each in inputs if isinstance(each, torch.Tensor)]
        for node, function in custom_functions(output.grad_fn, start):
            if node not in nodes:
                nodes.add(node)
                wrong = differentiable_once(function) or not _differentiable_twice(module.forward, inputs)
                if wrong and all(name != other for other, *_ in found):
                    found.append((name, module, inputs, function))

    hooks = [
        module.register_forward_hook(lambda m, inputs, output, name=name: look(name, m, inputs, output))
        for name, module in probe.model.named_modules()
    ]
    try:
        with torch.enable_grad():
            probe.learner.call({n: p.requires_grad_() for n, p in probe.phi().items()}, probe.support.inputs)
    finally:
        for hook in hooks:
            hook.remove()
    for name, module, _, function in found:
        yield no_second_derivative(f"`{name}` ({type(module).__name__})" if name else type(module).__name__, function)


def _differentiable_twice(call: Any, inputs: tuple[Any, ...]) -> bool:
    """Whether <J(x)^T v, u> has the right slopes for v, in which it is linear, and for x. Other than one tensor is not judged."""
    if len(inputs) != 1 or not (isinstance(inputs[0], torch.Tensor) and inputs[0].is_floating_point()):
        return True
    x = inputs[0].detach()
    output = call(x).detach()
    v, w, u, way = (torch.randn_like(like) for like in (output, output, x, x))

    def pulled(x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        x = x if x.requires_grad else x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(call(x), x, v, create_graph=True)
        return (slope * u).sum()

    x_leaf, v_leaf = x.clone().requires_grad_(), v.clone().requires_grad_()
    value = pulled(x_leaf, v_leaf)
    if not value.requires_grad:
        return False
    d_v, d_x = torch.autograd.grad(value, [v_leaf, x_leaf], allow_unused=True, materialize_grads=True)
    along_v, along_x = float(pulled(x, w)), float(pulled(x + 1e-5 * way, v) - pulled(x - 1e-5 * way, v)) / 2e-5
    pairs = ((float((d_v * w).sum()), along_v), (float((d_x * way).sum()), along_x))
    size = float(d_v.norm() + d_x.norm()) + abs(along_v)
    return all(abs(got - real) <= TOLERANCE * size for got, real in pairs)
