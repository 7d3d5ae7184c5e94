"""A rehearsal: an outer step in which everything happens but the calls of the model, which are noted instead.

So the recursion itself says which calls it makes, in parts of which size, and what it keeps meanwhile: none of that is
written down a second time here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.derivatives import Autograd, Derivatives, gradients_of, leaves
from quickstudy.inner.layerwise.net import Net, _chunks
from quickstudy.inner.loop import InnerLoop
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.joint import JointTraining
from quickstudy.learners.gradient import GradientLearner
from quickstudy.learners.metric import MetricLearner
from quickstudy.models.encoder import Encoder
from quickstudy.models.functional import Parameters
from quickstudy.runs.plan.calls import Call, Features, Notes, Run, features_of
from quickstudy.tasks.batch import Batch

Here = Callable[[], None]
Eta = Sequence[torch.Tensor]
Tapes = tuple[int, ...]
"""The numbers of the calls that leave something for a later one."""


def rehearsing(learner: Learner, notes: Notes) -> Learner:
    """The learner with calls that are noted instead of made. It shares all of its parts.

    Raises:
        QuickstudyError: neither a gradient learner nor a metric learner.
    """
    cls: Any = type(learner)
    if isinstance(learner, JointTraining):
        methods: dict[str, Any] = {"_joint": lambda self, batch: _jointly(learner, batch, notes)}
    elif isinstance(learner, GradientLearner):

        def noted(real: Derivatives, inner: bool) -> Derivatives:
            if isinstance(real, _Noted):
                return real
            if isinstance(real, Autograd):
                return _NotedGraphs(real.objective, real.model, real.micro_batch, real, learner, notes, inner)
            return _Noted(real, learner, notes, inner)

        methods = {
            "_inner": property(lambda self: noted(cls._inner.fget(self), True)),
            "_outer": property(lambda self: noted(cls._outer.fget(self), False)),
            "differentiate": lambda self, inner, outer, *rest: cls.differentiate(
                self, noted(inner, True), noted(outer, False), *rest
            ),
        }
    elif isinstance(learner, MetricLearner):
        methods = {"_call": lambda self, inputs: _embedded(learner, inputs, notes)}
    else:
        raise QuickstudyError(
            f"{learner.title} is neither a gradient learner nor a metric learner, and plan knows only these; `quickstudy train` "
            "with --set steps=10 shows what a step takes"
        )
    twin = copy.copy(learner)
    twin.__class__ = type(cls.__name__, (cls,), methods)
    return twin


class _Noted:
    """In the place of a loss's derivatives: notes what is asked and answers at once, with small numbers that mean nothing."""

    real: Any
    learner: GradientLearner
    notes: Notes
    inner: bool

    def __init__(self, real: Derivatives, learner: GradientLearner, notes: Notes, inner: bool):
        self.real, self.learner, self.notes, self.inner = real, learner, notes, inner

    def value(self, phi: Parameters, batch: Batch) -> torch.Tensor:
        self.note("value", phi, batch, (), lambda phi, part, eta: lambda _: self.real.value(phi, part))
        return torch.ones(())

    def slope(self, phi: Parameters, batch: Batch, eta: Eta = (), keep: bool = False):
        tapes: Tapes = ()
        if keep and isinstance(self.real, Net):
            tapes = self.note("taped", phi, batch, eta, self._taped)
        else:
            self.note("slope", phi, batch, eta, lambda phi, part, eta: lambda _: self.real.slope(phi, part, eta))
        return torch.ones(()), tapes, {name: _small(value) for name, value in phi.items()}, list(map(_small, eta))

    def hessian_vector(self, batch: Batch, phi: Parameters, kept: Tapes, vector: Parameters, eta: Eta):
        if kept:
            self.note("product of a tape", phi, batch, eta, self._of_tape, frees=kept)
        else:
            self.note("product", phi, batch, eta, self._product)
        return {name: value * _small(value) for name, value in vector.items()}, list(map(_small, eta))

    def _taped(self, phi: Parameters, part: Batch, eta: Eta) -> Run:
        def run(here: Here) -> None:
            tape = self.real.slope(phi, part, eta, True)[1]
            here()
            del tape

        return run

    def _of_tape(self, phi: Parameters, part: Batch, eta: Eta) -> Run:
        tape = self.real.slope(phi, part, (), True)[1]
        return lambda _: self.real.hessian_vector(part, phi, tape, phi, eta)

    def _product(self, phi: Parameters, part: Batch, eta: Eta) -> Run:
        kept = None if isinstance(self.real, Net) else 1.0
        return lambda _: self.real.hessian_vector(part, phi, kept, phi, eta)

    def note(self, what: str, phi: Parameters, batch: Batch, eta: Eta, prepare: Any, frees: Tapes = ()) -> Tapes:
        """Notes a call for each part of a batch; `prepare(phi, part, eta)` gives what makes it."""
        numbers: list[int] = []
        for at, (part_phi, part) in enumerate(self._parts(phi, batch)):
            numbers.append(self.notes.take(self._call(what, part_phi, part, eta, prepare, frees[at] if frees else None)))
        return tuple(numbers)

    def _parts(self, phi: Parameters, batch: Batch) -> Iterator[tuple[Parameters, Batch]]:
        if isinstance(self.real, Net):
            yield from _chunks(batch, phi)
        else:
            yield from ((phi, part) for part in batch.split(self.real.micro_batch))

    def _call(self, what: str, phi: Parameters, part: Batch, eta: Eta, prepare: Any, frees: int | None) -> Call:
        stacked = isinstance(self.real, Net)  # rows are tasks
        examples = part.inputs.shape[1] if stacked else 1
        kind = (what, getattr(getattr(self.real, "objective", None), "__qualname__", ""), bool(eta), stacked, examples)
        some, learned = self.notes.known(kind, phi, eta)

        def features(rows: Sequence[int]) -> Features:
            if stacked:
                return 1.0, float(len(rows) * examples)
            return features_of(self.learner.model, part.inputs, rows, self.real.micro_batch)

        def prepared(rows: Sequence[int]) -> Run:
            return prepare(
                {name: value[list(rows)] for name, value in some.items()} if stacked else some, part.take(rows), learned
            )

        return Call(what, kind, len(part), features, prepared, frees)


