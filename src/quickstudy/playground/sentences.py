"""Labelled sentences as people give them: typed, pasted or dropped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from quickstudy.errors import QuickstudyError
from quickstudy.playground.words import Say
from quickstudy.tasks import reading
from quickstudy.tasks.table import Table

MOST, LARGEST = 2_000, 2
"""Sentences, which take a minute or two with many labels, and megabytes of text."""
KINDS = (".csv", *reading.TABS, *reading.JSON_LINES)
COLUMNS = ("text", "label")
_MARK = re.compile(r"[,\uff0c]")
"""A comma, of either width."""


def typed(text: str, say: Say, columns: Sequence[str] = COLUMNS) -> Table:
    """The table in a box of text: one with a header, or a label, a comma or tab and a sentence in each line.

    Args:
        columns: the names of the sentences' column and the labels', in a header.

    Raises:
        QuickstudyError: whatever is wrong with it, with the line.
    """
    name = say("box")
    if not text.strip():
        raise QuickstudyError(say("empty"))
    _require_small(len(text.encode(errors="replace")), name, say)
    if _has_header(text, columns):
        return _table(text.encode(errors="surrogatepass"), ".csv", name, say, columns)
    texts, labels = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = say("box_line", line=number)
        mark = "\t" if "\t" in line else next(iter(_MARK.findall(line)), None)
        if mark is None:
            raise QuickstudyError(say("no_mark", where=where, shown=repr(line.strip()[:40])))
        label, _, sentence = line.partition(mark)
        sentence, label = reading.checked(sentence.strip(), label, where)
        texts.append(sentence)
        labels.append(label)
    _require_few(len(texts), name, say)
    return Table(texts, labels, name)


def dropped(name: str, content: bytes, say: Say, columns: Sequence[str] = COLUMNS) -> Table:
    """The table in a file, as `quickstudy adapt --support` reads it.

    Args:
        name: the file's; its ending says what is in it.
        columns: the names of the sentences' column and the labels'.

    Raises:
        QuickstudyError: whatever is wrong with it, with the line, column or byte.
    """
    _require_small(len(content), name, say)
    suffix = Path(name).suffix.lower()  # of `a.csv.gz` the last: two megabytes can unpack to any number
    return _table(content, suffix if suffix in KINDS else ".unknown", name, say, columns)


def as_csv(table: Table, columns: Sequence[str] = COLUMNS) -> str:
    """The table as CSV with a header; `typed` reads the same from it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(table.texts, table.labels, strict=True))
    return file.getvalue()


def _has_header(text: str, columns: Sequence[str]) -> bool:
    first = text.strip().partition("\n")[0]
    return any(set(columns) <= {name.strip(' "\r') for name in first.split(mark)} for mark in ",;\t")


def _table(content: bytes, suffix: str, name: str, say: Say, columns: Sequence[str]) -> Table:
    text, label = columns
    texts, labels = [], []
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"table{suffix}"
        path.write_bytes(content)
        try:
            for _, sentence, its_label in reading.rows(path, text=text, label=label):
                texts.append(sentence)
                labels.append(its_label)
                _require_few(len(texts), name, say)
        except QuickstudyError as error:
            raise QuickstudyError(str(error).replace(str(path), name)) from None
    return Table(texts, labels, name)


def _require_few(count: int, name: str, say: Say) -> None:
    if count > MOST:
        raise QuickstudyError(say("too_many", name=name, most=f"{MOST:,}", command=COMMAND))


def _require_small(size: int, name: str, say: Say) -> None:
    if size > LARGEST * 1_000_000:
        raise QuickstudyError(say("too_large", name=name, most=LARGEST, command=COMMAND))


COMMAND = "quickstudy adapt --support my.csv --out clf"
