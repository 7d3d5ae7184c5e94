"""`savedmodel:FOLDER?range=-1,1#embedding`: where a SavedModel is, what its name says of it, and what identifies its files."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quickstudy.errors import QuickstudyError

PREFIX = "savedmodel:"
FILE = "saved_model.pb"
PARTS = ("variables", "assets")
"""The folders beside that file which count."""
SETTINGS = ("signature", "size", "range", "rate")


@dataclass(frozen=True)
class Source:
    """A SavedModel's folder, and what its name says beside.

    Args:
        name: as it was given.
        folder: the one with saved_model.pb.
        output: which of several outputs is the embedding (after `#`).
        signature: which of several functions is called.
        size: pixels a side, of a model that takes images of any size.
        range: what black and white are to the model; TensorFlow Hub's convention is 0 and 1.
        rate: samples a second of what the model hears.
    """

    name: str
    folder: Path
    output: str | None = None
    signature: str | None = None
    size: int | None = None
    range: tuple[float, float] = (0.0, 1.0)
    rate: int | None = None

    @classmethod
    def parse(cls, name: str) -> Source:
        """Reads a name: `savedmodel:`, a folder or a handle of TensorFlow Hub, `?key=value&...` and `#output`.

        Raises:
            QuickstudyError: no such folder, none with saved_model.pb, a handle that is not in the cache, an unknown setting.
        """
        place, _, output = name.removeprefix(PREFIX).partition("#")
        place, _, query = place.partition("?")
        folder = _cached(place) if "://" in place else Path(place).expanduser()
        if not folder.is_dir():
            where = (
                f" in the cache of tensorflow_hub ({folder}); download it with tensorflow_hub.resolve" if "://" in place else ""
            )
            raise QuickstudyError(f"{name}: there is no folder {place}{where or '; give one that holds ' + FILE}")
        if not (folder / FILE).is_file():
            inside = next(iter(sorted(folder.glob(f"*/{FILE}"))), None)
            remedy = (
                f"{inside.parent} does: name that"
                if inside
                else "give a SavedModel, such as an unpacked module of TensorFlow Hub"
            )
            raise QuickstudyError(f"{name}: {folder} holds no {FILE}; {remedy}")
        said = {key: value for key, _, value in (pair.partition("=") for pair in query.split("&") if pair)}
        if unknown := said.keys() - set(SETTINGS):
            raise QuickstudyError(f"{name}: {sorted(unknown)[0]!r} is not known; after ? there may be {', '.join(SETTINGS)}")
        try:
            numbers = {key: int(said[key]) for key in ("size", "rate") if key in said}
            black, white = map(float, said.get("range", "0,1").split(","))
        except ValueError:
            raise QuickstudyError(f"{name}: size and rate are whole numbers, range is two, such as range=-1,1") from None
        if black >= white or any(number < 1 for number in numbers.values()):
            raise QuickstudyError(f"{name}: size and rate are at least 1, and range rises, such as range=-1,1")
        return cls(name, folder, output or None, said.get("signature"), range=(black, white), **numbers)

    def files(self) -> Iterator[Path]:
        """The files that count, sorted.

        Raises:
            QuickstudyError: a symbolic link that leads out of the folder.
        """
        root = self.folder.resolve()
        for path in (self.folder / FILE, *(found for part in PARTS for found in self._below(part))):
            if not path.resolve().is_relative_to(root):
                where = path.relative_to(self.folder)
                raise QuickstudyError(
                    f"{self.name}: {where} leads out of the folder (a symbolic link); nothing outside is read: copy the files "
                    "themselves there (cp -rL)"
                )
            if path.is_file():
                yield path

    def fingerprint(self) -> str:
        """A hash of the files' names and contents, 32 hexadecimal digits.

        Raises:
            QuickstudyError: as `files`, or a file that cannot be read.
        """
        digest = hashlib.blake2b(digest_size=16)
        try:
            for path in self.files():
                digest.update(f"{path.relative_to(self.folder).as_posix()} {path.stat().st_size}\n".encode())
                with path.open("rb") as file:
                    while block := file.read(2**20):
                        digest.update(block)
        except OSError as error:
            raise QuickstudyError(f"{self.name} cannot be read ({error.strerror}); check that you may read its files") from None
        return digest.hexdigest()

    def _below(self, part: str) -> list[Path]:
        return [self.folder / part, *sorted((self.folder / part).rglob("*"))]


def _cached(handle: str) -> Path:
    """Where tensorflow_hub keeps the module of this handle; nothing is downloaded."""
    folder = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    return Path(folder, hashlib.sha1(handle.encode()).hexdigest())
