"""The outer loop's step: the gradient of the outer objective, and the move along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed

from quickstudy.errors import QuickstudyError
from quickstudy.inner.diverged import REMEDY, Diverged
from quickstudy.learners.base import Learner
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import OuterPart, Recipe

OUTER_REMEDY = "lower outer_lr, or give outer.clip"
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class OuterLoop:
    """One outer step after another.

    Args:
        learner: what learns. Without trainable parameters there is no optimizer, and a step only offers it the tasks.
        recipe: optimizer, schedule and mode.
        processes: who shares the tasks of a step.
    """

    def __init__(self, learner: Learner, recipe: Recipe, processes: Processes):
        self.learner, self.recipe, self.processes = learner, recipe, processes
        self.parameters = list(learner.parameters())
        self.optimizer = None
        if self.parameters:
            make = OPTIMIZERS[recipe.outer.optimizer]
            self.optimizer = make(self.parameters, lr=learner.outer_lr, weight_decay=recipe.outer.weight_decay)

    def step(self, index: int, tasks: Sequence[Any]) -> dict[str, float | None]:
        """The outer step at this index, from 0: `{"loss", "lr"}`. Its random state depends on seed and index alone.

        Each process takes its share of the tasks, and its loss counts by that share, so that the sum over processes is
        the mean over tasks. A learner that acts may yield more parts in one process than in another: all go on until
        none has any left, and who has none gives zeros.

        Raises:
            NotFinite: in every process, where one of them met a loss or a gradient that is not finite.
        """
        learner, recipe = self.learner, self.recipe
        torch.manual_seed(int(np.random.SeedSequence((recipe.seed, index + 1)).generate_state(1, np.uint64)[0]) >> 1)
        learner.progress = index / recipe.steps
        learner.train(recipe.dropout)
        lr = self.rate(index)
        mine = self.processes.share(tasks)
        parts = iter(learner.batches(mine) if len(mine) else ())
        losses = []
        while True:
            batch = next(parts, ())
            everyone = self.processes.total(len(batch))
            if not everyone:
                break
            if self.optimizer is not None:
                losses.append(self._move(self.optimizer, batch, len(batch) / everyone, lr))
        learner.eval()
        return {"loss": sum(losses) / len(losses) if losses else None, "lr": lr}

    def rate(self, index: int) -> float:
        """The outer learning rate of the step at this index."""
        return self.learner.outer_lr * rate_at(index, self.recipe.steps, self.recipe.outer)

    def _move(self, optimizer: torch.optim.Optimizer, batch: Any, share: float, lr: float) -> float:
        """Moves along the gradient of a part; in no process where it is not finite in one of them."""
        optimizer.zero_grad()
        value, said = 0.0, ""
        try:
            if len(batch):
                loss = self.learner(batch)
                (loss * share).backward()
                value = loss.item() * share
        except Diverged as error:
            value, said = math.nan, self._whose(error)
        value = self.processes.total(value)
        if not math.isfinite(value):
            raise NotFinite(next(filter(None, self._everyones(said)), f"the loss is {value}; {OUTER_REMEDY}"))
        self.processes.sum_gradients(self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.outer.clip or math.inf).item()
        if not math.isfinite(norm):
            raise NotFinite(f"the norm of the outer gradient is {norm}, of a loss of {value}; {OUTER_REMEDY}")
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        return value

    def _whose(self, error: Diverged) -> str:
        """What diverged, by the task's number in the step's own list, of which this process has a part."""
        rank, world = self.processes.rank, self.processes.world
        number = None if error.task is None else error.task * world + rank
        return str(
            Diverged(
                error.what, task=number, seed=error.seed, remedy=f"{REMEDY}; where training went well before, {OUTER_REMEDY}"
            )
        )

    def _everyones(self, said: str) -> list[str]:
        """What each process says, in all of them."""
        if self.processes.world == 1:
            return [said]
        told = [""] * self.processes.world
        distributed.all_gather_object(told, said)
        return told


class NotFinite(QuickstudyError):
    """The loss or its gradient is infinite or not a number; nothing has moved along it, in any process."""


def rate_at(index: int, steps: int, outer: OuterPart) -> float:
    """The share of the full learning rate at this step, from 0: a linear rise in the warm-up, then the schedule."""
    warmup = round(outer.warmup * steps)
    if index < warmup:
        return (index + 1) / warmup
    left = (steps - index) / max(1, steps - warmup)
    return {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}[outer.schedule]
