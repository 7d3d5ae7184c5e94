"""`changed_tokens`: the tokens whose loss learning changed most, with the words around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.language.method import Method
from quickstudy.models.device import device_of
from quickstudy.models.language_model import LanguageModel
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task, token_losses

BEFORE, AFTER = 24, 8
"""Tokens that are shown before and after the one in question."""
LEAST = 8
"""Tokens that have fewer before them in their block are left out: the model has hardly read anything there."""
MANY = 5
"""How many are shown of those that gained, and of those that lost."""


@dataclass(frozen=True)
class ChangedToken:
    """A token in its place.

    Args:
        task: its number among those given.
        pieces: the text around and of it, token by token, each with the change of its loss in nats (None: not judged).
        place: which of the pieces it is.
        before, after: its loss in nats.
    """

    task: int
    pieces: list[tuple[str, float | None]]
    place: int
    before: float
    after: float

    @property
    def change(self) -> float:
        """Negative where learning helped."""
        return self.after - self.before


def changed_tokens(
    method: Method, base: LanguageModel, tasks: Sequence[Task], steps: int, factor: float, progress: Progress | None = None
) -> tuple[list[ChangedToken], list[ChangedToken]]:
    """Tokens of the queries that gained most from learning, and those that lost most; none twice, and none blank.

    Args:
        base: before learning.
        steps, factor: how the method learns.
    """
    from quickstudy.learners.baselines.zero_step import ZeroStep

    plain, every = ZeroStep(base).adapt(Batch([], [])), []
    for number, task in enumerate(tasks):
        query = task.query.to(device_of(method.learner))
        both = [token_losses(adapted, query) for adapted in (plain, method.adapted(task, steps, factor))]
        for block, targets, before, after in zip(query.inputs, query.targets, *both, strict=True):
            ids = torch.cat([block[:1], targets]).tolist()
            every += [(number, ids, at, before, after) for at in range(LEAST - 1, len(targets))]
        if progress:
            progress("tokens that changed", number + 1, len(tasks))
    every.sort(key=lambda each: float(each[4][each[2]] - each[3][each[2]]))
    return _chosen(every, base.tokenizer, -1.0), _chosen(every[::-1], base.tokenizer, 1.0)


def _chosen(every: Sequence[tuple[int, list[int], int, torch.Tensor, torch.Tensor]], tokenizer: Any, sign: float):
    """The first few whose loss changed in this direction: no word twice, and none in sight of another."""
    chosen, seen, taken = [], set(), []
    for number, ids, at, before, after in every:
        if len(chosen) == MANY or sign * float(after[at] - before[at]) <= 0:
            break
        near = any(ids is other and abs(at - place) < BEFORE + AFTER for other, place in taken)
        if near or ids[at + 1] in seen:
            continue
        shown = _shown(number, ids, at, before, after, tokenizer)
        if shown.pieces[shown.place][0].strip():
            seen.add(ids[at + 1])
            taken.append((ids, at))
            chosen.append(shown)
    return chosen


def _shown(number: int, ids: list[int], at: int, before: torch.Tensor, after: torch.Tensor, tokenizer: Any) -> ChangedToken:
    place = at + 1  # of the token among the ids, the first of which is not judged
    first, last = max(0, place - BEFORE), min(len(ids), place + AFTER + 1)
    changes = [None, *(after - before).tolist()]
    pieces = list(zip(pieces_of(tokenizer, ids[first:last]), changes[first:last], strict=True))
    return ChangedToken(number, pieces, place - first, float(before[at]), float(after[at]))


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text that each token adds to those before; nothing where it is a part of a character that is not complete."""
    pieces, written = [], ""
    for end in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False)
        whole = end == len(ids) or not text.endswith("\ufffd")
        pieces.append(text[len(written) :] if whole else "")
        written = text if whole else written
    return pieces
