"""`Task`: something to learn from few examples, and its own judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import IGNORED, as_tensor, is_labels

if TYPE_CHECKING:
    from quickstudy.learners.adapted import Adapted


@dataclass(frozen=True)
class Task:
    """A support batch to learn from, a query batch to be judged on, and one seed.

    Args:
        support: the few examples an algorithm may learn from.
        query: further examples of the same task, for the outer objective and the score.
        seed: all randomness of learning this task comes from it.
    """

    support: Batch
    query: Batch
    seed: int = 0

    def __post_init__(self):
        if self.support.seed != self.seed:
            object.__setattr__(self, "support", replace(self.support, seed=self.seed))

    def to(self, device: torch.device | str) -> Task:
        """The same task with every tensor on this device."""
        return replace(self, support=self.support.to(device), query=self.query.to(device))

    def score(self, adapted: Adapted) -> dict[str, float]:
        """Judges what was learned on the query: `accuracy` for labels and classes, `squared_error` for values."""
        truth, predicted = self.query.targets, adapted.predict(self.query.inputs)
        if is_labels(truth):
            return {"accuracy": sum(p == t for p, t in zip(predicted, truth, strict=True)) / len(truth)}
        truth = as_tensor(truth)
        predicted = torch.as_tensor(predicted, device=truth.device)
        if truth.is_floating_point():
            return {"squared_error": (predicted.reshape(truth.shape) - truth).square().mean().item()}
        counted = truth != IGNORED
        return {"accuracy": (predicted == truth)[counted].double().mean().item()}
