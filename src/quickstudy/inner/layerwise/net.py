"""A net of plain layers with the parameters of several tasks at once: gradients and Hessian-vector products, without a graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.inner.layerwise.fixed import Flatten, MaxPool, Mean, ReLU
from quickstudy.inner.layerwise.layers import BatchNorm, Convolution, Layer, Linear, Values
from quickstudy.inner.layerwise.layout import in_layout
from quickstudy.inner.losses import Loss
from quickstudy.models.batch_norm import looks_across
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch

KINDS: dict[type[nn.Module], Any] = {
    nn.AdaptiveAvgPool2d: Mean,
    nn.BatchNorm2d: BatchNorm,
    nn.Conv2d: Convolution,
    nn.Flatten: Flatten,
    nn.Linear: Linear,
    nn.MaxPool2d: MaxPool,
    nn.ReLU: ReLU,
}
IMAGES = 80
"""Images of all tasks together in one sweep through the net."""
Part = tuple[str, Layer, list[str]]
"""A layer's name in the model, the layer, and the names of its own parameters."""


def parts_of(model: nn.Module) -> list[Part] | None:
    """The layers of an `nn.Sequential` of nothing but the plain ones of `KINDS`; None of any other model."""
    parts: list[Part] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            return None
        if type(module) is nn.Sequential:
            continue
        if type(module) not in KINDS or not _plain(module):
            return None
        parts.append((name, KINDS[type(module)](module), [each for each, _ in module.named_parameters()]))
    shared = any(
        len([*once]) < len([*every])
        for once, every in (
            (model.modules(), model.named_modules(remove_duplicate=False)),
            (model.parameters(), model.named_parameters(remove_duplicate=False)),
        )
    )
    return None if shared or not _fit([layer for _, layer, _ in parts]) else parts


def reads(parts: Sequence[Part]) -> int:
    """Dimensions of the input that the layers take: 4 of images, 2 of features."""
    return 2 if isinstance(next(layer for _, layer, _ in parts if not isinstance(layer, ReLU)), Linear) else 4


