"""Class names as examples: what a label says of itself is one more sentence to learn from."""

from __future__ import annotations

import re
from dataclasses import replace

from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import is_labels


def with_names(batch: Batch) -> Batch:
    """The same examples and, for each label, its name read as words."""
    labels = list(dict.fromkeys(batch.targets))
    return replace(batch, inputs=[*batch.inputs, *map(readable, labels)], targets=[*batch.targets, *labels])


def readable(label: str) -> str:
    """A label as words: "card_lost" and "card-lost" become "card lost"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split())


def are_names(batch: Batch) -> list[bool]:
    """Which examples are the name of their own class, as `with_names` adds them."""
    if not (isinstance(batch.inputs, list) and is_labels(batch.targets)):
        return [False] * len(batch)
    return [sentence == readable(label) for sentence, label in zip(batch.inputs, batch.targets, strict=True)]


def is_word(label: str) -> bool:
    """Whether a label can be a word: three letters in a row, or one of a script that writes words without spaces."""
    return bool(re.search(r"[^\W\d_]{3}|[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]", label))
