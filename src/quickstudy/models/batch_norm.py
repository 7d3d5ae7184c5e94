"""What a model's batch norm normalises with: a policy with a name, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from quickstudy.errors import QuickstudyError

Policy = Literal["transductive", "running"]
"""`transductive`: each call's own statistics, in training and after, as published MAML code does. A query is normalised
together with the other queries of its task, so its answer depends on them: numbers measured this way are transductive.

`running`: the call's own statistics in training mode, which move running averages, and these averages in eval mode, as
published prototypical networks do. One query's answer is the same alone and among others. Only what is trained by calls of
the model itself moves them: metric learners, in their outer step.

There is none that normalises the query with the support's statistics: a call of the model would have to know of another one.
"""


def batch_norm(channels: int, policy: Policy) -> nn.BatchNorm2d:
    """Batch norm (Ioffe and Szegedy 2015) by this policy."""
    if policy not in ("transductive", "running"):
        raise QuickstudyError(f"batch_norm={policy!r} is not known; it is 'transductive' or 'running'")
    return nn.BatchNorm2d(channels, track_running_stats=policy == "running")


def moves_averages(model: nn.Module) -> bool:
    """Whether a call of the model moves running averages: it is in training mode and keeps some."""
    return any(norm.training and norm.running_mean is not None for norm in _norms(model))


def looks_across(model: nn.Module) -> bool:
    """Whether one example's output depends on the others of its call."""
    return any(norm.training or norm.running_mean is None for norm in _norms(model))


def refuse_one_example(model: nn.Module, count: int) -> None:
    """Says that the statistics of a single example are no statistics.

    Raises:
        QuickstudyError: one example, and a model that looks across its batch.
    """
    if count == 1 and looks_across(model):
        raise QuickstudyError(
            "batch norm has one example to take its statistics from, which says nothing of others: give several in one "
            "batch, or a model with batch_norm='running' in eval mode"
        )


def refuse_parts(model: nn.Module, micro_batch: int) -> None:
    """Says that statistics of parts are not those of the whole.

    Raises:
        QuickstudyError: a model that looks across its batch, which would come in parts.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and looks_across(module):
            raise QuickstudyError(
                f"micro_batch={micro_batch} would change the result: {name or type(module).__name__} normalises with the "
                "statistics of the whole batch; leave micro_batch out, or put the model into eval mode"
            )


def _norms(model: nn.Module) -> Iterator[Any]:
    return (module for module in model.modules() if isinstance(module, _BatchNorm))
