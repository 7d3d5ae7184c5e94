"""`quiet`: transformers without its loading bars."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet(transformers: Any):
    """Keeps loading bars and reports of unused weights out of the user's terminal."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
