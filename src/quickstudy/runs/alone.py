"""`alone`: one run at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quickstudy.errors import QuickstudyError

try:
    import fcntl
except ImportError:  # Windows has no locks on folders: there, nothing is held
    fcntl = None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a folder while something writes into it, so that two runs never mix there.

    The lock is the system's, on the folder itself: a kill lets it go, and nothing is left. Folders that were made for it and
    are still empty at the end are taken away again.

    Raises:
        QuickstudyError: another process holds it; it is a file, or cannot be made.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY) if fcntl else None
    except FileExistsError:
        raise QuickstudyError(f"{folder} is a file; give the name of a new folder") from None
    except OSError as error:
        raise QuickstudyError(f"{folder} cannot be written to ({error.strerror or error}); give another --out") from error
    try:
        _lock(folder, held)
        yield
    finally:
        with suppress(OSError):  # not empty
            for each in made:
                each.rmdir()
        if held is not None:
            os.close(held)


def _lock(folder: Path, held: int | None) -> None:
    if fcntl and held is not None:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise QuickstudyError(
                f"{folder}: another run is writing into it; wait until it has ended, or give another --out"
            ) from None
        except OSError:  # a file system without such locks: better without than not at all
            pass
