"""Learning several tasks side by side: their parameters stacked, `(tasks, ...)`, and the one recursion through all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import torch

from quickstudy.inner.derivatives import Derivatives
from quickstudy.inner.diverged import Diverged, check_outer, learning
from quickstudy.inner.losses import default_loss
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

if TYPE_CHECKING:
    from quickstudy.inner.meta_gradient import Learned
    from quickstudy.learners.gradient import GradientLearner


TASKS = 32
"""At most so many side by side: a bound on memory, of phi and its gradient at each step."""


class SideBySide(Protocol):
    """A kind of model whose tasks can be stacked."""

    @property
    def derivatives(self) -> Derivatives:
        """Those of the sum over tasks of their mean losses, for stacked parameters."""
        ...

    def alike(self, support: Batch, query: Batch) -> Hashable:
        """What two tasks have in common if they can be stacked; None of a task that cannot be."""
        ...

    def at_once(self, support: Batch) -> int:
        """How many tasks with such a support to take at once."""
        ...

    def laid_out(self, phi: Parameters) -> Parameters:
        """Parameters `(tasks, ...)` as the model reads them in memory."""
        ...

    def stacked(self, batches: Sequence[Batch]) -> Batch:
        """One batch of each task, as one batch of them all."""
        ...


def together(learner: GradientLearner, tasks: Sequence[Task], learned: Sequence[torch.Tensor]) -> list[Learned] | None:
    """What `learn` gives for each task, added up over groups of them; None where they are to be learned one by one.

    For whatever a learner does beside its losses and its calls of the model. A task that diverges is found one by one.
    """
    side = _side(learner) if learned and len(tasks) else None
    if side is None:
        return None
    pairs = [learner.numbered(task.support, task.query)[0] for task in tasks]
    kinds = [side.alike(*pair) for pair in pairs]
    if None in kinds:
        return None
    found = []
    try:
        for _, group in groupby(zip(kinds, pairs, strict=True), key=lambda both: both[0]):
            same = [pair for _, pair in group]
            size = side.at_once(same[0][0])
            for at in range(0, len(same), size):
                with learning(learner.model, seed=0):
                    found.append(_learn(learner, side, same[at : at + size], learned))
                    check_outer(*found[-1])
    except Diverged:
        return None
    return found


def _learn(learner: GradientLearner, side: SideBySide, pairs: Sequence[Any], learned: Sequence[torch.Tensor]) -> Learned:
    from quickstudy.learners.gradient import GradientLearner

    alike = type(learner).start is GradientLearner.start  # depends on the number of classes alone, which these share
    if alike:
        phi_0 = {name: value.expand(len(pairs), *value.shape) for name, value in learner.start(pairs[0][0]).items()}
    else:
        starts = [learner.start(support) for support, _ in pairs]
        phi_0 = {name: torch.stack([start[name] for start in starts]) for name in starts[0]}
    phi_0 = side.laid_out(phi_0)
    known: dict[tuple[int, ...], Batch] = {}  # most learners take every step on the same batch
    steps = list(zip(*(learner.inner_batches(support, learner.inner_steps) for support, _ in pairs), strict=True))
    places = [tuple(map(id, step)) for step in steps]
    for place, step in zip(places, steps, strict=True):
        if place not in known:
            known[place] = side.stacked(step)
    batches = [known[place] for place in places]
    query = side.stacked([query for _, query in pairs])
    return learner.differentiate(side.derivatives, side.derivatives, phi_0, batches, query, learned)


def _side(learner: GradientLearner) -> SideBySide | None:
    from quickstudy.learners.gradient import GradientLearner
    from quickstudy.learners.together.adapters import StackedAdapters
    from quickstudy.learners.together.nets import StackedNets

    own = ("call", "objective", "inner_objective", "learn")
    if any(getattr(type(learner), method) is not getattr(GradientLearner, method) for method in own):
        return None
    if learner.loss is not default_loss or not learner.rule.elementwise:
        return None
    return StackedNets.of(learner) or StackedAdapters.of(learner)
