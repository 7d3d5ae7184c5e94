"""Fixed schedules of the rate in a `TrainingEnvironment`: what one that chooses is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.training_loop.controls import OPTIMIZERS, PARTS
from quickstudy.inner.training_loop.environment import TrainingEnvironment
from quickstudy.tasks.environments.environment import Tensors

Schedule = Callable[[float, int], torch.Tensor | float]
"""The rate of a decision, by the share of the decisions before it and their number; one for all trials or `(trials,)`."""

GRID: list[float] = np.geomspace(0.01, 3.0, 14).tolist()
"""Rates that `tuned` tries."""


def cosine(peak: float) -> Schedule:
    """A half wave from a rate to nothing, after one decision of warm-up at half of it."""
    return lambda progress, decision: peak / 2 if decision == 0 else peak * (1 + math.cos(math.pi * progress)) / 2


def tuned(
    environment: TrainingEnvironment,
    tasks: Tensors,
    schedule: Callable[[float], Schedule],
    *,
    progress: Callable[[int], None] | None = None,
) -> float:
    """The rate out of `GRID` whose schedule ends at the least validation loss, in the geometric mean over these trainings.

    Args:
        schedule: of a rate, such as `cosine`.
        progress: told how many rates have been tried.
    """
    found = []
    for done, rate in enumerate(GRID, start=1):
        losses, _ = train_by(environment, tasks, schedule(rate), torch.Generator().manual_seed(1))
        found.append(losses[-1].log().mean().item())
        if progress:
            progress(done)
    return GRID[found.index(min(found))]


@torch.no_grad()
def train_by(
    environment: TrainingEnvironment,
    tasks: Tensors,
    schedule: Schedule,
    generator: torch.Generator,
    *,
    optimizer: str = "sgd",
    data: str = "all",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Trains by a schedule: validation losses after each decision `(decisions, trials)`, and accuracy at the end `(trials,)`.

    Args:
        schedule: of the rate, such as `cosine(0.5)`.
        optimizer, data: a name in `OPTIMIZERS`, where tasks have none of their own, and one in `PARTS`. The tasks of an
            environment do not depend on what is controlled in it.

    Raises:
        QuickstudyError: an unknown name, or an optimizer that the environment does not have.
    """
    return _train(environment, tasks, lambda at, number, _: schedule(at, number), generator, optimizer, data)


@torch.no_grad()
def train_by_plateau(
    environment: TrainingEnvironment,
    tasks: Tensors,
    rate: float,
    generator: torch.Generator,
    *,
    factor: float = 0.5,
    optimizer: str = "sgd",
    data: str = "all",
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `train_by`, at a rate that is multiplied by `factor` after each decision with no new least validation loss."""
    rates = torch.full((len(tasks["rate"]),), rate)

    def schedule(progress: float, decision: int, found: list[torch.Tensor]) -> torch.Tensor:
        nonlocal rates
        if decision > 0:  # found[0] is before the first
            rates = torch.where(found[-1] < torch.stack(found[:-1]).amin(0), rates, factor * rates)
        return rates

    return _train(environment, tasks, schedule, generator, optimizer, data)


def _train(
    environment: TrainingEnvironment,
    tasks: Tensors,
    schedule: Callable[[float, int, list[torch.Tensor]], torch.Tensor | float],
    generator: torch.Generator,
    optimizer: str,
    data: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    for name, given, known in (("optimizer", optimizer, OPTIMIZERS), ("data", data, PARTS)):
        if given not in known:
            raise QuickstudyError(f"{name}={given!r} is not known; it is one of {', '.join(known)}")
    if optimizer != "sgd" and "optimizer" not in environment.control:
        raise QuickstudyError(
            f"optimizer={optimizer!r}: this environment has plain SGD alone; make one of this pool with 'optimizer' in control"
        )
    trials = len(tasks["rate"])
    chosen = tasks.get("optimizer", torch.full((trials,), list(OPTIMIZERS).index(optimizer)))
    part = torch.full((trials,), list(PARTS).index(data))
    state, _ = environment.reset(tasks, generator)
    found = [state.judged.validation]
    for decision in range(environment.horizon):
        rates = torch.as_tensor(schedule(decision / environment.horizon, decision, found)).expand(trials)
        state = environment.train(tasks, state, rates, chosen, part, generator)
        found.append(state.judged.validation)
    return torch.stack(found[1:]).exp(), environment.accuracy(tasks, state)
