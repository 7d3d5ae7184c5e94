"""`Unlabelled`: few-shot tasks from text without labels, where a class is the word that is masked in its sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from quickstudy.errors import QuickstudyError
from quickstudy.tasks import reading
from quickstudy.tasks.table import Table
from quickstudy.wording import counted

SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson")
"""Files of a folder that are read; others in it are left alone."""
LENGTHS = 4, 40
"""Words of a sentence: fewer say too little once one is masked, and a text with more is split."""
MASK = "[MASK]"
"""What BERT and its kin were trained to fill; to a tokenizer with another mask token it is a placeholder."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_LETTERS = 3
_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")


class Unlabelled(Table):
    """A table made of sentences without labels: one word of each is masked, in all its places, and that word is its label.

    Which of N words is masked is an N-way task (SMLMT; Bansal et al. 2020). A sentence is in the table once, under one of
    its words, so no sentence is in two classes of a task, and parts that share no word (`divide`) share no sentence.
    `Episodes` refuses `names=True` on it, since the name of a class is its answer.
    """

    @classmethod
    def read(  # pyright: ignore[reportIncompatibleMethodOverride]  (there are no labels to read)
        cls, source: str | Path | Iterable[str], *, text: str = "text", least: int = 10, most: float = 0.05
    ) -> Unlabelled:
        """Makes a table of text without labels.

        Args:
            source: a folder, whose .txt, .csv, .tsv and .jsonl files are read with all those in folders below; one such
                file; or the sentences themselves. A .txt file has one text a line. Texts longer than 40 words are split.
            text: the column of the sentences, in files that have columns.
            least: sentences of each word. Rarer words are none of the classes.
            most: the share of the sentences above which a word says nothing about them ("the"). It is what keeps stop
                words out, in any language.

        Raises:
            QuickstudyError: no such folder or file, no text in it, or fewer than two words of that frequency.
        """
        if least < 2 or not 0 < most <= 1:
            raise QuickstudyError(f"least={least}, most={most}: give at least 2 sentences a word, and a share of at most 1")
        if isinstance(source, (str, Path)):
            name, documents = Path(source).name or str(source), _documents(Path(source), text)
        else:
            name, documents = "the text", iter(source)
        sentences = list({" ".join(s.casefold().split()): s for document in documents for s in split(document)}.values())
        if not sentences:
            place = source if isinstance(source, (str, Path)) else name
            raise QuickstudyError(f"{place} holds no sentence of {LENGTHS[0]} words or more; add text")
        classes = mask(sentences, least=least, most=int(most * len(sentences)))
        if len(classes) < 2:
            found = counted(len(sentences), "different sentence")
            bounds = f"at least {least} of them and in at most {most:.0%}"
            raise QuickstudyError(f"{name} has {found}, and a task needs 2 words that are in {bounds}; add text")
        texts = [sentence for rows in classes.values() for sentence in rows]
        return cls(texts, [word for word, rows in classes.items() for _ in rows], name)


def split(document: str) -> Iterator[str]:
    """A text as it stands if it is short; else its sentences, those that are still too long in pieces."""
    least, most = LENGTHS
    parts = [document] if len(document.split()) <= most else _END.split(document)
    for words in map(str.split, parts):
        for at in range(0, len(words), most):
            if len(words[at : at + most]) >= least:
                yield " ".join(words[at : at + most])


def mask(sentences: Sequence[str], *, least: int, most: int) -> dict[str, list[str]]:
    """Word -> sentences in which it is masked; each sentence is given to one word.

    The rarest word is served first and takes all the sentences that are left with it: it says most about them, and the
    frequent ones still find enough.

    Args:
        sentences: all different.
        least: sentences of each word, counted once those that others took are gone.
        most: sentences that hold a word, others or not; more make it a stop word.
    """
    frequency = Counter(word for sentence in sentences for word in _words(sentence))
    holding: dict[str, list[int]] = {word: [] for word, count in frequency.items() if least <= count <= most}
    for row, sentence in enumerate(sentences):
        for word in _words(sentence) & holding.keys():
            holding[word].append(row)
    classes: dict[str, list[str]] = {}
    taken: set[int] = set()
    seen: set[str] = set()
    for word in sorted(holding, key=lambda word: (frequency[word], word)):
        # What is left of two sentences can be the same, and an example must have one class.
        rest = {_masked(sentences[row], word): row for row in holding[word] if row not in taken}
        rest = {sentence: row for sentence, row in rest.items() if sentence.casefold() not in seen}
        if len(rest) >= least:
            classes[word] = list(rest)
            taken.update(rest.values())
            seen.update(map(str.casefold, rest))
    return classes


def _documents(path: Path, text: str) -> Iterator[str]:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise QuickstudyError(f"{path} holds no file that ends in {', '.join(SUFFIXES)}; put the sentences into one")
    for file in files:
        if file.suffix.lower() == ".txt" and file.is_file():
            yield from reading.lines(file)
        else:
            for line, record in reading.records(file, (text,)):
                yield reading.checked(record[text], "none", f"{file}, line {line}")[0]


def _words(sentence: str) -> set[str]:
    return {word for word in map(_key, _WORD.findall(sentence)) if len(word) >= _LETTERS}


def _masked(sentence: str, word: str) -> str:
    return _WORD.sub(lambda found: MASK if _key(found[0]) == word else found[0], sentence)


def _key(word: str) -> str:
    """A word as it is compared: "Card's" is "card"."""
    return word.casefold().replace("’", "'").removesuffix("'s")
