"""A learner and a task in double precision, for a while: what finite differences need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from quickstudy.learners.base import Learner
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task


@contextmanager
def in_double(learner: Learner) -> Iterator[None]:
    """float64 in place, so that a closure over a parameter still sees the same object; undone afterwards.

    What a model asks to have in single precision inside its own forward (the norms of Llama and its kin, their attention and
    positions) is double there too: differences of numbers that were rounded to single precision say nothing.
    """
    parameters = [(p, p.data, p.data.clone(), p.grad) for p in torch.nn.Module.parameters(learner)]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in learner.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        for p, *_ in parameters:
            p.grad = None
        learner.double()
        with Wide():
            yield
    finally:
        for p, data, value, grad in parameters:
            p.data, p.grad = data.copy_(value), grad
        for module, name, buffer, value in buffers:
            with torch.no_grad():
                buffer.copy_(value)
            module._buffers[name] = buffer


def task_in_double(task: Task) -> Task:
    """The same task with real numbers in float64."""

    def wide(leaf: Any) -> Any:
        return leaf.double() if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf

    def batch(b: Batch) -> Batch:
        return b.map(wide)

    return Task(batch(task.support), batch(task.query), seed=task.seed)


class Wide(TorchFunctionMode):
    """Inside, what asks for single precision gets double."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def wide(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        func = torch.Tensor.double if func is torch.Tensor.float else func
        return func(*map(wide, args), **{name: wide(value) for name, value in (kwargs or {}).items()})
