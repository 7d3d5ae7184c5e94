"""Targets as users write them (labels, class indices, values, ragged) and as losses need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch

IGNORED = -100
"""A class index that is not judged, as in `torch.nn.functional.cross_entropy`; it pads ragged targets."""


def is_labels(targets: Any) -> bool:
    """Whether targets are labels: names rather than numbers."""
    return isinstance(targets, Sequence) and len(targets) > 0 and isinstance(targets[0], str)


def as_tensor(targets: Any) -> torch.Tensor:
    """Numbers as one tensor; ragged sequences of class indices are padded with -100."""
    if isinstance(targets, torch.Tensor):
        return targets
    if isinstance(targets, Sequence) and targets and isinstance(targets[0], torch.Tensor) and targets[0].ndim:
        if any(len(t) != len(targets[0]) for t in targets):
            if targets[0].is_floating_point():
                raise QuickstudyError("ragged real targets cannot be padded; give a loss of your own that takes the list")
            return torch.nn.utils.rnn.pad_sequence(list(targets), batch_first=True, padding_value=IGNORED)
        return torch.stack(list(targets))
    return torch.as_tensor(targets)


def is_ragged(targets: Any) -> bool:
    """Whether targets are a list of sequences of class indices, as those of tokens are."""
    return isinstance(targets, list) and bool(targets) and isinstance(targets[0], torch.Tensor) and targets[0].ndim == 1


def in_a_row(targets: Sequence[torch.Tensor]) -> torch.Tensor:
    """Sequences one after the other, `(positions,)`."""
    return torch.cat(list(targets))


def classes_of(targets: Any) -> list[str] | list[int]:
    """The classes of a support, in the order in which a head numbers them.

    Labels are numbered as they first appear (samplers shuffle them, so that no head learns an alphabet);
    class indices keep their order.
    """
    if is_labels(targets):
        return list(dict.fromkeys(targets))
    targets = as_tensor(targets)
    if targets.is_floating_point():
        raise QuickstudyError("this learner classifies, and the task's targets are real values; give labels or class indices")
    if targets.ndim != 1:
        raise QuickstudyError(f"this learner needs one class for each example, and the targets have shape {tuple(targets.shape)}")
    return sorted(set(targets.tolist()) - {IGNORED})


def numbered(targets: Any, classes: Sequence[str] | Sequence[int]) -> torch.Tensor:
    """Targets as indices into `classes`.

    Raises:
        QuickstudyError: a target that is none of the classes.
    """
    index = {name: i for i, name in enumerate(classes)}
    items = targets if is_labels(targets) else as_tensor(targets).tolist()
    unknown = [item for item in items if item not in index]
    if unknown:
        raise QuickstudyError(f"the query asks for {unknown[0]!r}, which is none of the support's {len(classes)} classes")
    return torch.tensor([index[item] for item in items])


def number(support: Batch, *others: Batch) -> tuple[list[Batch], list[str] | list[int]]:
    """Batches with class numbers for targets, and the classes (the support's) that the numbers stand for."""
    classes = classes_of(support.targets)
    return [replace(batch, targets=numbered(batch.targets, classes)) for batch in (support, *others)], classes