class Net:
    """Layers in sequence as a function of stacked parameters.

    Args:
        parts: from `parts_of`.
        own: the model's parameters; those that no task moves count for every task.
        loss: one value an example, or values and weights.
    """

    def __init__(self, parts: Sequence[Part], own: Parameters, loss: Loss):
        self.parts, self.own, self.loss = parts, own, loss

    def value(self, phi: Parameters, batch: Batch) -> torch.Tensor:
        """The sum over tasks of their mean losses."""
        return torch.stack([self._value(part, examples) for part, examples in _chunks(batch, phi)]).sum()

    def slope(self, phi: Parameters, batch: Batch, eta: Sequence[torch.Tensor] = ()):
        """The sum over tasks of their mean losses, 1, its gradient for phi `(tasks, ...)` and for eta."""
        found = [self._slope(part, examples, eta) for part, examples in _chunks(batch, phi)]
        value = torch.stack([value for value, _, _ in found]).sum()
        return value, 1.0, _joined([slopes for _, slopes, _ in found]), _added([slopes for _, _, slopes in found])

    def hessian_vector(self, batch: Batch, phi: Parameters, weight: float, vector: Parameters, eta: Sequence[torch.Tensor]):
        """dz/dphi and dz/deta of z = <dL/dphi, vector>: the tangent of the gradient along the vector."""
        found = [self._tangent(part, along, examples, eta) for part, along, examples in _chunks(batch, phi, vector)]
        return _joined([tangents for tangents, _ in found]), _added([tangents for _, tangents in found])

    @torch.no_grad()
    def _value(self, phi: Parameters, batch: Batch) -> torch.Tensor:
        return self._judged(self._forward(self._values(phi, batch), batch)[0], batch.targets)[0]

    @torch.no_grad()
    def _slope(self, phi: Parameters, batch: Batch, eta: Sequence[torch.Tensor]):
        values = self._values(phi, batch)
        output, tape = self._forward(values, batch)
        g: Any
        value, g, _ = self._judged(output, batch.targets)
        found: Parameters = {}
        for name, layer, kept, p, first in self._backwards(tape, values):
            g, slopes = layer.backward(kept, p, g, first)
            found |= {_key(name, each): slope for each, slope in slopes.items()}
        return value, {name: found[name] for name in phi}, self._of_eta(found, phi, eta)

    @torch.no_grad()
    def _tangent(self, phi: Parameters, vector: Parameters, batch: Batch, eta: Sequence[torch.Tensor]):
        values = self._values(phi, batch)
        output, tape = self._forward(values, batch)
        moved, d = [], None
        for (name, layer, names), kept in zip(self.parts, tape, strict=True):
            d, more = layer.tangent(kept, _own(values, name, names), d, self._direction(values, vector, name, names))
            moved.append(more)
        g: Any
        dg: Any
        _, g, dg = self._judged(output, batch.targets, d)
        found: Parameters = {}
        for name, layer, kept, p, first in self._backwards(tape, values):
            direction = self._direction(values, vector, name, list(p))
            g, dg, slopes = layer.backward_tangent(kept, moved.pop(), p, direction, g, dg, first)
            found |= {_key(name, each): slope for each, slope in slopes.items()}
        return {name: found[name] for name in phi}, self._of_eta(found, phi, eta)

    def _values(self, phi: Parameters, batch: Batch) -> Parameters:
        tasks = len(batch.inputs)
        return {name: value.detach().expand(tasks, *value.shape) for name, value in self.own.items() if name not in phi} | phi

    def _forward(self, values: Parameters, batch: Batch) -> tuple[torch.Tensor, list[Any]]:
        x, tape = batch.inputs, []
        if x.ndim == 5:
            x = in_layout(x)
        for name, layer, names in self.parts:
            x, kept = layer.forward(x, _own(values, name, names))
            tape.append(kept)
        return x, tape

    def _backwards(self, tape: list[Any], values: Parameters) -> Iterator[tuple[str, Layer, Any, Values, bool]]:
        for at in reversed(range(len(self.parts))):
            name, layer, names = self.parts[at]
            yield name, layer, tape.pop(), _own(values, name, names), at == 0

    def _direction(self, values: Parameters, vector: Parameters, name: str, names: list[str]) -> Values:
        keys = {each: _key(name, each) for each in names}
        return {each: vector[key] if key in vector else torch.zeros_like(values[key]) for each, key in keys.items()}

    def _judged(self, output: torch.Tensor, targets: torch.Tensor, d: torch.Tensor | None = None):
        """The sum of the tasks' mean losses, its gradient for the output, and the tangent of that; by autograd."""
        with torch.enable_grad():
            leaf = output.detach().requires_grad_()
            found = self.loss(leaf.flatten(0, 1), targets.flatten(0, 1))
            losses, weights = found if isinstance(found, tuple) else (found, torch.ones_like(found))
            losses, weights = losses.reshape(len(output), -1), weights.reshape(len(output), -1)
            value = ((losses * weights).sum(1) / weights.sum(1)).sum()
            (g,) = torch.autograd.grad(value, leaf, create_graph=d is not None)
            dg = None
            if d is not None:
                dg = torch.autograd.grad(g, leaf, d)[0] if g.requires_grad else torch.zeros_like(g)
        return value.detach(), g.detach(), dg

    def _of_eta(self, found: Parameters, phi: Parameters, eta: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        place = {id(value): name for name, value in self.own.items() if name not in phi}
        return [found[place[id(e)]].sum(0) if id(e) in place else torch.zeros_like(e) for e in eta]


def _chunks(batch: Batch, *values: Parameters) -> Iterator[tuple[Any, ...]]:
    """Some tasks at a time: so many that a convolution has images enough, so few that its values stay in a processor's cache."""
    tasks = len(batch.inputs)
    size = max(1, IMAGES // batch.inputs.shape[1]) if batch.inputs.ndim == 5 and not batch.inputs.is_cuda else tasks
    for at in range(0, tasks, size):
        some = slice(at, at + size)
        part = batch.map(lambda leaf, some=some: leaf[some])
        yield *({name: value[some] for name, value in each.items()} for each in values), part


def _joined(parts: Sequence[Parameters]) -> Parameters:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]


def _added(parts: Sequence[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [torch.stack(each).sum(0) for each in zip(*parts, strict=True)] if len(parts) > 1 else parts[0]


def _key(name: str, each: str) -> str:
    return f"{name}.{each}" if name else each


def _own(values: Parameters, name: str, names: Sequence[str]) -> Values:
    return {each: values[_key(name, each)] for each in names}


def _fit(layers: Sequence[Layer]) -> bool:
    """Whether images come first, `Flatten` between, features last, as the layers here have them."""
    kinds = ["f" if isinstance(layer, Linear) else "|" if isinstance(layer, Flatten) else "i" for layer in layers]
    order = "".join(kind for kind, layer in zip(kinds, layers, strict=True) if not isinstance(layer, ReLU))
    return re.fullmatch(r"(i*\|)?f*", order) is not None and order != ""


def _plain(module: nn.Module) -> bool:
    """Whether the module uses no option that its counterpart here lacks."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if isinstance(module, nn.BatchNorm2d):
        return looks_across(module)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return module.output_size in (1, (1, 1))
    if isinstance(module, nn.MaxPool2d):
        return not module.return_indices
    return not isinstance(module, nn.Flatten) or (module.start_dim, module.end_dim) == (1, -1)
