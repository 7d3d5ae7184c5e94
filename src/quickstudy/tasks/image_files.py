"""Images by where they are: a reference is a file (`dog/1.jpg`) or a row of an npz (`set.npz#17`), turned or not (`@90`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError, reason
from quickstudy.tasks.image_archives import SUFFIX, Archive

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
"""Files that are taken for images."""
_REFERENCE = re.compile(r"(?P<path>.*?)(?:#(?P<row>\d+))?(?:@(?P<turn>90|180|270))?", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where an image is.

    Args:
        path: of a file. One that is not below the current folder is looked for below the data folder (QUICKSTUDY_DATA).
        row: of an npz, from 0.
        turn: degrees, counter-clockwise.
    """

    path: str
    row: int | None = None
    turn: int = 0

    @classmethod
    def parse(cls, reference: str) -> Place:
        """Reads a reference."""
        found = _REFERENCE.fullmatch(reference)
        assert found is not None  # every string fits
        path, row, turn = found["path"], found["row"], int(found["turn"] or 0)
        if row is not None and not path.lower().endswith(SUFFIX):
            path, row = f"{path}#{row}", None  # a file may have such a name
        return cls(path, None if row is None else int(row), turn)

    @property
    def file(self) -> Path:
        """The file.

        Raises:
            QuickstudyError: there is none.
        """
        from quickstudy.tasks.named import data_folder

        path, folder = Path(self.path).expanduser(), data_folder()
        if not path.exists() and folder and not path.is_absolute() and (folder / path).is_file():
            return folder / path
        if not path.is_file():
            what = "is a folder, not an image" if path.is_dir() and self.path else "is no image: there is no such file"
            raise QuickstudyError(f"{self.path[:200] or 'a blank name'} {what}; give the path of a {_listed()} file")
        return path


def unturned(place: Place, archives: dict[str, Archive]) -> np.ndarray | Any:
    """The image as it is stored, not turned: an array `(height, width)` or `(height, width, 3)` of uint8, or PIL's image, unread.

    Args:
        archives: those that were opened before, by path; another joins them.

    Raises:
        QuickstudyError: no such file or row, or a file that is no image.
    """
    from PIL import Image

    if place.path.lower().endswith(SUFFIX):
        held = _archive(place, archives)
        row = held.row(place.row)
        if held.images is not None:
            return held.scaled(row)
        data: Any = BytesIO(held.jpeg_of(row))
    else:
        data = place.file
    try:
        return Image.open(data)
    except Exception as error:  # decoders fail in their own ways on what is broken
        raise QuickstudyError(unreadable(place, error)) from None


def unreadable(place: Place, error: Exception) -> str:
    """Why an image cannot be read, in one sentence."""
    row = "" if place.row is None else f"#{place.row}"
    why = reason(error)
    if type(error).__name__ == "UnidentifiedImageError":
        why = "it is in no format that is known"
    elif type(error).__name__ == "DecompressionBombError":
        why = "it is too large: more than 178 million pixels"
    return f"{place.path}{row} cannot be read as an image ({why}); replace it, or leave it out"


def contents(references: Sequence[str]) -> list[str]:
    """A hash of what each image holds, wherever it is: copies have the same, and embeddings are kept by it."""
    archives: dict[str, Archive] = {}  # looked for once each: a hundred thousand references may be to one
    hashes = []
    for place in map(Place.parse, references):
        if place.row is None:
            try:
                data = place.file.read_bytes()
            except OSError as error:
                raise QuickstudyError(unreadable(place, error)) from None
        else:
            held = _archive(place, archives)
            row = held.row(place.row)
            image = held.scaled(row) if held.images is not None else None
            data = held.jpeg_of(row) if image is None else repr(image.shape).encode() + image.tobytes()
        hashes.append(f"image {hashlib.blake2b(data, digest_size=16).hexdigest()} {place.turn}")
    return hashes


def _archive(place: Place, archives: dict[str, Archive]) -> Archive:
    if place.path not in archives:
        archives[place.path] = Archive.open(place.file)
    return archives[place.path]


def _listed() -> str:
    return ", ".join(suffix.removeprefix(".") for suffix in SUFFIXES[:-1]) + f" or {SUFFIXES[-1].removeprefix('.')}"
