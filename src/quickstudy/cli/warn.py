"""What goes to standard error: a plain line each."""

from __future__ import annotations

import sys


def tell(message: str) -> None:
    """Says it in one line, with our name before it."""
    print(f"quickstudy: {' '.join(message.split())}", file=sys.stderr)


def warn(message: str) -> None:
    """Says what is doubtful; the work goes on, and the exit code stays what it is."""
    tell(f"warning: {message}")
