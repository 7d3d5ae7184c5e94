"""Class names as examples: what a label says of itself is one more sentence to learn from."""

from __future__ import annotations

from dataclasses import replace

from quickstudy.tasks.batch import Batch


def with_names(batch: Batch) -> Batch:
    """The same examples and, for each label, its name read as words."""
    labels = list(dict.fromkeys(batch.targets))
    return replace(batch, inputs=[*batch.inputs, *map(readable, labels)], targets=[*batch.targets, *labels])


def readable(label: str) -> str:
    """A label as words: "card_lost" and "card-lost" become "card lost"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split())
