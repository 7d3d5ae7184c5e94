"""What is in a table and what is wrong with it: `quickstudy data check FILE`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from statistics import median

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.image_files import contents
from quickstudy.tasks.leaks import words
from quickstudy.tasks.table import Table
from quickstudy.wording import counted, listed

LONG = 200
"""Words from which on a sentence may be cut: encoders commonly read 256 tokens, about 1.3 to a word."""
LOPSIDED = 10
MOST_LABELS = 10_000
"""More than these are hardly labels: a column of numbers, or of the sentences themselves."""
_EXAMPLES = 3
_NO_NAMES = {"label", "class", "category", "cat", "cluster", "group", "intent", "topic", "type", "target", "none"}


@dataclass(frozen=True)
class Checkup:
    """Findings about a table. All are warnings: every table that can be read can be learned from.

    Args:
        name: the table's.
        reads: what a row is, "sentence" or "image"; of images nothing is said about words.
        rows: sentences, or images.
        per_class: label -> sentences.
        words_median, words_most: length of the sentences in words (in characters where a script has no spaces).
        long: sentences of more than 200 words.
        wordless: sentences without a letter.
        duplicates: sentences that repeat an earlier one with the same label; case and white space do not count. Images are
            the same where their files are.
        contradictions: (sentence, its labels) where one sentence has several.
        lookalikes: groups of labels that differ in case, white space, hyphens or underscores only.
        rare: labels with fewer than two sentences.
        imbalance: sentences of the commonest label / sentences of the rarest.
        labels_are_words: whether labels say what they mean, so that class names help.
    """

    name: str
    reads: str
    rows: int
    per_class: dict[str, int]
    words_median: float
    words_most: int
    long: int
    wordless: int
    duplicates: int
    contradictions: list[tuple[str, list[str]]]
    lookalikes: list[list[str]]
    rare: list[str]
    imbalance: float
    labels_are_words: bool

    @property
    def advice(self) -> list[str]:
        """What to do about it, a plain sentence each; none where all is well."""
        advice = []
        if len(self.per_class) == 1:
            advice.append(f"There is only one label, {next(iter(self.per_class))!r}: add {self.reads}s of another.")
        if self.contradictions:
            shown = "; ".join(f"{text[:80]!r} is {_named(labels)}" for text, labels in self.contradictions[:_EXAMPLES])
            several = counted(len(self.contradictions), self.reads) + (" has" if len(self.contradictions) == 1 else " have")
            advice.append(f"{several} more than one label; keep one: {shown}.")
        advice += self.warnings
        if self.rare:
            single = _named(self.rare) + (" has" if len(self.rare) == 1 else " have")
            advice.append(f"{single} a single {self.reads}, so none to judge by; add some.")
        if self.duplicates:
            repeat = counted(self.duplicates, "row") + (" repeats" if self.duplicates == 1 else " repeat")
            advice.append(f"{repeat} an earlier one; remove the copies, or they may be judged as learned.")
        if self.imbalance >= LOPSIDED:
            least, *_, most = sorted(self.per_class, key=self.per_class.__getitem__)
            times = f"{self.imbalance:.0f} times the {self.reads}s of"
            advice.append(f"{most!r} has {times} {least!r}; add some to the rarer labels.")
        if self.long:
            advice.append(f"{counted(self.long, 'text')} of more than {LONG} words may be cut: most encoders read 256 tokens.")
        if not self.labels_are_words and self.reads == "sentence":
            advice.append("The labels are not words; if you name them, the names themselves can help (class names as examples).")
        return advice

    @property
    def warnings(self) -> list[str]:
        """The part of the advice without which what is learned may be of no use at all."""
        warnings = [f"The labels {_named(group)} look like one; if they are, spell them alike." for group in self.lookalikes]
        if 2 * self.wordless > self.rows:
            few = f"{self.wordless:,} of {counted(self.rows, 'text')}"
            warnings.append(f"{few} have no letter in them, so they are no sentences; is --text the right column?")
        return warnings

    def text(self) -> str:
        """The whole as a few plain lines."""
        counts = self.per_class.values()
        spread = f"{min(counts)} / {median(counts):g} / {max(counts)}"
        lines = [
            f"{self.name}: {counted(self.rows, self.reads)}, {counted(len(self.per_class), 'label')}",
            f"{self.reads}s a label (least / median / most): {spread}",
            f"words a sentence (median / most): {self.words_median:g} / {self.words_most}",
            f"repeated rows: {self.duplicates}; {self.reads}s with several labels: {len(self.contradictions)}",
            f"labels are words: {'yes' if self.labels_are_words else 'no'}",
        ]
        if self.reads == "image":
            lines = [line for line in lines if "words" not in line]
        advice = [f"- {sentence}" for sentence in self.advice] or ["Nothing to mend."]
        return "\n".join([*lines, "", *advice])


def checkup(table: Table) -> Checkup:
    """Looks a table over; `print(checkup(table).text())`.

    Raises:
        QuickstudyError: a table without rows.
    """
    if not len(table):
        raise QuickstudyError(f"{table.name} has no rows; each needs a text and a label")
    images = table.reads == "image"
    lengths = [0 if images else len(words(text)) for text in table.texts]
    plain_texts = contents(table.texts) if images else [" ".join(text.casefold().split()) for text in table.texts]
    labels_of: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, str] = {}
    for text, plain, label in zip(table.texts, plain_texts, table.labels, strict=True):
        labels_of[plain][label] += 1
        first.setdefault(plain, text.strip())
    counts = table.counts
    return Checkup(
        name=table.name,
        reads=table.reads,
        rows=len(table),
        per_class=counts,
        words_median=float(median(lengths)),
        words_most=max(lengths),
        wordless=0 if images else sum(not any(map(str.isalpha, text)) for text in table.texts),
        long=sum(length > LONG for length in lengths),
        duplicates=sum(count - 1 for labels in labels_of.values() for count in labels.values()),
        contradictions=[(first[plain], sorted(labels)) for plain, labels in labels_of.items() if len(labels) > 1],
        lookalikes=_alike((label, re.sub(r"[\s_-]+", "", label).casefold()) for label in counts),
        rare=[label for label, count in counts.items() if count < 2],
        imbalance=max(counts.values()) / min(counts.values()),
        labels_are_words=sum(map(_is_name, counts)) >= 0.8 * len(counts),
    )


def refuse_many_labels(table: Table) -> None:
    """Raises QuickstudyError where there are so many labels that they cannot be labels."""
    if len(table.classes) > MOST_LABELS:
        raise QuickstudyError(
            f"{table.name} has {len(table.classes):,} different labels for {counted(len(table), table.reads)}, and "
            f"{MOST_LABELS:,} are the most that can be learned; name another column with --label, or join labels"
        )


def _alike(keyed: Iterable[tuple[str, Hashable]]) -> list[list[str]]:
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for label, key in keyed:
        groups[key].append(label)
    return [group for group in groups.values() if len(group) > 1]


def _is_name(label: str) -> bool:
    """Whether there is a word in it: three letters in a row, or one of a script whose words are short."""
    found = [run.casefold() for run in re.findall(r"[^\W\d_]+", label)]
    return any((len(run) > 2 or not run.isascii()) and run not in _NO_NAMES for run in found)


def _named(labels: list[str]) -> str:
    shown = [repr(label) for label in labels[:5]] + (["others"] if len(labels) > 5 else [])
    return listed(shown)
