"""`Document`: a text with its domain, and `documents`: all that a folder or a few files hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks import reading
from quickstudy.tasks.table import SPLIT_NAMES
from quickstudy.tasks.text_overlap import copies
from quickstudy.wording import counted

TEXTS, PDF, RECORDS = (".txt", ".md"), ".pdf", (".jsonl", ".ndjson")
"""Kinds of files: one document each, pages, and one record a line (which may be gzipped)."""
PARTS = ("train", "valid", "test")
_AT_ONCE = 1000
_KINDS = ".txt, .md, .pdf, .jsonl, .ndjson, .jsonl.gz"


@dataclass(frozen=True)
class Document:
    """A text, and where it belongs.

    Args:
        text: the whole of it.
        name: what messages call it: its file, or its id among the records of one.
        domain: the kind of text that it is an example of.
        part: "train", "valid" or "test", where the data says so.
    """

    text: str
    name: str
    domain: str
    part: str | None = None


DocumentSource = str | Path | Document | Sequence[str | Path | Document]
"""What documents are read from; one that is a document already is taken as it is."""


def documents(source: DocumentSource, *, text: str = "text") -> list[Document]:
    """Reads documents of one or many domains; nothing is fetched, and nothing in the files is executed.

    A .txt, .md or .pdf file is one document. Its domain is the first folder below the source, or the source's own name
    where the file lies at its top (a file that is itself the source: the name of its folder). A .jsonl file is a domain
    of that name and has a document a line. A column `doc` groups lines: the passages of one document, in order, joined
    by a blank line. A column `split` (train, valid, test) is the document's part.

    Args:
        source: a folder, read with all folders below it; a file; or several. In a folder, hidden files, those
            of other kinds and a README (which is about the texts, not one of them) are left alone.
        text: the column that holds the text, in .jsonl files.

    Raises:
        QuickstudyError: nothing to read; or a file that is blank, binary, broken, no UTF-8 or a scan, with its line or byte.
    """
    sources = [source] if isinstance(source, (str, Path, Document)) else list(source)
    if not sources:
        raise QuickstudyError(f"no documents: the list of sources is empty; give a folder, or files that end in {_KINDS}")
    odd = [place for place in sources if not isinstance(place, (str, Path, Document))]
    if odd:
        raise QuickstudyError(f"documents: a {type(odd[0]).__name__} among the sources; give files and folders, or Document")
    owner: dict[str, Path] = {}
    seen: set[Path] = set()
    found: list[Document] = [place for place in sources if isinstance(place, Document)]
    places = [Path(place) for place in sources if not isinstance(place, Document)]
    for file, name, domain in (each for place in places for each in _files(place)):
        if file.resolve() in seen:  # two sources hold it
            continue
        seen.add(file.resolve())
        if _kind(file) in RECORDS:
            other = owner.setdefault(domain, file)
            if other != file:
                raise QuickstudyError(f"{other} and {file} would both be the domain {domain!r}; rename one of them")
            found += _of_records(file, domain, text)
        else:
            whole = _pages(file) if _kind(file) == PDF else _text(file)
            found.append(Document(whole, name, domain))
    return found


Tokenizer = Callable[..., Mapping[str, Any]]


class Domain:
    """The documents of one domain, which are no copies, and their tokens: found out once, when first needed.

    Args:
        documents: all of them.
        tokenizer: a Hugging Face tokenizer.
    """

    def __init__(self, documents: list[Document], tokenizer: Tokenizer):
        self.documents, self._tokenizer = documents, tokenizer

    @cached_property
    def copies(self) -> set[int]:
        """Places of documents that are copies of an earlier one."""
        return copies([document.text for document in self.documents])

    @cached_property
    def tokenized(self) -> list[tuple[Document, np.ndarray]]:
        """Documents that are no copies, and their tokens."""
        kept = [document for place, document in enumerate(self.documents) if place not in self.copies]
        tokens: list[np.ndarray] = []
        for at in range(0, len(kept), _AT_ONCE):  # as lists of Python numbers they are large
            ids = self._tokenizer([document.text for document in kept[at : at + _AT_ONCE]], add_special_tokens=False)
            tokens += [np.array(its, dtype=np.int32) for its in ids["input_ids"]]
        return list(zip(kept, tokens, strict=True))


def _kind(file: Path) -> str:
    """The suffix that says how a file is read; "" of a kind that is not."""
    suffix = reading.suffix_of(file)
    zipped = file.suffix.lower() == ".gz"
    return suffix if suffix in RECORDS or (suffix in (*TEXTS, PDF) and not zipped) else ""


def _files(place: Path) -> Iterator[tuple[Path, str, str]]:
    """Yields (file, name, domain) of what is read of one source."""
    if not place.exists():
        raise QuickstudyError(f"{place} does not exist; check the name, and the folder you are in")
    whole = place.resolve()
    if not place.is_dir():
        if not _kind(place):
            raise QuickstudyError(f"{place} ends in none of {_KINDS}; save its text as one of these")
        yield place, place.name, _stem(place) if _kind(place) in RECORDS else whole.parent.name
        return
    inside = [file for file in sorted(place.rglob("*")) if file.is_file()]
    seen = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(place).parts)]
    read = [file for file in seen if _kind(file) and file.stem.lower() != "readme"]
    if not read:
        what = "holds no file of a kind that is read" if seen else "is empty"
        raise QuickstudyError(f"{place} {what}; put texts there that end in {_KINDS}")
    for file in read:
        below = file.relative_to(place)
        folder = below.parts[0] if len(below.parts) > 1 else whole.name
        yield file, below.as_posix(), _stem(file) if _kind(file) in RECORDS else folder


def _stem(file: Path) -> str:
    name = file.name[:-3] if file.suffix.lower() == ".gz" else file.name
    return Path(name).stem


def _text(file: Path) -> str:
    whole = "".join(reading.physical_lines(file, save_as="it as plain text")).replace("\r\n", "\n")
    if not whole.strip():
        raise QuickstudyError(f"{file} is {'blank' if whole else 'empty'}; write its text, or remove the file")
    return whole


def _pages(file: Path) -> str:
    try:
        import pypdf
    except ImportError:
        raise QuickstudyError(f'{file} needs the pypdf package; pip install "quickstudy[pdf]"') from None
    try:
        pages = [page.extract_text() for page in pypdf.PdfReader(file).pages]
    except Exception as error:  # of a damaged file pypdf raises whatever its contents lead it to
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise QuickstudyError(f"{file} cannot be read as PDF ({reason}); save it anew without a password, or as .txt") from None
    # Fonts without a table of characters give NULs and half characters, which no tokenizer takes.
    whole = "\n\n".join(filter(str.strip, pages)).replace("\0", "").encode("utf-8", "ignore").decode()
    if not whole.strip():
        count = counted(len(pages), "page")
        raise QuickstudyError(f"{file} has {count} and no text (a scan?); run text recognition over it, or remove it")
    return whole


def _of_records(file: Path, domain: str, text: str) -> Iterator[Document]:
    """The documents of a .jsonl file, in the order of their first lines."""
    passages: dict[str, list[str]] = {}
    parts: dict[str, str | None] = {}
    for line, record in reading.records(file, (text,)):
        where = f"{file}, line {line}"
        passage = reading.checked(record[text], "none", where)[0]
        name, part = _name(record.get("doc"), f"{file.name}, line {line}", where), _part(record.get("split"), where)
        if parts.setdefault(name, part) != part:
            parted = f"document {name!r} is in {parts[name] or 'no part'!r} and {part or 'no part'!r}"
            raise QuickstudyError(f"{where}: {parted}; give all of its lines one split")
        passages.setdefault(name, []).append(passage)
    for name, its in passages.items():
        yield Document("\n\n".join(its), name, domain, parts[name])


def _name(doc: Any, otherwise: str, where: str) -> str:
    if doc is None or doc == "":
        return otherwise
    if isinstance(doc, bool) or not isinstance(doc, (str, int)):
        raise QuickstudyError(f"{where}: doc is a {type(doc).__name__}; name each document by a text or a number")
    return str(doc)


def _part(split: Any, where: str) -> str | None:
    if split is None:
        return None
    part = SPLIT_NAMES.get(split, split) if isinstance(split, str) else split
    if part not in PARTS:
        raise QuickstudyError(f"{where}: split is {split!r}; write one of {', '.join(PARTS)}, or rename that column")
    return part
