"""The experiments that look into a learner: an output, a loss, a nudged parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from quickstudy.learners.base import Learner
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.functional import Parameters, arguments, seeded
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

CLOSE = 1e-9
"""Relative difference below which two float64 results count as the same."""


class Probe:
    """A learner and a task, and what all checks ask of them."""

    def __init__(self, learner: Learner, task: Task):
        self.task = task
        self.learner: Any = learner  # which has `objective`, `call` and `start` if it learns by gradients, or the last two
        self.model: nn.Module = getattr(learner, "model", learner)
        self.gradient = isinstance(learner, GradientLearner)
        batches = (task.support, task.query)
        self.support, self.query = learner.numbered(*batches)[0] if isinstance(learner, GradientLearner) else batches

    def phi(self) -> Parameters:
        """phi_0, without a graph."""
        started = self.learner.start(self.support) if hasattr(self.learner, "start") else {}
        return {name: value.detach() for name, value in started.items()}

    def output(self, phi: Parameters, batch: Batch | None = None, *, reseed: bool = True) -> torch.Tensor:
        """The model's output on a batch (the support), its noise drawn from the task's seed unless told otherwise."""
        inputs = (batch or self.support).inputs
        with seeded(self.task.seed, self.model) if reseed else nullcontext(), torch.no_grad():
            output = (self.learner.call if hasattr(self.learner, "call") else self.learner._function)(phi, inputs)
        return getattr(output, "logits", output)

    def loss(self, phi: Parameters, batch: Batch | None = None) -> torch.Tensor:
        """The mean loss on a batch (the support)."""
        with seeded(self.task.seed, self.model):
            value, weight = self.learner.objective(phi, batch or self.support, True)
        return value / weight

    @contextmanager
    def buffers_in_place(self) -> Iterator[None]:
        """Calls of the model go to its own buffers, as a plain training loop's would."""

        def call(parameters: Parameters, inputs: Any) -> Any:
            args, kwargs = arguments(inputs)
            return functional_call(self.model, parameters, args, kwargs)

        cloning, self.learner._function = self.learner._function, call
        try:
            yield
        finally:
            self.learner._function = cloning


@contextmanager
def nudged(parameters: Mapping[str, torch.Tensor], nudges: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Parameters with something added to some, inside the block."""
    before = {name: parameters[name].detach().clone() for name in nudges}
    with torch.no_grad():
        for name, nudge in nudges.items():
            parameters[name].add_(nudge)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in before.items():
                parameters[name].copy_(value)


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two outputs are equal to rounding."""
    if left.shape != right.shape or not torch.equal(left.isnan(), right.isnan()):
        return False
    left, right = left.nan_to_num(), right.nan_to_num()
    return bool((left - right).abs().max() <= CLOSE * (1 + left.abs().max()))
