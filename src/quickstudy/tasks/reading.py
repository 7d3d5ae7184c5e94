"""Reads labelled sentences from CSV, TSV and JSON lines, one row at a time."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from quickstudy.errors import QuickstudyError

TABS, JSON_LINES = (".tsv", ".txt"), (".jsonl", ".ndjson", ".json")
MISSING = {"", "nan", "null"}
_MISSING_OBJECTS = {"None", "nan", "<NA>", "NaT"}
_PEEK = 8192


def rows(path: str | Path, *, text: str = "text", label: str = "label") -> Iterator[tuple[int, str, str]]:
    """Yields (line number, text, label) of every row that is not blank.

    Args:
        path: a .csv, .tsv or .txt (tabs), .jsonl, .ndjson or .json (one object a line) file in UTF-8.
        text: the column that holds the sentence, yielded as it stands.
        label: the column that holds its label, yielded without outer white space.

    Raises:
        QuickstudyError: whatever keeps the file from being read whole, with its line, column or byte.
    """
    for line, record in records(path, (text, label)):
        yield line, *checked(record[text], record[label], f"{path}, line {line}")


def records(path: str | Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number, column -> value) of every row that is not blank; `columns` are certain to be there.

    A line number is that of the row's first physical line, counted from 1. A file may be gzipped (`.jsonl.gz`).
    """
    path = Path(path)
    suffix = suffix_of(path)
    if path.is_dir():
        raise QuickstudyError(f"{path} is a folder; name a CSV, TSV or JSONL file in it")
    if not path.exists():
        raise QuickstudyError(f"{path} does not exist; check the name, and the folder you are in")
    if suffix in JSON_LINES:
        yield from _json_lines(path, columns)
    elif suffix == ".csv" or suffix in TABS:
        yield from _delimited(path, columns, "\t" if suffix in TABS else None)
    else:
        raise QuickstudyError(f"{path} ends in none of .csv, .tsv, .txt, .jsonl; save the table as one of these")


def checked(text: Any, label: Any, where: str) -> tuple[str, str]:
    """One row's text as it stands and its label without outer white space.

    Raises:
        QuickstudyError: a blank text, a missing label, or a value that is no text.
    """
    text, label = _string(text, "text", where), _string(label, "label", where).strip()
    if not text.strip():
        raise QuickstudyError(f"{where}: the text is blank; write a sentence or remove the row")
    if label.casefold() in MISSING:
        raise QuickstudyError(f"{where}: the label is missing ({label!r}); name one or remove the row")
    return text, label


def require_columns(columns: Sequence[str], found: Sequence[str], where: str, rows: Iterable[Mapping[str, Any]] = ()) -> None:
    """Raises QuickstudyError, naming the columns found, where one of `columns` is not among them.

    Args:
        columns: the texts' and the labels'.
        rows: a few, to see which columns could be the texts'.
    """
    for column in columns:
        if column not in found:
            names = ", ".join(repr(name[:40]) for name in found) or "none"
            what = f"{where}: no column {column!r} (found: {names})"
            if column == columns[0] and set(columns[1:]) <= set(found):  # the label's is there, so it is about the text alone
                likely = [repr(name[:40]) for name in _of_sentences(list(rows)) if name not in columns]
                if len(likely) > 1:
                    several = f"{', '.join(likely[:-1])} and {likely[-1]}"
                    raise QuickstudyError(f"{what}; {several} could each be the sentences: say which with --text")
            which = "are yours with --text and --label" if len(columns) > 1 else "holds the text with --text"
            raise QuickstudyError(f"{what}; say which {which}")


