"""`Table`: labelled sentences or images, from a file, a folder, a data frame, the hub or by name."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from quickstudy.errors import QuickstudyError
from quickstudy.tasks import image_tables, reading
from quickstudy.wording import counted

FRACTIONS = {"train": 0.5, "valid": 0.25, "test": 0.25}
SPLIT_NAMES = {"val": "valid", "dev": "valid", "validation": "valid"}


@dataclass(frozen=True)
class Table:
    """Labelled sentences, or images, each named by where it is (`dog/1.jpg`, `set.npz#17`).

    Args:
        texts: the sentences, or the references of the images.
        labels: one label for each.
        name: what messages and reports call it.
        splits: the part of the original data that each row belongs to ("train", "valid", "test"), where known.
        reads: what a row is: "sentence" or "image".

    Raises:
        QuickstudyError: columns of different lengths.
    """

    texts: list[str]
    labels: list[str]
    name: str = "table"
    splits: list[str] | None = None
    reads: Literal["sentence", "image"] = "sentence"

    def __post_init__(self):
        lengths = [len(column) for column in (self.texts, self.labels, self.splits) if column is not None]
        if len(set(lengths)) > 1:
            raise QuickstudyError(f"{self.name}: each text needs its label (and split); the columns have lengths {lengths}")

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def read(cls, source: Any, *, text: str = "text", label: str = "label") -> Table:
        """Opens a table.

        Args:
            source: a CSV, TSV or JSONL file; a folder with a subfolder of images for each label; an npz of images and
                labels; the name of a known set; `"hf:NAME"`, a set on the Hugging Face hub; a pandas data frame; a
                Hugging Face `Dataset` or `DatasetDict`.
            text: the column that holds the sentences.
            label: the column that holds their labels; numbers become strings.

        Raises:
            QuickstudyError: whatever is wrong with it, with the line, column or byte.
        """
        if isinstance(source, str) and source.startswith("hf:"):
            return _of_columns(_from_hub(source[3:]), text, label, source)
        if not isinstance(source, (str, Path)):
            return _of_columns(source, text, label, "data frame" if hasattr(source, "iloc") else "data set")
        if isinstance(source, str) and _is_name(source):
            from quickstudy.tasks.named import named  # which makes tables itself

            return named(source)
        if image_tables.is_source(Path(source)):
            return cls(*image_tables.rows_of(Path(source)), Path(source).name, reads="image")
        texts, labels = [], []
        for _, sentence, its_label in reading.rows(source, text=text, label=label):
            texts.append(sentence)
            labels.append(sys.intern(its_label))  # a million rows hold a few hundred labels
        return cls(texts, labels, Path(source).name)

    @property
    def classes(self) -> list[str]:
        """The labels, each once, sorted."""
        return list(self._rows)

    @property
    def counts(self) -> dict[str, int]:
        """Label -> number of its sentences."""
        return {label: len(rows) for label, rows in self._rows.items()}

    def rows_of(self, label: str) -> list[int]:
        """The rows that bear this label, in order.

        Raises:
            QuickstudyError: no row does.
        """
        if label not in self._rows:
            self._known([label])
        return self._rows[label]

    def select(self, *, classes: Sequence[str] | None = None, split: str | None = None) -> Table:
        """The rows of these classes and of this original split, in order; all where neither is given.

        Raises:
            QuickstudyError: a class or split that the table does not have.
        """
        keep: Iterable[int] = range(len(self))
        if classes is not None:
            self._known(classes)
            wanted = set(classes)
            keep = [i for i in keep if self.labels[i] in wanted]
        if split is not None:
            split, splits = SPLIT_NAMES.get(split, split), self.splits or []
            if split not in splits:
                has = "has " + ", ".join(repr(s) for s in sorted(set(splits))) if splits else "has no original splits"
                raise QuickstudyError(f"{self.name} has no split {split!r}; it {has}")
            keep = [i for i in keep if splits[i] == split]
        rows = list(keep)
        splits = self.splits and [self.splits[i] for i in rows]
        return replace(self, texts=[self.texts[i] for i in rows], labels=[self.labels[i] for i in rows], splits=splits)

    def divide(
        self,
        *,
        fractions: Mapping[str, float] = FRACTIONS,
        groups: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
    ) -> dict[str, Table]:
        """Parts that share no class.

        Args:
            fractions: part -> its share of the classes; which ones is drawn. Each part gets two at least.
            groups: part -> its classes; in place of `fractions` and `seed`.
            seed: which classes go where.

        Raises:
            QuickstudyError: fractions that do not add up to 1, a class in two groups, fewer than two classes a part.
        """
        groups = self._draw(fractions, seed) if groups is None else groups
        owner: dict[str, str] = {}
        for part, classes in groups.items():
            if len(set(classes)) < 2:
                raise QuickstudyError(f"part {part!r} of {self.name} has fewer than two classes; give it two at least")
            for label in classes:
                if owner.setdefault(label, part) != part:
                    raise QuickstudyError(f"class {label!r} is in {owner[label]!r} and {part!r}; parts must share no class")
        return {part: self.select(classes=classes)._renamed(part) for part, classes in groups.items()}

    def require(self, *, classes: int = 2, per_class: int = 1, why: str = "") -> None:
        """Makes sure that there are so many labels, and so many sentences for each.

        Args:
            classes: labels needed.
            per_class: sentences needed for each label.
            why: what needs so many ("5 shots and 1 query"), for the message.

        Raises:
            QuickstudyError: it has fewer; names the label.
        """
        if len(self.classes) == 1 < classes:
            raise QuickstudyError(f"{self.name} has only one label, {self.classes[0]!r}; add {self.reads}s of another")
        if len(self.classes) < classes:
            counts = f"{len(self.classes)} labels and {classes} are needed"
            raise QuickstudyError(f"{self.name} has {counts}; add {self.reads}s of others")
        label, count = min(self.counts.items(), key=lambda item: item[1])
        if count < per_class:
            has = counted(count, self.reads)
            need = f", {why} need {per_class}" if why else f" and {per_class} are needed"
            raise QuickstudyError(f"label {label!r} has {has}{need}; add some to {self.name}, or ask for fewer")

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {label: [] for label in sorted(set(self.labels))}
        for row, label in enumerate(self.labels):
            rows[label].append(row)
        return rows

    def _known(self, classes: Sequence[str]) -> None:
        unknown = [label for label in classes if label not in self._rows]
        if unknown:
            names = ", ".join(repr(label) for label in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
            some = ", ".join(repr(label) for label in self.classes[:5]) + (", ..." if len(self.classes) > 5 else "")
            raise QuickstudyError(f"{self.name} has no class {names}; it has {some}")

    def _draw(self, fractions: Mapping[str, float], seed: int) -> dict[str, list[str]]:
        if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
            raise QuickstudyError(f"fractions must be positive and add up to 1, not {dict(fractions)}")
        classes = self.classes
        sizes = {part: max(2, round(len(classes) * share)) for part, share in fractions.items()}
        largest = max(sizes, key=lambda part: fractions[part])
        sizes[largest] += len(classes) - sum(sizes.values())
        if sizes[largest] < 2:
            need = f"{len(fractions)} parts need two each, {2 * len(fractions)} at least"
            raise QuickstudyError(f"{self.name} has {len(classes)} classes; {need}")
        random.Random(seed).shuffle(classes)
        drawn = iter(classes)
        return {part: sorted(next(drawn) for _ in range(size)) for part, size in sizes.items()}

    def _renamed(self, part: str) -> Table:
        return replace(self, name=f"{self.name}/{part}")


def _is_name(source: str) -> bool:
    """Whether this is meant as the name of a set; what has a suffix or a folder in it, or is there, is a path."""
    from quickstudy.tasks.named import known

    path = Path(source)
    return not path.is_file() and (source in known() or not (path.suffix or len(path.parts) != 1 or path.exists()))


def _from_hub(name: str) -> Any:
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise QuickstudyError(f'hf:{name} needs the datasets package; pip install "quickstudy[datasets]"') from None
    try:
        return datasets.load_dataset(name)
    except Exception as error:  # the hub's errors have no common root
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise QuickstudyError(f"cannot load {name!r} from the hub ({reason}); check the name and the connection") from None


def _of_columns(source: Any, text: str, label: str, name: str) -> Table:
    """A table from whatever has columns; of several splits (`DatasetDict`) all, each row with its own."""
    if isinstance(source, Mapping):
        tables = {str(split): _of_columns(data, text, label, f"{name}, split {split!r}") for split, data in source.items()}
        texts = [sentence for table in tables.values() for sentence in table.texts]
        labels = [its_label for table in tables.values() for its_label in table.labels]
        splits = [SPLIT_NAMES.get(split, split) for split, table in tables.items() for _ in table.texts]
        return Table(texts, labels, name, splits)
    columns = getattr(source, "column_names", getattr(source, "columns", None))
    if columns is None or not hasattr(source, "__getitem__"):
        raise QuickstudyError(f"no table in a value of type {type(source).__name__}; give a file, a name or a data frame")
    reading.require_columns((text, label), [str(column) for column in columns], name)
    names = getattr((getattr(source, "features", None) or {}).get(label), "names", None)
    texts, labels = [], []
    for row, (sentence, its_label) in enumerate(zip(source[text], source[label], strict=True)):
        if names and isinstance(its_label, int):  # the hub numbers labels; -1 means none
            its_label = names[its_label] if 0 <= its_label < len(names) else None
        sentence, its_label = reading.checked(sentence, its_label, f"{name}, row {row} (from 0)")
        texts.append(sentence)
        labels.append(its_label)
    if not texts:
        raise QuickstudyError(f"{name} has no rows; each needs a text and a label")
    return Table(texts, labels, name)
