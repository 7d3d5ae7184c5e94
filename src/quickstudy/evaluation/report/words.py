"""Numbers as a page shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quickstudy.evaluation.evaluate import SHARES
from quickstudy.evaluation.statistics import Interval

MINUS = "\u2212"


def value(number: float, metric: str) -> str:
    """A score: shares in percent, anything else with three digits."""
    return _written(number, metric) + ("%" if metric in SHARES else "")


def difference(number: float, metric: str, *, unit: bool = True) -> str:
    """A difference of two scores, with its sign."""
    return _written(number, metric, signed=True) + (" points" if unit and metric in SHARES else "")


def interval(ends: Interval, metric: str, *, signed: bool = False) -> str:
    """The ends of an interval, without their unit; those of a difference are signed."""
    if ends is None:
        return "unknown from one task"
    return " to ".join(_written(end, metric, signed=signed) for end in (ends if signed else possible(ends, metric)))


def possible(ends: Sequence[float], metric: str) -> list[float]:
    """An interval of scores without what no score can be: few tasks give ends above 100%."""
    return [min(1.0, max(0.0, end)) for end in ends] if metric in SHARES else [max(0.0, end) for end in ends]


def _written(number: float, metric: str, *, signed: bool = False) -> str:
    text = f"{100 * number:.1f}" if metric in SHARES else f"{number:#.3g}".rstrip(".")
    if float(text) == 0:
        return text.lstrip("-")
    return minus("+" + text if signed and number > 0 else text)


def seconds(number: float) -> str:
    """A time: milliseconds below a tenth of a second."""
    return f"{1000 * number:.2g} ms" if number < 0.0995 else f"{number:.2f} s" if number < 9.95 else f"{number:.0f} s"


def minus(text: str) -> str:
    """The text with a typographic minus before its negative numbers."""
    return re.sub(r"(?<![\w.)])-(?=\d)", MINUS, text)


def plain(text: object) -> str:
    """One line without control characters, which no page may hold."""
    return " ".join("".join(c if c.isprintable() or c in FORMATTING else " " for c in str(text)).split())


FORMATTING = "\u200c\u200d\u200e\u200f"
"""Joiners and direction marks: not printable, but part of how some scripts are written."""


def short(text: object, length: int) -> str:
    """The text on one line, cut to a length."""
    line = plain(text)
    return line if len(line) <= length else line[: length - 1].rstrip() + "\u2026"


def metric_name(metric: str) -> str:
    """A metric as a reader says it."""
    return metric.replace("_", " ")
