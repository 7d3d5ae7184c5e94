"""Curves over a trial: numbers `(points, trials)` become a middle at each point, and what lies around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from quickstudy.evaluation.statistics import mean_interval
from quickstudy.evaluation.trials.record import Record
from quickstudy.tasks.environments.environment import Tensors


@dataclass(frozen=True)
class Curve:
    """At each point a mean with the ends of its 95% interval, or a median with the quartiles."""

    middle: list[float]
    low: list[float]
    high: list[float]


def mean_curve(values: torch.Tensor) -> Curve:
    """Means over trials with 95% intervals (Student's t); a single trial has none, and its ends are the mean itself.

    Args:
        values: `(points, trials)`.
    """
    found = [(mean, *(ends or (mean, mean))) for mean, ends in map(mean_interval, values.double().numpy())]
    return Curve(*(list(each) for each in zip(*found, strict=True)))


def median_curve(values: torch.Tensor) -> Curve:
    """Medians over trials with quartiles.

    Args:
        values: `(points, trials)`.
    """
    low, middle, high = values.double().quantile(torch.tensor([0.25, 0.5, 0.75]).double(), dim=1).tolist()
    return Curve(middle, low, high)


def rewards(record: Record) -> torch.Tensor:
    """What each episode paid; where there is one alone, what each of its steps did: `(points, trials)`."""
    by_episode = record.by_episode
    return by_episode if len(by_episode) > 1 else record.rewards


def regret(record: Record, tasks: Tensors) -> torch.Tensor:
    """How much less the arms that were pulled pay on average than the best one, added up over the pulls: `(pulls, trials)`.

    It is of the arms' own probabilities, not of what they happened to pay, which has the same mean and more noise.
    """
    lost = tasks["arms"].amax(1) - _pulled(record, tasks)
    return lost.cumsum(0)


def on_best(record: Record, tasks: Tensors) -> torch.Tensor:
    """Whether the best arm was pulled, `(pulls, trials)`."""
    return _pulled(record, tasks) == tasks["arms"].amax(1)


def tried(record: Record, tasks: Tensors) -> torch.Tensor:
    """How many different arms have been pulled by each pull, `(pulls, trials)`."""
    pulled, counts = torch.zeros_like(tasks["arms"], dtype=torch.bool), []
    for arms in record.actions:
        pulled = pulled.scatter(1, arms[:, None], True)
        counts.append(pulled.sum(1))
    return torch.stack(counts)


def _pulled(record: Record, tasks: Tensors) -> torch.Tensor:
    """What the arm of each pull pays on average, `(pulls, trials)`."""
    return tasks["arms"].gather(1, record.actions.T).T
