"""What a run does beside its steps: validation, and the frozen layers, once a sentence or block of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from quickstudy.evaluation.evaluate import evaluate
from quickstudy.learners.base import Learner
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.encoder import Encoder
from quickstudy.models.frozen_layers import Lowered
from quickstudy.models.language_model import LanguageModel
from quickstudy.runs.plan.timed import Clock
from quickstudy.tasks.table import Table
from quickstudy.tasks.task import Task
from quickstudy.tasks.text_domains import TextDomains

JUDGED = 2
"""Validation tasks that are timed, beside one."""
SENTENCES, TEXT = 64, 9
"""Sentences, and blocks of text, whose way through the frozen layers is timed, and from which their length is known."""


@dataclass(frozen=True)
class Frozen:
    """The frozen layers below what moves: seconds of all inputs that a run meets, and bytes that are kept of them."""

    seconds: float = 0.0
    bytes: float = 0.0


def frozen_layers(learner: Learner, source: object, drawn: int, steps: int, clock: Clock) -> Frozen:
    """What the layers cost that are computed once a sentence or block.

    Args:
        source: where the tasks come from.
        drawn: sentences or blocks of one step.
        steps: of the run.
    """
    model: Any = getattr(learner, "model", None)
    moving = learner.names if isinstance(learner, GradientLearner) else ()
    every: list[Any]
    if isinstance(model, Encoder) and isinstance(source, Table):
        every, looked, together = list(dict.fromkeys(source.texts)), SENTENCES, model.chunk
    elif isinstance(model, LanguageModel) and isinstance(source, TextDomains):
        every = [torch.from_numpy(block[:-1]) for group in source.groups for block in chain(*group.blocks)]
        looked, together = TEXT, 1
    else:
        return Frozen()
    sample = every[:: max(1, len(every) // looked)][:looked]
    first = model.lowered(sample[:together], moving)  # looks once whether this way is right
    if not isinstance(first, Lowered):
        return Frozen()
    begun = clock()
    lowered = model.lowered(sample, moving)
    spent = (clock() - begun) / max(1, len(sample) - len(first))
    each, room = sum(row.nbytes for row in lowered.rows) / len(sample), lowered.layers.kept.room
    met = len(every) * (1 - (1 - min(1.0, drawn / len(every))) ** steps)
    forgotten = drawn * steps * max(0.0, 1 - room / (each * len(every)))  # what there was no room for
    return Frozen(spent * max(met, forgotten), min(each * met, room))


def validation_seconds(learner: Learner, tasks: Sequence[Task], clock: Clock) -> float:
    """Seconds of one validation, from a few of its tasks; an encoder that stays as it is reads each sentence once."""
    if not tasks:
        return 0.0
    learner.eval()

    def spent(some: Sequence[Task]) -> float:
        begun = clock()
        evaluate(learner, some)
        return clock() - begun

    with torch.random.fork_rng(devices=[]):
        spent(tasks[:1])  # what is done once
        few, more = spent(tasks[:1]), spent(tasks[: 1 + JUDGED])
    alone = isinstance(getattr(learner, "model", None), Encoder) and learner.frozen_features
    count = _different if alone else len
    least, most = count(tasks[:1]), count(tasks[: 1 + JUDGED])
    return few + max(0.0, more - few) / max(1, most - least) * (count(tasks) - least)


def _different(tasks: Sequence[Task]) -> int:
    return len({each for task in tasks for batch in (task.support, task.query) for each in batch.inputs})
