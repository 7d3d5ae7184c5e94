"""`quickstudy predict clf "a sentence"`"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from quickstudy.errors import QuickstudyError

BLOCK = 1024
"""Sentences read, embedded and answered at a time."""


def predict(
    classifier: Annotated[Path, typer.Argument(help="A folder that `quickstudy adapt` wrote.")],
    sentences: Annotated[list[str] | None, typer.Argument(help="Sentences; without any, --file or standard input.")] = None,
    file: Annotated[Path | None, typer.Option(help="A text file, one sentence a line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all probabilities.")] = False,
) -> None:
    """Say which label each sentence has, and how probable that is."""
    from quickstudy.learners.artefact import load, read_config

    if sentences and file:
        raise QuickstudyError("give sentences or --file, not both")
    read_config(classifier)
    adapted = load(classifier)
    if adapted.classes is None:
        raise QuickstudyError(f"{classifier} has no labels to answer with; open it in Python with quickstudy.load")
    asked = iter(sentences) if sentences else _lines(file)
    empty = True
    while block := list(islice(asked, BLOCK)):
        empty = False
        _answer(adapted, block, as_json)
    if empty:
        raise QuickstudyError(f"{file or 'standard input'} holds no sentence; give at least one")


def _answer(adapted, sentences: Sequence[str], as_json: bool) -> None:
    for sentence, row in zip(sentences, adapted.predict_proba(sentences).tolist(), strict=True):
        best = max(range(len(row)), key=row.__getitem__)
        if as_json:
            ordered = sorted(range(len(row)), key=lambda i: -row[i])
            answer = {
                "text": sentence,
                "label": adapted.classes[best],
                "probability": row[best],
                "probabilities": {str(adapted.classes[i]): row[i] for i in ordered},
            }
            typer.echo(json.dumps(answer, ensure_ascii=False))
        else:
            typer.echo(f"{adapted.classes[best]}\t{row[best]:.2f}\t{sentence}")


def _lines(file: Path | None) -> Iterator[str]:
    """The sentences of a file or of standard input; blank lines are skipped."""
    name = str(file) if file else "standard input"
    if file and not file.is_file():
        raise QuickstudyError(f"{file} is not a file; give a text file with one sentence a line")
    with open(file, "rb") if file else sys.stdin.buffer as stream:
        for number, line in enumerate(stream, start=1):
            try:
                sentence = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise QuickstudyError(
                    f"{name}: line {number} is not UTF-8 (byte {error.start} of the line); save the file as UTF-8"
                ) from None
            if sentence:
                yield sentence
