"""Warnings: a line each on standard error. The work goes on, and the exit code stays what it is."""

from __future__ import annotations

import sys


def warn(message: str) -> None:
    """Says it in one line, as errors are said."""
    print(f"quickstudy: warning: {' '.join(message.split())}", file=sys.stderr)