def _of_sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that hold more than one word in most of these rows."""
    words = Counter(name for row in rows for name, value in row.items() if isinstance(value, str) and len(value.split()) > 1)
    return [name for name in (rows[0] if rows else ()) if 2 * words[name] > len(rows)]


def _string(value: Any, column: str, where: str) -> str:
    if not isinstance(value, str):
        if hasattr(value, "__iter__"):
            kind = type(value).__name__
            raise QuickstudyError(f"{where}: the {column} is a {kind}; each row needs one text and one label")
        value = "" if str(value) in _MISSING_OBJECTS else str(value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # JSON can spell half a surrogate pair, which no tokenizer takes
            spot = f"{where}: the {column} holds half a character at position {error.start}"
            raise QuickstudyError(f"{spot}; write the character itself in place of its \\u escapes") from None
    return str(value)


def suffix_of(path: Path) -> str:
    """The kind of a file by its name, in lower case: ".jsonl" of `a.JSONL` and of `a.jsonl.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def physical_lines(path: Path, save_as: str = "the table as CSV, TSV or JSONL text") -> Iterator[str]:
    """Decoded lines of a file, gzipped or not, with their ends; errors name the byte (of what is in the gzip).

    Args:
        path: the file.
        save_as: what to do about a binary file, for the message.
    """
    zipped = path.suffix.lower() == ".gz"
    try:
        file = gzip.GzipFile(path) if zipped else path.open("rb")
    except OSError as error:
        raise QuickstudyError(f"cannot open {path}: {error.strerror}; check that you may read it") from None
    with file:
        try:
            head = file.peek(_PEEK)[:_PEEK]
            if head.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise QuickstudyError(f"{path} is UTF-16, not UTF-8 (from byte 0); save it as UTF-8")
            if b"\0" in head:  # before a line is read: a binary file may be one line of gigabytes
                raise QuickstudyError(_binary(path, head.index(0), save_as))
            offset = 0
            for raw in file:
                if b"\0" in raw:
                    raise QuickstudyError(_binary(path, offset + raw.index(0), save_as))
                try:
                    line = raw.decode()
                except UnicodeDecodeError as error:
                    raise QuickstudyError(f"{path} is not UTF-8 at byte {offset + error.start}; save it as UTF-8") from None
                yield line if offset else line.removeprefix("\ufeff")
                offset += len(raw)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise QuickstudyError(f"{path} is no whole gzip file ({error}); copy it again, or unpack it") from None


def _binary(path: Path, offset: int, save_as: str) -> str:
    return f"{path} looks binary (a NUL at byte {offset}); save {save_as}"


def _empty(path: Path, columns: Sequence[str]) -> QuickstudyError:
    return QuickstudyError(f"{path} is empty; each row needs a text{' and a label' * (len(columns) > 1)}")


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    number, empty = 0, True
    for number, line in enumerate(physical_lines(path), start=1):
        if not line.strip():
            continue
        where, empty = f"{path}, line {number}", False
        try:
            record = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            spot = f"{where}, column {error.colno}"
            raise QuickstudyError(f"{spot}: broken JSON ({error.msg}); write one object a line") from None
        except (ValueError, RecursionError):
            raise QuickstudyError(f"{where}: JSON too deep or a number too long; write one object a line") from None
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise QuickstudyError(f"{where}: a JSON {kind} where an object is due; write one object a line")
        require_columns(columns, list(record), where, [record])
        yield number, record
    if empty:
        raise _empty(path, columns)


def _delimited(path: Path, columns: Sequence[str], delimiter: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = physical_lines(path)
    before, first = next(((i, line) for i, line in enumerate(lines) if line.strip()), (0, ""))
    if not first:
        raise _empty(path, columns)
    if delimiter is None:
        delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    header: list[str] = []
    number, empty = before + 1, True
    while True:
        where = f"{path}, line {number}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            remedy = "check its double quotes: inside a quoted text each is written twice"
            raise QuickstudyError(f"{where}: cannot be read as columns ({error}); {remedy}") from None
        if row is None:
            break
        if not header:
            header = [name.strip() for name in row]
            require_columns(columns, header, where, _peeked(reader, header) if not set(columns) <= set(header) else ())
        elif any(field.strip() for field in row):
            yield number, _record(header, row, columns, where)
            empty = False
        number = before + 1 + reader.line_num
    if empty:
        raise QuickstudyError(f"{path} has a header and no rows; each row needs a text and a label")


def _peeked(reader: Iterator[list[str]], header: list[str]) -> list[dict[str, str]]:
    """The first rows, of a file that is not going to be read: what is wrong with them does not matter."""
    with suppress(csv.Error, QuickstudyError):
        return [dict(zip(header, row, strict=False)) for row in islice(reader, 20) if row]
    return []


def _record(header: list[str], row: list[str], columns: Sequence[str], where: str) -> dict[str, Any]:
    # Too many fields are an unquoted comma in the text: taking the first two would make half a sentence the label.
    needed = 1 + max(header.index(column) for column in columns)
    if len(row) < needed:
        raise QuickstudyError(f"{where}: too few columns ({len(row)}; the header has {len(header)}); give a text and a label")
    if any(field.strip() for field in row[len(header) :]):
        counts = f"{len(row)}; the header has {len(header)}"
        raise QuickstudyError(f"{where}: too many columns ({counts}); put a text that holds the separator in double quotes")
    return dict(zip(header, row, strict=False))


def lines(file: Path | None) -> Iterator[str]:
    """The sentences of a text file, one a line, or of standard input; blank lines are skipped.

    Raises:
        QuickstudyError: no such file, or a line that is binary or not UTF-8.
    """
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
            if "\0" in sentence:
                raise QuickstudyError(f"{name}: line {number} looks binary (it holds a NUL); give a text file in UTF-8")
            if sentence:
                yield sentence
