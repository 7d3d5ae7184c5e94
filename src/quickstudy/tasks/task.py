"""`Task`: something to learn from few examples, and its own judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from quickstudy.tasks.batch import Batch
from quickstudy.tasks.playing import Playing
from quickstudy.tasks.robots.attempts import Attempts
from quickstudy.tasks.targets import IGNORED, as_tensor, in_a_row, is_labels, is_ragged

if TYPE_CHECKING:
    from quickstudy.learners.adapted import Adapted

BLOCKS = 4
"""Sequences of tokens that are judged in one call: the logits of one of 256 tokens take some 50 MB."""


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
        """Judges what was learned on the query.

        `accuracy` for labels and classes, `squared_error` for values, `nats_per_token` for a list of sequences of tokens,
        `return` for episodes that are played, `success` for those that a robot tries.
        """
        if isinstance(self.query.inputs, Playing):
            return {"return": float(self.query.inputs.returns(adapted).mean())}  # type: ignore[arg-type]
        if isinstance(self.query.inputs, Attempts):
            successes = self.query.inputs.successes(adapted)
            return {"success": sum(successes) / len(successes)}
        truth = self.query.targets
        if is_ragged(truth):
            return {"nats_per_token": _nats_per_token(adapted, self.query)}
        predicted = adapted.predict(self.query.inputs)
        if is_labels(truth):
            return {"accuracy": sum(p == t for p, t in zip(predicted, truth, strict=True)) / len(truth)}
        truth = as_tensor(truth)
        predicted = torch.as_tensor(predicted, device=truth.device)
        if truth.is_floating_point():
            return {"squared_error": (predicted.reshape(truth.shape) - truth).square().mean().item()}
        counted = truth != IGNORED
        return {"accuracy": (predicted == truth)[counted].double().mean().item()}


@torch.no_grad()
def token_losses(adapted: Adapted, query: Batch) -> list[torch.Tensor]:
    """The loss of every token of each sequence, in nats, `(tokens,)`; zero where a token is not judged."""
    found: list[torch.Tensor] = []
    for part in query.split(BLOCKS):
        logits, truth = adapted.logits(part.inputs), in_a_row(part.targets)
        if logits.ndim > 2:  # padded
            logits = torch.cat([row[: len(targets)] for row, targets in zip(logits, part.targets, strict=True)])
        nats = F.cross_entropy(logits, truth.to(logits.device), ignore_index=IGNORED, reduction="none").cpu()
        found += nats.split([len(targets) for targets in part.targets])
    return found


def _nats_per_token(adapted: Adapted, query: Batch) -> float:
    tokens = sum(int((targets != IGNORED).sum()) for targets in query.targets)
    return torch.cat(token_losses(adapted, query)).double().sum().item() / tokens
