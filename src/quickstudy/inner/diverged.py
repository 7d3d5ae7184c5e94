"""What is said of a task whose learning diverges: which task, which step, and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils import get_total_norm

from quickstudy.errors import QuickstudyError
from quickstudy.inner.in_words import in_words

REMEDY = "lower inner_lr, or clip the inner gradient: rule={name: sgd, clip_norm: 1.0}"


class Diverged(QuickstudyError):
    """A number on the way of learning a task is infinite or not a number.

    Args:
        what: the number and its place, such as "the inner loss is nan at step 2 of 5".
        task: the task's number in its list, from 0; None where it came alone.
        seed: the task's own; None where it is not known.
        remedy: what to do about it.
    """

    def __init__(self, what: str, *, task: int | None = None, seed: int | None = None, remedy: str = REMEDY):
        self.what, self.task, self.seed = what, task, seed
        of_seed = f"seed {seed}" if seed else ""  # a batch made by hand has none
        number = "" if task is None else f"task {task + 1}" + (f" ({of_seed})" if of_seed else "")
        whose = number or (f"the task of {of_seed}" if of_seed else "")
        super().__init__(f"{whose}{': ' if whose else ''}{what}; {remedy}")


@contextmanager
def learning(model: nn.Module, seed: int, task: int | None = None) -> Iterator[None]:
    """Says of what diverges inside that it is this task's, and puts what torch raises into words where they are known."""
    try:
        yield
    except Diverged as error:
        raise Diverged(error.what, task=task, seed=seed) from None
    except QuickstudyError:
        raise
    except (RuntimeError, ValueError) as error:
        if said := in_words(error, model):
            raise QuickstudyError(said) from error
        raise


def check_loss(value: torch.Tensor, step: int, steps: int) -> None:
    """The inner loss at `step`, from 0. One number a step, which is there already; what is wrong in phi shows in the next one.

    Raises:
        Diverged: it is not finite.
    """
    if not math.isfinite(number := value.item()):
        raise Diverged(f"the inner loss is {number} at step {step + 1} of {steps}")


def check_outer(value: torch.Tensor, gradients: Sequence[torch.Tensor]) -> None:
    """The query loss after the inner loop, and its gradient.

    Raises:
        Diverged: one of them is not finite.
    """
    if not math.isfinite(number := value.item()):
        raise Diverged(f"the query loss is {number} after the inner loop")
    if gradients and not math.isfinite(get_total_norm(gradients).item()):
        raise Diverged("the gradient of the query loss through the inner loop is not finite")


def check_learned(phi: Sequence[torch.Tensor], steps: int) -> None:
    """What was learned, where no loss follows the last step.

    Raises:
        Diverged: it is not finite.
    """
    if steps and not math.isfinite(get_total_norm(phi).item()):
        raise Diverged(f"the inner gradient is not finite at step {steps} of {steps}")
