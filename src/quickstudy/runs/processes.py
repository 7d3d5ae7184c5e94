"""Several processes on one training, as `torchrun` starts them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as distributed

from quickstudy.errors import QuickstudyError

Result = TypeVar("Result")
PATIENCE = timedelta(hours=24)
"""How long the others wait while process 0 validates; a process that dies ends the others by way of torchrun."""


@dataclass(frozen=True)
class Processes:
    """Who takes part. Alone (`world` of 1), everything here does nothing.

    Args:
        rank: this process's number, from 0; process 0 validates and writes.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    @contextmanager
    def join(cls) -> Iterator[Processes]:
        """Meets the other processes that `torchrun` started, if it did, and parts from them at the end."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1 or distributed.is_initialized():
            yield cls(distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else cls()
            return
        # Its functions have the group of the moment as a default. Optimizers import it; then the group would outlive its end,
        # and a worker thread of the group that still runs while the interpreter goes down aborts the process.
        importlib.import_module("torch.distributed.nn.functional")
        distributed.init_process_group("gloo", timeout=PATIENCE)
        try:
            yield cls(distributed.get_rank(), distributed.get_world_size())
            distributed.barrier()  # one that leaves while another still talks to it can abort on its way out
        finally:
            distributed.destroy_process_group()

    def share(self, tasks: Sequence[Any]) -> Sequence[Any]:
        """This process's part of the tasks, one in `world`; may be empty."""
        return tasks[self.rank :: self.world] if self.world > 1 else tasks

    def total(self, value: float) -> float:
        """The sum over all processes."""
        if self.world == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(number)
        return number.item()

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replaces each gradient by the sum over all processes, all in one message; a missing one counts as zero.

        One that is missing everywhere stays missing: optimizers pass over such a parameter, as they do in one process.
        """
        if self.world == 1 or not parameters:
            return
        there = parameters[0].new_tensor([p.grad is not None for p in parameters])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([there, *(gradient.detach().flatten() for gradient in gradients)]).cpu()
        distributed.all_reduce(flat)
        there, *sums = flat.split([len(parameters), *(p.numel() for p in parameters)])
        for parameter, anywhere, summed in zip(parameters, there.tolist(), sums, strict=True):
            parameter.grad = summed.view_as(parameter).to(parameter) if anywhere else None

    def first(self, work: Callable[[], Result]) -> Result:
        """Does the work in process 0 alone; all get its result, or its `QuickstudyError`."""
        if self.world == 1:
            return work()
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer[0] = work()
            except QuickstudyError as error:
                answer[1] = str(error)
        distributed.broadcast_object_list(answer, src=0)
        if answer[1] is not None:
            raise QuickstudyError(answer[1])
        return answer[0]
