"""Tables of images: a folder with one subfolder a label, or an npz; the texts are references (`tasks/image_files.py`)."""

from __future__ import annotations

from pathlib import Path

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.image_archives import SUFFIX, Archive
from quickstudy.tasks.image_files import SUFFIXES
from quickstudy.wording import counted

Rows = tuple[list[str], list[str]]
"""References and their labels."""


def is_source(path: Path) -> bool:
    """Whether this can be nothing but images: a folder, or an npz."""
    return path.is_dir() or path.suffix.lower() == SUFFIX


def rows_of(path: Path) -> Rows:
    """The references of a folder's or an npz's images, and their labels.

    Raises:
        QuickstudyError: images without a label, a folder that is no label's, an npz without labels.
    """
    return _of_folder(path) if path.is_dir() else of_archive(path, str(path))


def of_archive(path: Path, name: str) -> Rows:
    """The images of an npz, referred to as `name#row`."""
    if not path.is_file():
        raise QuickstudyError(f"{path} does not exist; check the name, and the folder you are in")
    held = Archive.open(path)
    numbers, names, count = held.labels, held.class_names, len(held)
    if numbers is None or numbers.shape != (count,):
        found = "none" if numbers is None else " x ".join(map(str, numbers.shape))
        raise QuickstudyError(f"{path}: `labels` must have one label for each of the {count:,} images (found: {found})")
    if names is None:
        labels = [str(label) for label in numbers.tolist()]
    elif numbers.dtype.kind not in "iu" or (count and not 0 <= numbers.min() <= numbers.max() < len(names)):
        raise QuickstudyError(f"{path}: `labels` must number `class_names`, from 0 to {len(names) - 1}")
    else:
        labels = [str(label) for label in names[numbers].tolist()]
    blank = next((row for row, label in enumerate(labels) if not label.strip()), None)
    if blank is not None or not count:
        what = f"image {blank} has a blank label" if count else "it holds no images"
        raise QuickstudyError(f"{path}: {what}; each image needs a label")
    return [f"{name}#{row}" for row in range(count)], labels


def turned(rows: Rows) -> Rows:
    """The same images, and each turned by 90, 180 and 270 degrees as one of a class of its own (Santoro et al. 2016)."""
    references, labels = rows
    turns = ["", "@90", "@180", "@270"]
    return [r + turn for turn in turns for r in references], [label + turn for turn in turns for label in labels]


def _of_folder(folder: Path) -> Rows:
    loose, below = _images(folder), _subfolders(folder)
    if not loose and not any(_images(at) or any(map(_images, _subfolders(at))) for at in below):
        what = "or one whose subfolders hold the images of a label each"
        raise QuickstudyError(f"{folder} is a folder; name a CSV, TSV or JSONL file in it, {what}")
    if not below:
        raise QuickstudyError(
            f"{folder} holds {counted(len(loose), 'image')} and no subfolders; put the images of each label into a "
            "subfolder of that name"
        )
    if loose:
        raise QuickstudyError(
            f"{folder} holds {counted(len(loose), 'image')} beside its subfolders, such as {loose[0].name}; put each into the "
            "subfolder of its label"
        )
    references, labels = [], []
    for subfolder in below:
        images = _images(subfolder)
        if not images:
            raise QuickstudyError(_without_images(subfolder))
        references += [str(image) for image in images]
        labels += [subfolder.name] * len(images)
    return references, labels


def _without_images(folder: Path) -> str:
    inside = _visible(folder)
    if any(map(_images, _subfolders(folder))):
        return f"{folder} has its images in subfolders of its own; if those are the labels, name {folder} itself"
    others = sorted({path.suffix.lower() or path.name for path in inside})
    what = f"holds no image, only {', '.join(others[:3])}" if others else "is empty"
    kinds = ", ".join(SUFFIXES)
    return f"{folder} {what}; each subfolder is a label, with {kinds} files in it: fill it, or move it elsewhere"


def _images(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, by name, without what systems hide there."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    except OSError as error:
        raise QuickstudyError(f"cannot look into {folder}: {error.strerror}; check that you may read it") from None
