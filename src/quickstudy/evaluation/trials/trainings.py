"""Trainings that were played: their rates and losses by decision, beside a cosine that was tuned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.statistics import Interval, paired_bootstrap
from quickstudy.evaluation.trials.record import Record
from quickstudy.inner.training_loop.environment import TrainingEnvironment
from quickstudy.inner.training_loop.schedules import GRID, cosine, train_by, tuned
from quickstudy.tasks.trials import Trials


@dataclass(frozen=True, eq=False)
class Trained:
    """The trainings of one agent, those of the last episode: before any decision and after each.

    Args:
        rates: learning rates, `(decisions + 1, trials)`; that of a training that has diverged stays.
        losses: validation losses in nats, `(decisions + 1, trials)`.
    """

    rates: torch.Tensor
    losses: torch.Tensor


@dataclass(frozen=True, eq=False)
class Cosine:
    """The same trainings by a schedule, on the minibatches that every agent has.

    Args:
        peak: its largest rate.
        tuned_on: how many trainings chose it.
        rates: of each decision.
        losses: as of `Trained`.
    """

    peak: float
    tuned_on: int
    rates: list[float]
    losses: torch.Tensor


def trained_by(record: Record, trials: Trials) -> Trained:
    """What an agent's record says of its trainings."""
    record, start = record.last, _start(trials)
    factors = environment_of(trials).controls.decode(record.actions)[0]
    factors = torch.where(record.live, factors, torch.ones(()))
    rates = trials.tasks["rate"] * factors.cumprod(0)
    losses = start - record.rewards.cumsum(0)  # a reward is the decrease of the logarithm
    return Trained(torch.cat([trials.tasks["rate"][None], rates]), torch.cat([start[None], losses]).exp())


def tuned_cosine(trials: Trials, tuned_on: Trials, progress: Progress | None = None) -> Cosine:
    """The cosine with the best peak, on the trainings that are judged.

    Args:
        trials: those.
        tuned_on: trainings that choose its peak, out of `GRID`.
    """

    def tell(done: int) -> None:
        if progress:
            progress("report: peak of the cosine", done, len(GRID))

    peak = tuned(environment_of(tuned_on), tuned_on.tasks, cosine, progress=tell)
    environment, schedule = environment_of(trials), cosine(peak)
    generator = torch.Generator().manual_seed(trials.query.inputs.seed)
    losses, _ = train_by(environment, trials.tasks, schedule, generator)
    rates = [float(schedule(at / environment.horizon, at)) for at in range(environment.horizon)]
    return Cosine(peak, len(tuned_on), rates, torch.cat([_start(trials).exp()[None], losses]))


def change(its: Trained, other: Trained | Cosine) -> tuple[float, Interval]:
    """How far the last losses are above the other's, as a share: in the geometric mean over the same trainings, and its 95%
    interval."""
    difference, ends = paired_bootstrap(*(each.losses[-1].log().tolist() for each in (its, other)))
    return math.expm1(difference), ends and [math.expm1(end) for end in ends]


def environment_of(trials: Trials) -> TrainingEnvironment:
    """That of trainings."""
    assert isinstance(trials.environment, TrainingEnvironment)
    return trials.environment


def _start(trials: Trials) -> torch.Tensor:
    """Log validation losses before any update, `(trials,)`; beginning a training draws nothing."""
    return environment_of(trials).reset(trials.tasks, torch.Generator())[0].judged.validation
