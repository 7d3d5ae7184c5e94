"""Folders that appear whole or not at all, and into which one process at a time writes."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from quickstudy.errors import QuickstudyError

try:
    import fcntl
except ImportError:  # Windows has no locks on folders: there, nothing is held
    fcntl = None


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `folder` to write into, and puts it in its place at the end.

    The temporary name is always the same, so that what a kill has left there goes with the next try. Where nothing can be held,
    each writer has one of its own, and what a kill leaves stays.

    Raises:
        QuickstudyError: `folder` is not empty, another process writes it or was quicker, or it cannot be written (a full disk, no
            permission); nothing is left.
    """
    require_new(folder)
    temporary = folder.parent / f".{folder.name}.part"
    with alone(temporary, name=folder) as held:
        new = temporary if held else temporary.with_name(f"{temporary.name}.{secrets.token_hex(4)}")
        try:
            for path in temporary.iterdir() if held else ():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            new.mkdir(exist_ok=held)
            yield new
            for path in new.rglob("*.safetensors"):
                path.chmod(0o644)  # they are written for their owner alone
            require_new(folder)
            if folder.exists():
                folder.rmdir()
            os.replace(new, folder)
        except (OSError, SafetensorError) as error:
            why = getattr(error, "strerror", None) or error
            raise QuickstudyError(
                f"cannot write {folder}: {why}; nothing was left there; make room, or give another --out"
            ) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)


def require_new(folder: Path) -> None:
    """Raises a QuickstudyError unless `folder` is absent or empty, in a place that can be written to."""
    if folder.is_file():
        raise QuickstudyError(f"{folder} is a file; give the name of a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise QuickstudyError(f"{folder} is not empty; give another name, or remove it first")
    above = next(each for each in folder.absolute().parents if each.exists())
    if not os.access(above, os.W_OK):
        raise QuickstudyError(f"{folder} cannot be written: {above} is read-only for you; give another --out")


@contextmanager
def alone(folder: Path, *, name: Path | None = None, wait: bool = False) -> Iterator[bool]:
    """Holds a folder while something writes into it, so that two runs never mix there; says whether it could be held.

    The lock is the system's, on the folder itself: a kill lets it go, and nothing is left. Folders that were made for it and
    are still empty at the end are taken away again.

    Args:
        folder: made where it is not there.
        name: what the user calls it.
        wait: for whoever holds it to end, where both make the same.

    Raises:
        QuickstudyError: another process holds it; it is a file, or cannot be made.
    """
    name = name or folder
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY) if fcntl else None
    except FileExistsError:
        raise QuickstudyError(f"{name} is a file; give the name of a new folder") from None
    except OSError as error:
        raise QuickstudyError(f"{name} cannot be written to ({error.strerror or error}); give another --out") from error
    held = False
    try:
        if fcntl and place is not None:
            try:
                fcntl.flock(place, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                held = True
            except BlockingIOError:
                said = "another run is writing into it; wait until it has ended, or give another --out"
                raise QuickstudyError(f"{name}: {said}") from None
            except OSError:  # a file system without such locks: better without than not at all
                pass
        yield held
    finally:
        with suppress(OSError):  # not empty, or put elsewhere
            for each in made:
                each.rmdir()
        if place is not None:
            os.close(place)
