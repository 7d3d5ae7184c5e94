"""`quickstudy predict clf "a sentence"`, `quickstudy predict clf photo.jpg`"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from quickstudy.errors import QuickstudyError

BLOCK = 1024
"""Sentences or images read, embedded and answered at a time."""


def predict(
    classifier: Annotated[Path, typer.Argument(help="A folder that `quickstudy adapt` wrote.")],
    sentences: Annotated[
        list[str] | None, typer.Argument(help="Sentences, or image files; without any, --file or standard input.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A text file, one sentence (or image file) a line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all probabilities.")] = False,
) -> None:
    """Say which label each sentence or image has, and how probable that is."""
    from quickstudy.learners.artefact import load, read_config
    from quickstudy.tasks.reading import lines

    if sentences and file:
        raise QuickstudyError("give sentences or --file, not both")
    read_config(classifier)
    adapted = load(classifier)
    if adapted.classes is None:
        raise QuickstudyError(f"{classifier} has no labels to answer with; open it in Python with quickstudy.load")
    asked = iter(sentences) if sentences else lines(file)
    empty = True
    while block := list(islice(asked, BLOCK)):
        empty = False
        _answer(adapted, block, as_json)
    if empty:
        raise QuickstudyError(f"{file or 'standard input'} holds no sentence; give at least one")


def _answer(adapted: Any, sentences: Sequence[str], as_json: bool) -> None:
    with adapted.remember(sentences):  # for the answer, its familiarity and the nearest examples alike
        rows, likeness = adapted.predict_proba(sentences).tolist(), adapted.likeness(sentences)
    kept: list[Any] = likeness or [None] * len(rows)  # a classifier that did not keep its examples
    for sentence, row, like in zip(sentences, rows, kept, strict=True):
        ordered = sorted(range(len(row)), key=lambda i: -row[i])
        label, probability = adapted.classes[ordered[0]], row[ordered[0]]
        if as_json:
            answer = {"text": sentence, "label": label, "probability": probability}
            if like is not None:
                answer |= {
                    "none": like.none,
                    "nearest": [{"text": t, "label": adapted.classes[y], "similarity": s} for t, y, s in like.nearest],
                }
            answer["probabilities"] = {str(adapted.classes[i]): row[i] for i in ordered}
            typer.echo(json.dumps(answer, ensure_ascii=False))
        elif like is not None and like.none:
            typer.echo(f"none of the labels\t(nearest: {label}, {probability:.2f})\t{sentence}")
        else:
            typer.echo(f"{label}\t{probability:.2f}\t{sentence}")
