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
        now, then, size = self.judged, before.judged, norm(self.trained.phi)
        logs = [
            now.validation - self.start,
            now.train - then.train,
            now.validation - then.validation,
            now.train - now.validation,
            (self.gradient_norm / self.first_gradient_norm).log(),
            (self.update_norm / size).log(),
            (self.rates / tasks["rate"]).log(),
        ]
        # A training that has diverged has no norms; infinite logarithms are cut like the others.
        seen = torch.nan_to_num(torch.stack(logs, dim=1), nan=CUT).clamp(-CUT, CUT)
        return torch.cat([torch.full((len(size), 1), self.decisions / horizon), seen], dim=1)
