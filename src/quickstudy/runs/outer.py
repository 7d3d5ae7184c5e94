"""The outer loop's step: the gradient of the outer objective, and the move along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import OuterPart, Recipe

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
        """The outer step at this index, from 0: `{"loss", "lr"}`.

        Each process takes its share of the tasks, and its loss counts by that share, so that the sum over processes is
        the mean over tasks. A learner that acts may yield more parts in one process than in another: all go on until
        none has any left, and who has none gives zeros.
        """
        learner, recipe = self.learner, self.recipe
        learner.progress = index / recipe.steps
        learner.train(recipe.dropout)
        lr = learner.outer_lr * rate_at(index, recipe.steps, recipe.outer)
        mine = self.processes.share(tasks)
        parts = iter(learner.batches(mine) if len(mine) else ())
        losses = []
        while True:
            batch = next(parts, ())
            everyone = self.processes.total(len(batch))
            if not everyone:
                break
            if self.optimizer is not None:
                losses.append(self._move(self.optimizer, batch, len(batch) / everyone, lr, index + 1))
        learner.eval()
        return {"loss": sum(losses) / len(losses) if losses else None, "lr": lr}

    def _move(self, optimizer: torch.optim.Optimizer, batch: Any, share: float, lr: float, number: int) -> float:
        optimizer.zero_grad()
        value = 0.0
        if len(batch):
            loss = self.learner(batch)
            (loss * share).backward()
            value = loss.item() * share
        value = self.processes.total(value)
        self.processes.sum_gradients(self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.outer.clip or math.inf).item()
        if not (math.isfinite(value) and math.isfinite(norm)):
            what = "loss" if not math.isfinite(value) else "gradient"
            raise NotFinite(f"the {what} is not finite at step {number} (loss {value}, norm of the gradient {norm})")
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        return value


class NotFinite(QuickstudyError):
    """The loss or its gradient is infinite or not a number; nothing has moved along it."""


def rate_at(index: int, steps: int, outer: OuterPart) -> float:
    """The share of the full learning rate at this step, from 0: a linear rise in the warm-up, then the schedule."""
    warmup = round(outer.warmup * steps)
    if index < warmup:
        return (index + 1) / warmup
    left = (steps - index) / max(1, steps - warmup)
    return {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}[outer.schedule]
