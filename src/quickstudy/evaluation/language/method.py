"""`Method`: a way of adapting a language model, with the rates at which it is tried."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from quickstudy.evaluation.steps import scores_after
from quickstudy.inner.diverged import Diverged
from quickstudy.inner.rules import Adam, Rates, Rule
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.adapters import is_adapter
from quickstudy.models.device import device_of
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

RATES = (0.0005, 0.001, 0.002, 0.004)
"""Adam's on adapters: what every method that learns so is tried at."""
FACTORS = (0.25, 0.5, 1.0, 2.0)
"""Any other rule, and rates that are learned: these times its own, as many as the others get."""


@dataclass(frozen=True)
class Method:
    """A learner under the name that the tables call it by.

    Args:
        name: of at most 14 characters, or figures cut it.
        learner: one that takes no steps gives the same score after any number of them.
        about: what it is, in words.
        factors: of its own rates, which are tried; by default those that make `RATES`, or `FACTORS`. Where none is, 1.
        first: it is judged on so many tasks alone, the first ones; None: on all.
        ceiling: numbers of steps, of which it takes the best whatever the others take; it counts as no rival then.
    """

    name: str
    learner: Learner
    about: str
    factors: Sequence[float] = ()
    first: int | None = None
    ceiling: Sequence[int] = ()

    @property
    def takes_steps(self) -> bool:
        """Whether it takes gradient steps."""
        return isinstance(self.learner, GradientLearner)

    @property
    def rate(self) -> float | None:
        """Its own inner learning rate, where that is one fixed number."""
        rates = [getattr(part, "lr", None) for part in _rules(self.learner)]
        return next((float(rate) for rate in rates if isinstance(rate, (int, float))), None)

    @property
    def tried(self) -> Sequence[float]:
        """The factors of its own rates that it is tried at."""
        if self.factors or not self.takes_steps:
            return self.factors
        learner, rate = self.learner, self.rate
        adapters = isinstance(learner, GradientLearner) and all(map(is_adapter, learner.names))
        if rate and adapters and any(isinstance(part, Adam) for part in _rules(learner)):
            return [each / rate for each in RATES]
        return FACTORS

    def nats(
        self, tasks: Sequence[Task], steps: Sequence[int], factor: float, told: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """Nats a token of each task's query after so many steps each, `(tasks, steps)`; infinite where learning diverged.

        Args:
            factor: of its own rates.
            told: called after each task.
        """
        rows = []
        for task in tasks:
            try:
                if isinstance(self.learner, GradientLearner):
                    with _at(self.learner, factor):
                        found = scores_after(self.learner, task, steps)
                    rows.append([found[k] for k in steps])
                else:
                    score = task.to(device_of(self.learner)).score(self.adapted(task, 0))
                    rows.append([score["nats_per_token"]] * len(steps))
            except Diverged:
                rows.append([math.inf] * len(steps))
            told()
        return np.nan_to_num(np.array(rows, dtype=float).reshape(len(tasks), len(steps)), nan=math.inf, posinf=math.inf)

    def adapted(self, task: Task, steps: int, factor: float = 1.0) -> Adapted:
        """What it learns of one task in so many steps."""
        support, learner = task.to(device_of(self.learner)).support, self.learner
        if not isinstance(learner, GradientLearner):
            return learner.adapt(support)
        before = learner.adapt_steps
        try:
            learner.adapt_steps = steps
            with _at(learner, factor):
                return learner.adapt(support)
        finally:
            learner.adapt_steps = before

    def seconds(self, task: Task, steps: int, factor: float) -> float:
        """How long it takes to learn a task that is like this one, up to its first answer."""
        task = task.to(device_of(self.learner))
        # the same tokens in another order, of which nothing is remembered
        support = replace(task.support, inputs=[block.roll(1) for block in task.support.inputs])
        question = Batch([block.roll(1) for block in task.query.inputs[:1]])
        begun = time.perf_counter()
        adapted = self.adapted(replace(task, support=support), steps, factor)
        adapted.logits(question.inputs).sum().item()
        return time.perf_counter() - begun


def _rules(learner: Learner) -> Iterator[Rule]:
    rule = getattr(learner, "rule", None)
    return (part for part in rule.modules() if isinstance(part, Rule)) if isinstance(rule, Rule) else iter(())


@contextmanager
def _at(learner: GradientLearner, factor: float) -> Iterator[None]:
    """Inside, all of its inner learning rates, fixed or learned, are times a factor."""
    own = learner.rule
    try:
        if factor != 1:
            learner.rule = _scaled(own, factor)
        yield
    finally:
        learner.rule = own


@torch.no_grad()
def _scaled(rule: Rule, factor: float) -> Rule:
    scaled = copy.deepcopy(rule)
    for part in scaled.modules():
        rate = getattr(part, "lr", None)
        if isinstance(part, Rule) and isinstance(rate, (int, float)):
            part.lr = rate * factor  # type: ignore[assignment]
        elif isinstance(part, Rule) and isinstance(rate, Rates):
            for learned in rate.rates.values():
                learned.mul_(factor)
    return scaled
