"""What every learner answered to every query: what a report knows beyond the scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from quickstudy.evaluation.statistics import Interval, paired_bootstrap
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.models.encoder import Encoder, Memory
from quickstudy.tasks.targets import is_labels
from quickstudy.tasks.task import Task


@dataclass(frozen=True)
class Asked:
    """The queries of one task, what they are, what a learner took them for, and how sure it was (NaN: it does not say)."""

    texts: Sequence[Any]
    truth: Sequence[str]
    answers: Sequence[str]
    confidences: Sequence[float]


@dataclass
class Record:
    """One learner's tasks, in order: the scores by metric and, where targets are labels, the answers."""

    learner: Learner
    scores: dict[str, list[float]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)


class Observed:
    """An `observe` for `evaluate`.

    Attributes:
        records: one a learner, in the order in which they were judged.
        memories: embeddings by `id` of the encoder, for encoders that learning leaves as they are.
        labels: sentence -> its label, of every query.
        learned_from: every different sentence that was an example to learn from.
        examples: how many examples each task gave to learn from.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.memories: dict[int, Memory] = {}
        self.labels: dict[str, str] = {}
        self.learned_from: set[str] = set()
        self.examples: list[int] = []

    def __call__(self, learner: Learner, task: Task, adapted: Adapted, scores: dict[str, float]) -> None:
        """Notes one task of one learner."""
        if not self.records or self.records[-1].learner is not learner:
            self.records.append(Record(learner))
        record = self.records[-1]
        for metric, value in scores.items():
            record.scores.setdefault(metric, []).append(value)
        if len(self.records) == 1:
            self.examples.append(len(task.support))
        if is_labels(task.query.targets):
            record.asked.append(_asked(task, adapted))
            if len(self.records) == 1 and isinstance(task.query.inputs, list):
                self.labels.update(zip(task.query.inputs, task.query.targets, strict=True))
                self.learned_from.update(task.support.inputs)
            self._remember(learner, task)

    def paired(self, metric: str, left: int, right: int) -> tuple[float, Interval]:
        """The mean of one record's scores less another's over the tasks that both have, and its interval."""
        first, second = (self.records[place].scores[metric] for place in (left, right))
        shared = min(len(first), len(second))
        return paired_bootstrap(first[:shared], second[:shared])

    def _remember(self, learner: Learner, task: Task) -> None:
        model = getattr(learner, "model", None)
        if isinstance(model, Encoder) and learner.frozen_features:
            memory = self.memories.setdefault(id(model), {})
            new = [s for batch in (task.support, task.query) for s in batch.inputs if s not in memory]
            memory.update(model.memory(new))  # which `evaluate` has at hand; nothing where batch norm looks across images


def _asked(task: Task, adapted: Adapted) -> Asked:
    truth, texts = list(task.query.targets), task.query.inputs
    if adapted.classes is None:
        return Asked(texts, truth, [str(answer) for answer in adapted.predict(texts)], [math.nan] * len(truth))
    confidences, best = adapted.predict_proba(texts).max(dim=-1)
    return Asked(texts, truth, [str(adapted.classes[i]) for i in best.tolist()], confidences.tolist())
