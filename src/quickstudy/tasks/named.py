"""Sets known by name: the built-in sample, and those in the data folder with their published class folds."""

from __future__ import annotations

import json
import os
from pathlib import Path

from quickstudy.errors import QuickstudyError
from quickstudy.tasks import named_images, reading
from quickstudy.tasks.table import SPLIT_NAMES, Table

SAMPLES = Path(__file__).parent.parent / "samples"
HELPDESK, HELPDESK_GROUPS = SAMPLES / "helpdesk.csv", SAMPLES / "helpdesk_groups.json"
FILES = {
    "amazon_fewshot": "amazon_fewshot/amazon.jsonl",
    "banking77": "banking77/banking77.jsonl",
    "clinc150": "clinc150/clinc150.jsonl",
    "csldcp": "fewclue/csldcp.jsonl",
    "reuters_fewshot": "reuters_fewshot/reuters.jsonl",
    "tnews": "fewclue/tnews.jsonl",
    **named_images.FILES,
}
FOLDS = {name: f"{name}/fewshot_class_splits.json" for name in ("banking77", "clinc150", "reuters_fewshot")}
FOLDS |= named_images.FILES
ALIASES = {"amazon": "amazon_fewshot", "reuters": "reuters_fewshot", "tiny_imagenet_fewshot": "tiny_imagenet"}


def known() -> list[str]:
    """The names that `named` opens here: `helpdesk`, and the sets whose file is in the data folder."""
    folder = data_folder()
    return ["helpdesk"] + [name for name, file in FILES.items() if folder and (folder / file).is_file()]


def named(name: str) -> Table:
    """The set of this name, with its original splits where it has any.

    The data folder is the one that the environment variable QUICKSTUDY_DATA names, else ../shared/data if it exists.

    Raises:
        QuickstudyError: no such name (lists the known ones), or the data folder is not there.
    """
    name, path = _locate(name)
    if name in named_images.FILES:
        return Table(*named_images.rows(name, path.parents[1]), name, reads="image")
    texts, labels, splits = [], [], []
    for line, record in reading.records(path, ("text", "label")):
        text, label = reading.checked(record["text"], record["label"], f"{path}, line {line}")
        texts.append(text)
        labels.append(label)
        splits.append(SPLIT_NAMES.get(record.get("split", ""), record.get("split", "")))
    return Table(texts, labels, name, splits if any(splits) else None)


def folds(name: str) -> list[dict[str, list[str]]]:
    """The published class folds of a set: for each {"train", "valid", "test"} -> labels.

    Raises:
        QuickstudyError: an unknown name, or a set without published folds.
    """
    name, path = _locate(name)
    if name == "helpdesk":
        return [_read_json(HELPDESK_GROUPS)]
    if name not in FOLDS:
        having = ", ".join(["helpdesk", *FOLDS])
        raise QuickstudyError(f"{name} has no published folds ({having} have); divide its classes by seed: Table.divide(seed=0)")
    if name in named_images.FILES:
        return named_images.folds(name, path.parents[1])
    listed = _read_json(path.parent.parent / FOLDS[name])
    return [{part: [str(label) for label in labels] for part, labels in fold.items()} for fold in listed]


def select_part(name: str, *, split: str = "test", fold: int | None = None) -> tuple[Table, Table]:
    """What a set is judged on, and what is learned from: (pool, support).

    Args:
        name: a known set.
        split: "train", "valid" or "test".
        fold: with one (counted from 1), both are all sentences of the classes that this fold puts into `split`, whatever
            their original split. Without, the pool is the original split and the support the original "train"; both
            are the whole set where it has no original splits. Image sets are divided by classes alone: fold 1 is meant.

    Raises:
        QuickstudyError: an unknown name or split, or a fold that is not there.
    """
    if fold is None and divided_by_class(name):
        fold = 1
    if fold is None:
        table = named(name)
        return (table, table) if table.splits is None else (table.select(split=split), table.select(split="train"))
    published = folds(name)
    if not 1 <= fold <= len(published):
        counted = "only fold 1" if len(published) == 1 else f"folds 1 to {len(published)}"
        raise QuickstudyError(f"{name} has no fold {fold}; it has {counted}")
    part = SPLIT_NAMES.get(split, split)
    if part not in published[fold - 1]:
        raise QuickstudyError(f"fold {fold} of {name} has no part {split!r}; it has " + ", ".join(published[fold - 1]))
    pool = named(name).select(classes=published[fold - 1][part])
    return pool, pool


def divided_by_class(name: str) -> bool:
    """Whether a set has no split but the published one of its classes."""
    return ALIASES.get(name, name) in named_images.FILES


def data_folder() -> Path | None:
    """The folder of the sets that are known by name; None where there is none."""
    given = os.environ.get("QUICKSTUDY_DATA")
    folder = Path(given) if given else Path("..", "shared", "data")
    return folder if folder.is_dir() else None


def _locate(name: str) -> tuple[str, Path]:
    """The set's own name and its file."""
    name = ALIASES.get(name, name)
    if name == "helpdesk":
        return name, HELPDESK
    folder, names = data_folder(), ", ".join(known())
    if folder is None:
        given = os.environ.get("QUICKSTUDY_DATA")
        where = f"the data folder {given} is not there" if given else "no data folder was found"
        raise QuickstudyError(f"no set {name!r} (known: {names}); {where}, so set QUICKSTUDY_DATA to one that holds the sets")
    if name not in known():
        raise QuickstudyError(f"no set {name!r} (known: {names}); give one of these, or a CSV, TSV or JSONL file")
    return name, folder / FILES[name]


def _read_json(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise QuickstudyError(f"cannot read the folds in {path} ({error}); fetch the file again") from None
