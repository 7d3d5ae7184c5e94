"""Choices among models that were played: how often the one that is best in the end was trained."""

from __future__ import annotations

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.trials.curves import Curve, mean_curve
from quickstudy.evaluation.trials.record import Record
from quickstudy.inner.training_loop import SelectionEnvironment
from quickstudy.inner.training_loop.budgets import on_best, spend, successive_halving
from quickstudy.tasks.trials import Trials


def on_best_model(record: Record) -> Curve:
    """In how many trials each decision of the last episode trains the candidate that the best model in its end is of."""
    last = record.last
    return _shares(last.actions, -last.rewards.cumsum(0))  # a reward is the decrease of the logarithm


def halving(trials: Trials) -> Curve | None:
    """The same of successive halving, on the minibatches that every agent has.

    None where no models are chosen, or where the decisions are too few to halve them.
    """
    its = trials.environment
    if not isinstance(its, SelectionEnvironment):
        return None
    try:
        budget = successive_halving(its.candidates, its.horizon)
    except QuickstudyError:
        return None
    found = spend(its, trials.tasks, budget, torch.Generator().manual_seed(trials.query.inputs.seed))
    return _shares(found.chosen, found.losses)


def _shares(chosen: torch.Tensor, losses: torch.Tensor) -> Curve:
    return mean_curve(on_best(chosen, losses).double())
