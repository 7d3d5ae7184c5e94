"""What is seen of a person's training: the eight numbers of `TrainingEnvironment`, of any model and any optimizer."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils import get_total_norm

from quickstudy.inner.training_loop.state import LOSSES, observation


@dataclass(frozen=True)
class Point:
    """A training at the time of a decision, before it.

    Args:
        train, validation: logarithms of mean losses in nats.
        gradient: its norm.
        update: its norm over that of the weights.
        rate: of the first group of parameters.
    """

    train: float
    validation: float
    gradient: float
    update: float
    rate: float


def seen(progress: float, start: Point, before: Point, now: Point) -> torch.Tensor:
    """The observation of one training, `(1, 8)`.

    Args:
        progress: the share of the decisions that are made.
        start, before, now: at the first decision, at the last one, and at this one.
    """
    one, last, this = ({name: torch.tensor([value]) for name, value in vars(point).items()} for point in (start, before, now))
    return observation(
        progress,
        one["validation"],
        (last["train"], this["train"]),
        (last["validation"], this["validation"]),
        this["gradient"] / one["gradient"],
        this["update"],
        this["rate"] / one["rate"],
    )


def log_loss(loss: float) -> float:
    """Its logarithm, between those of the losses that count; one that is not finite is the largest."""
    least, largest = LOSSES
    return math.log(min(max(loss, least), largest) if math.isfinite(loss) else largest)


class Watched:
    """The norms of single steps of an optimizer, measured around its `step()`, of the parameters that have a gradient then.

    A copy of the weights is held during a step that is measured, and at no other time. What hangs on the optimizer goes when
    this does, or with `remove`.

    Args:
        optimizer: to be watched.

    Attributes:
        steps: made since the last `take`.
        norms: what was measured last: the gradient's norm, and the update's over that of the weights.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        self.steps, self.norms = 0, (math.nan, math.nan)
        self._asked = self._first = False
        self._copies: list[tuple[torch.Tensor, torch.Tensor]] = []
        me = weakref.ref(self)  # an optimizer outlives its schedules

        def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            if (its := me()) is not None and its._asked:
                its._copy(optimizer)

        def after(*_: Any) -> None:
            if (its := me()) is not None:
                its.steps += 1
                if its._copies:
                    its._measure()

        self._handles = optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)
        for handle in self._handles:
            weakref.finalize(self, handle.remove).atexit = False

    def ask(self, wanted: bool, *, first: bool) -> None:
        """Has the next step measured, or not.

        Args:
            wanted: whether.
            first: compares the update with the weights before it, as at the start of a training, and not after it.
        """
        self._asked, self._first = wanted, first

    def take(self) -> int:
        """The steps that were made since this was last asked."""
        steps, self.steps = self.steps, 0
        return steps

    def remove(self) -> None:
        """Lets go of the optimizer."""
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def _copy(self, optimizer: torch.optim.Optimizer) -> None:
        moving = (each for group in optimizer.param_groups for each in group["params"] if each.requires_grad)
        self._copies = [(each, each.detach().clone()) for each in moving]

    @torch.no_grad()
    def _measure(self) -> None:
        # Gradients are read after the step: an optimizer that is given a closure has none before it.
        moved = [pair for pair in self._copies if pair[0].grad is not None]
        self._copies = []
        weights = get_total_norm([pair[1 if self._first else 0] for pair in moved])
        for weight, copy in moved:
            copy.sub_(weight)
        update = get_total_norm([copy for _, copy in moved]) / weights
        self.norms = get_total_norm([_dense(weight.grad) for weight, _ in moved]).item(), update.item()


def _dense(gradient: torch.Tensor | None) -> torch.Tensor:
    """The numbers of a gradient that are not zero by its form."""
    assert gradient is not None
    return gradient.coalesce().values() if gradient.is_sparse else gradient
