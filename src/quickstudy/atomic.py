"""Files that are there whole, or as they were before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from quickstudy.errors import QuickstudyError


def write_atomically(path: Path, payload: bytes) -> None:
    """Writes beside the file, forces it to the disk and renames it into place.

    The temporary name is always the same, so that one which a kill has left behind is overwritten by the next write.

    Raises:
        OSError: a full disk, no permission; the file is then as it was, and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = str(path)  # the system names the temporary file, or none
        raise
    _sync_folder(path.parent)


def write_json(path: Path, numbers: Any) -> None:
    """Writes numbers for other programs to read."""
    write_atomically(path, f"{json.dumps(numbers, indent=1)}\n".encode())


def require_place(path: Path, option: str) -> None:
    """Makes sure before the work begins that a file can be written at its end.

    Args:
        option: that which the user gave the path to.

    Raises:
        QuickstudyError: a folder, or a missing or read-only folder above it.
    """
    if path.is_dir():
        raise QuickstudyError(f"{option} {path} is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise QuickstudyError(f"{option} {path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise QuickstudyError(f"{option} {path}: the folder {path.parent} cannot be written to; give another place")


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself survive a power cut; only where the system can open a folder."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
