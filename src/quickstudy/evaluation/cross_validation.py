"""Cross-validation on a support: what a learner says of examples that it did not learn from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.models.encoder import Encoder
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.names import are_names, readable
from quickstudy.tasks.targets import as_tensor, is_labels, numbered

FOLDS = 5


@dataclass(frozen=True)
class HeldOut:
    """What a learner said of the examples that could be held out.

    Args:
        rows: their places in the support.
        logits: `(rows, classes)`, in the order of the support's classes.
        targets: class numbers `(rows,)`.
        folds: in how many parts they were held out.
        fold: which of them each row was in, `(rows,)`.
        learned: what was learned without each fold.
    """

    rows: list[int]
    logits: torch.Tensor
    targets: torch.Tensor
    folds: int
    fold: np.ndarray
    learned: Sequence[Adapted] = ()

    @property
    def right(self) -> np.ndarray:
        """Whether each was classified rightly, `(rows,)`."""
        return (self.logits.argmax(dim=1) == self.targets).cpu().numpy()


def fold_numbers(support: Batch, *, seed: int = 0) -> tuple[list[int], np.ndarray, int]:
    """Which examples can be held out, in which of how many folds each is.

    Examples of classes with at least two; class names are always there to learn from. Classes are spread evenly.
    """
    names = are_names(support)
    targets = support.targets if is_labels(support.targets) else as_tensor(support.targets).tolist()
    counts = Counter(target for target, is_name in zip(targets, names, strict=True) if not is_name)
    rows = [i for i, (target, is_name) in enumerate(zip(targets, names, strict=True)) if not is_name and counts[target] > 1]
    if not rows or len(set(targets)) < 2:
        return [], np.zeros(0, dtype=int), 0
    folds = min(FOLDS, max(counts.values()))
    generator, number = np.random.default_rng(seed), np.zeros(len(rows), dtype=int)
    members: dict[str | int, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        members[targets[row]].append(place)
    dealt = 0  # each class goes on dealing where the last one stopped, so that folds are of one size
    for places in members.values():
        its = generator.permutation(places)
        number[its] = (dealt + np.arange(len(its))) % folds
        dealt += len(its)
    return rows, number, folds


def cross_validate(
    learner: Learner, support: Batch, classes: Sequence, *, seed: int = 0, report: Callable[[int, int], None] | None = None
) -> HeldOut | None:
    """Learns from all folds but one and answers for that one, in turn; None where nothing can be held out.

    Args:
        classes: the order of the logits.
        report: called with how many folds are done, and of how many.
    """
    rows, number, folds = fold_numbers(support, seed=seed)
    if not rows:
        return None
    place = {name: i for i, name in enumerate(classes)}
    targets = numbered(support.take(rows).targets, classes)
    logits = torch.full((len(rows), len(classes)), -torch.inf)
    every: list[Adapted] = []
    for fold in range(folds):
        asked = np.flatnonzero(number == fold)
        held_out = {rows[i] for i in asked}
        learned = learner.adapt(support.take([i for i in range(len(support)) if i not in held_out]))
        every.append(learned)
        columns = [place[name] for name in learned.classes or classes]
        answers = learned.logits(support.take([rows[i] for i in asked]).inputs)
        logits[torch.as_tensor(asked).unsqueeze(1), torch.tensor(columns)] = answers.detach().float().cpu()
        if report:
            report(fold + 1, folds)
    return HeldOut(rows, logits, targets, folds, number, every)


def embedded_once(learner: Learner, support: Batch, report: Callable[[int, int], None] | None = None):
    """Inside, the learner's encoder looks up the support's examples and class names, where learning leaves it as it is."""
    model = getattr(learner, "model", None)
    if not isinstance(model, Encoder) or not learner.frozen_features:
        return nullcontext()
    named = is_labels(support.targets) and model.reads == "sentence"
    names = sorted({readable(label) for label in support.targets}) if named else []
    return model.remember(model.memory([*support.inputs, *names], progress=report))
