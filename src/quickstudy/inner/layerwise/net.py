"""A net of plain layers with the parameters of several tasks at once: gradients and Hessian-vector products, without a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from quickstudy.inner.layerwise.layers import Layer, Values
from quickstudy.inner.layerwise.layout import in_layout
from quickstudy.inner.layerwise.parts import Part, key
from quickstudy.inner.losses import Loss
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch

IMAGES = 80
"""Images of all tasks together in one sweep through the net."""
Tape = tuple[torch.Tensor, list[tuple[Any, Any]]]
"""The output of some tasks, and what each layer keeps of its forward and its backward pass."""


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

    def slope(self, phi: Parameters, batch: Batch, eta: Sequence[torch.Tensor] = (), keep: bool = False):
        """The sum over tasks of their mean losses, tapes (None without `keep`), its gradient for phi `(tasks, ...)` and eta."""
        found = [self._slope(part, examples, eta, keep) for part, examples in _chunks(batch, phi)]
        value = torch.stack([value for value, *_ in found]).sum()
        tapes = [tape for _, tape, *_ in found] if keep else None
        return value, tapes, _joined([slopes for *_, slopes, _ in found], phi), _added([slopes for *_, slopes in found])

    def hessian_vector(
        self, batch: Batch, phi: Parameters, kept: list[Tape] | None, vector: Parameters, eta: Sequence[torch.Tensor]
    ):
        """dz/dphi and dz/deta of z = <dL/dphi, vector>: the tangent of the gradient along the vector. Tapes are used up."""
        found = [
            self._tangent(part, along, examples, eta, kept.pop(0) if kept else None)
            for part, along, examples in _chunks(batch, phi, vector)
        ]
        return _joined([tangents for tangents, _ in found], phi), _added([tangents for _, tangents in found])

    @torch.no_grad()
    def _value(self, phi: Parameters, batch: Batch) -> torch.Tensor:
        return self._judged(self._forward(self._values(phi, batch), batch)[0], batch.targets)[0]

    @torch.no_grad()
    def _slope(self, phi: Parameters, batch: Batch, eta: Sequence[torch.Tensor], keep: bool):
        values, found = self._values(phi, batch), {}
        value, tape = self._swept(values, batch, found, keep)
        return value, tape, {name: found[name] for name in phi}, self._of_eta(found, phi, eta)

    @torch.no_grad()
    def _tangent(self, phi: Parameters, vector: Parameters, batch: Batch, eta: Sequence[torch.Tensor], tape: Tape | None):
        values = self._values(phi, batch)
        output, kept = tape or self._swept(values, batch, None, True)[1]
        moved, d = [], None
        for (name, layer, names), (forward, _) in zip(self.parts, kept, strict=True):
            d, more = layer.tangent(forward, _own(values, name, names), d, self._direction(values, vector, name, names))
            moved.append(more)
        dg: Any = self._judged(output, batch.targets, d)[2]
        found: Parameters = {}
        for name, layer, p, first in self._backwards(values):
            direction = self._direction(values, vector, name, list(p))
            dg, slopes = layer.backward_tangent(*kept.pop(), moved.pop(), p, direction, dg, first)
            found |= {key(name, each): slope for each, slope in slopes.items()}
        return {name: found[name] for name in phi}, self._of_eta(found, phi, eta)

    def _swept(self, values: Parameters, batch: Batch, found: Parameters | None, keep: bool) -> tuple[torch.Tensor, Tape]:
        """One forward and one backward pass: the loss, and its tape if that is kept. Gradients go to `found`."""
        output, kept = self._forward(values, batch)
        g: Any
        value, g, _ = self._judged(output, batch.targets)
        tape = []
        for name, layer, p, first in self._backwards(values):
            forward = kept.pop()
            g, pulled = layer.backward(forward, p, g, first)
            if found is not None:
                found |= {key(name, each): slope for each, slope in layer.slopes(forward, p, pulled).items()}
            if keep:
                tape.insert(0, (forward, pulled))
        return value, (output, tape)

    def _values(self, phi: Parameters, batch: Batch) -> Parameters:
        tasks = len(batch.inputs)
        return {name: value.detach().expand(tasks, *value.shape) for name, value in self.own.items() if name not in phi} | phi

    def _forward(self, values: Parameters, batch: Batch) -> tuple[torch.Tensor, list[Any]]:
        x, kept = batch.inputs, []
        if x.ndim == 5:
            x = in_layout(x)
        for name, layer, names in self.parts:
            x, more = layer.forward(x, _own(values, name, names))
            kept.append(more)
        return x, kept

    def _backwards(self, values: Parameters) -> Iterator[tuple[str, Layer, Values, bool]]:
        for at in reversed(range(len(self.parts))):
            name, layer, names = self.parts[at]
            yield name, layer, _own(values, name, names), at == 0

    def _direction(self, values: Parameters, vector: Parameters, name: str, names: list[str]) -> Values:
        keys = {each: key(name, each) for each in names}
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


def _joined(parts: Sequence[Parameters], like: Parameters) -> Parameters:
    """Of all tasks, lying in memory as these do."""
    if len(parts) == 1:
        return parts[0]
    whole = {name: torch.empty_like(value) for name, value in like.items()}
    for name, value in whole.items():
        for place, part in zip(value.split([len(part[name]) for part in parts]), parts, strict=True):
            place.copy_(part[name])
    return whole


def _added(parts: Sequence[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [torch.stack(each).sum(0) for each in zip(*parts, strict=True)] if len(parts) > 1 else parts[0]


def _own(values: Parameters, name: str, names: Sequence[str]) -> Values:
    return {each: values[key(name, each)] for each in names}
