"""`TrainingState`: how far trainings are, and what is seen of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from quickstudy.inner.training_loop.networks import Trained, losses, norm
from quickstudy.models.functional import Parameters
from quickstudy.tasks.environments.environment import Tensors

LOSSES = 1e-4, 100.0
"""The least and the largest mean loss in nats that count, so that its logarithm and the rewards stay finite."""

CUT = 10.0
"""Logarithms in an observation are cut to this size."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Losses after some updates.

    Args:
        rows: of the training rows, `(trials, rows)`, with the labels that are trained on.
        train, validation: logarithms of the means, `(trials,)`.
        diverged: whether the validation loss is not finite, or was not before, `(trials,)`.
    """

    rows: torch.Tensor
    train: torch.Tensor
    validation: torch.Tensor
    diverged: torch.Tensor


def judge(
    tasks: Tensors, phi: Parameters, data: torch.Tensor, held_out: torch.Tensor, diverged: torch.Tensor | None = None
) -> Judged:
    """Losses of `data` and `held_out`, `(trials, rows, dim)`; those that have diverged keep the largest one."""
    rows = losses(phi, data, tasks["labels"])
    there = torch.arange(rows.shape[1]) < tasks["count"][:, None]
    train = torch.where(there, rows, torch.zeros(())).sum(1) / tasks["count"]
    validation = losses(phi, held_out, tasks["validation_labels"]).mean(1)
    broken = ~validation.isfinite()
    over = broken if diverged is None else diverged | broken
    return Judged(rows, _log(train, over), _log(validation, over), over)


def _log(loss: torch.Tensor, over: torch.Tensor) -> torch.Tensor:
    worst = LOSSES[1]
    return torch.where(over, worst, torch.nan_to_num(loss, nan=worst).clamp(*LOSSES)).log()


@dataclass(frozen=True, eq=False)
class TrainingState:
    """How far trainings are.

    Args:
        data, held_out: inputs of training and validation, `(trials, rows, dim)`.
        trained: the learners.
        judged: their losses.
        rates: the last ones, `(trials,)`.
        decisions: so far.
        start: log validation loss before the first update, `(trials,)`.
        first_gradient_norm: norm of the first minibatch's gradient, `(trials,)`.
        gradient_norm, update_norm: means over the updates of the last decision, `(trials,)`.
    """

    data: torch.Tensor
    held_out: torch.Tensor
    trained: Trained
    judged: Judged
    rates: torch.Tensor
    decisions: int
    start: torch.Tensor
    first_gradient_norm: torch.Tensor
    gradient_norm: torch.Tensor
    update_norm: torch.Tensor

    def seen(self, tasks: Tensors, before: TrainingState, horizon: int) -> torch.Tensor:
        """The observation that `TrainingEnvironment` describes, `(trials, 8)`."""
        now, then = self.judged, before.judged
        return observation(
            self.decisions / horizon,
            self.start,
            (then.train, now.train),
            (then.validation, now.validation),
            self.gradient_norm / self.first_gradient_norm,
            self.update_norm / norm(self.trained.phi),
            self.rates / tasks["rate"],
        )


def observation(
    progress: float,
    start: torch.Tensor,
    train: tuple[torch.Tensor, torch.Tensor],
    validation: tuple[torch.Tensor, torch.Tensor],
    gradient: torch.Tensor,
    update: torch.Tensor,
    rate: torch.Tensor,
) -> torch.Tensor:
    """The eight numbers that `TrainingEnvironment` describes, `(trials, 8)`.

    Args:
        progress: the share of the decisions that are made.
        start: log validation loss at the start; `(trials,)`, like all that follows.
        train, validation: log losses at the last decision, and now.
        gradient, update, rate: over what each is compared with; no logarithms yet.
    """
    logs = [
        validation[1] - start,
        train[1] - train[0],
        validation[1] - validation[0],
        train[1] - validation[1],
        gradient.log(),
        update.log(),
        rate.log(),
    ]
    # A training that has diverged has no norms; infinite logarithms are cut like the others.
    seen = torch.nan_to_num(torch.stack(logs, dim=1), nan=CUT).clamp(-CUT, CUT)
    return torch.cat([seen.new_full((len(seen), 1), progress), seen], dim=1)
