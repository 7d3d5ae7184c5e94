"""Counts and lists in words."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, what: str) -> str:
    """ "1 task", "2,000 tasks"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def listed(words: Sequence[str], *, last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
