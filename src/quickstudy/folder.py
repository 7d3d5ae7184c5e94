"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quickstudy.errors import QuickstudyError


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `folder` to write into, and puts it in its place at the end.

    Raises:
        QuickstudyError: `folder` is not empty, or cannot be written (a full disk, no permission); nothing is left.
    """
    refuse_full(folder)
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        temporary.chmod(0o755)
        yield temporary
        for path in temporary.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # not the private mode of temporary files
        if folder.exists():
            folder.rmdir()
        os.replace(temporary, folder)
    except OSError as error:
        raise QuickstudyError(f"cannot write {folder}: {error.strerror or error}; nothing was left there") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def refuse_full(folder: Path) -> None:
    """Raises a QuickstudyError unless `folder` is absent or empty."""
    if folder.is_file():
        raise QuickstudyError(f"{folder} is a file; give the name of a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise QuickstudyError(f"{folder} is not empty; give another name, or remove it first")
