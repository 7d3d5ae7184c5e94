"""`own_code`: what a person's own code raises, as an error that says where."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from quickstudy.errors import QuickstudyError


@contextmanager
def own_code(what: str) -> Iterator[None]:
    """Inside, any exception becomes a `QuickstudyError`, with the innermost line that is of no installed package.

    Args:
        what: is called there, in words.
    """
    try:
        yield
    except QuickstudyError:
        raise
    except Exception as error:
        frames = [each for each in traceback.extract_tb(error.__traceback__) if "site-packages" not in each.filename]
        place = "" if isinstance(error, SyntaxError) else f" ({frames[-1].filename}, line {frames[-1].lineno})"
        raise QuickstudyError(f"{what} raises {type(error).__name__}: {error}{place}") from error