@dataclass(frozen=True)
class _NotedGraphs(_Noted, Autograd):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The same for a loss whose graphs may be kept."""

    real: Any = None
    learner: Any = None
    notes: Any = None
    inner: bool = False

    def sums(self, phi: Parameters, batch: Batch):
        learned = list(self.learner.parameters())
        if not self.inner:
            self.note("graph", phi, batch, learned, self._graph)
        elif self.learner.second_order:
            self.note("step", phi, batch, learned, self._step)
        else:
            self.note("slope", phi, batch, (), lambda phi, part, eta: lambda _: self.real.slope(phi, part))
        return torch.stack([value.square().sum() for value in phi.values()]).sum() + 1.0, 1.0

    def _step(self, phi: Parameters, part: Batch, eta: Eta) -> Run:
        """A step whose graph is kept, and the way back through it."""

        def run(here: Here) -> None:
            with torch.enable_grad():
                start = leaves(phi)
                (end,) = InnerLoop(self.real, self.learner.rule, self.real.model).learn_with_graph(
                    start, [part], second_order=True
                )
                value = torch.stack([value.sum() for value in end.values()]).sum()
                del end
                here()
                gradients_of(value, [*start.values(), *eta])

        return run

    def _graph(self, phi: Parameters, part: Batch, eta: Eta) -> Run:
        """A loss with its graph, and the way back through it."""

        def run(here: Here) -> None:
            with torch.enable_grad():
                start = leaves(phi)
                value = self.real.mean(start, part)
                here()
                gradients_of(value, [*start.values(), *eta])

        return run


def _embedded(learner: MetricLearner, inputs: Any, notes: Notes) -> torch.Tensor:
    """Embeddings that mean nothing; the call that would make them is noted."""
    batch, learned = Batch(inputs), list(learner.parameters())

    def prepared(rows: Sequence[int]) -> Run:
        some = batch.take(rows).inputs

        def run(here: Here) -> None:
            with torch.enable_grad():
                value = learner._call(some).sum()
                here()
                gradients_of(value, learned)

        return run

    notes.take(Call("embedded", "embedded", len(batch), lambda rows: features_of(learner.model, inputs, rows), prepared))
    dim = int(learner.model.dim) if isinstance(learner.model, Encoder) else learner._function({}, inputs).shape[1]
    tied = torch.stack([p.sum() for p in learned]).sum() * 0  # so that each parameter has a gradient
    return torch.linspace(0.1, 1.0, len(batch) * dim).view(len(batch), dim).to(learned[0]) + tied


def _jointly(learner: JointTraining, batch: Batch, notes: Notes) -> tuple[torch.Tensor, float]:
    """A joint loss that means nothing; the call that would make it is noted."""
    learned = list(learner.parameters())

    def prepared(rows: Sequence[int]) -> Run:
        def run(here: Here) -> None:
            with torch.enable_grad():
                value, _ = learner._joint(batch.take(rows))
                here()
                gradients_of(value, learned)

        return run

    notes.take(Call("graph", "joint", len(batch), lambda rows: features_of(learner.model, batch.inputs, rows), prepared))
    return torch.stack([p.sum() for p in learned]).sum() * 0 + 1.0, 1.0


def _small(value: torch.Tensor) -> torch.Tensor:
    """Numbers of this shape, all different, so that nothing ends early because it is solved."""
    return torch.linspace(1e-7, 1e-6, value.numel(), device=value.device, dtype=value.dtype).view(value.shape)
