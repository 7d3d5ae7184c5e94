"""An evaluation of a language model as one page of HTML that needs nothing else: no network, no script."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from quickstudy.evaluation.report import page as report

DEEPEST, FULL = 48, 3.0
"""Percent of colour behind a token at most, and the change in nats from which on it has that much."""


def write(path: Path, found: dict[str, Any]) -> None:
    """Writes what `gather` found as a page.

    Raises:
        QuickstudyError: `path` is no place for a report.
    """
    report.save(path, render(found))


def render(found: dict[str, Any]) -> str:
    """What `gather` found, as HTML; it looks like the page of any other evaluation."""
    from markupsafe import Markup, escape

    from quickstudy.evaluation.language import figures
    from quickstudy.evaluation.report import words

    result = found["result"]
    return report.fill(
        Path(__file__).parent,
        **found,
        curve=Markup(figures.scores_over_steps(result)),
        less=Markup(figures.differences_over_steps(result)),
        scores=lambda of: list(figures.scores_table(result, of)),
        differences=[(method["learner"], figures.differences(result, method["learner"])) for method in result["methods"][1:]],
        rates_rows=list(figures.rates_table(result)),
        signed=lambda number: words.minus(f"{number:+.3f}") if abs(number) >= 0.0005 else "0.000",
        probability=probability,
        tint=tint,
        piece=lambda text: Markup(escape(in_line(text))),
    )


def probability(nats: float) -> str:
    """Of a token with this loss, as a reader says it: "12%", "1 in 4,500"."""
    if nats < math.log(50):
        return f"{100 * math.exp(-nats):.0f}%"
    return f"1 in {float(f'{math.exp(min(nats, 700)):.2g}'):,.0f}" if nats < 30 else "next to nothing"


def tint(change: float | None) -> str:
    """How much colour a token gets for the change of its loss, as CSS; none where that is small or not known."""
    depth = round(DEEPEST * min(abs(change or 0.0), FULL) / FULL)
    return f"--depth:{depth}%;--hue:var({'--accent' if (change or 0) < 0 else '--c1'})" if depth >= 4 else ""


def in_line(text: str) -> str:
    """A token's text on one line, with its spaces."""
    from quickstudy.evaluation.report.words import FORMATTING

    shown = text.replace("\r", "").replace("\n", "\u21b5")
    return "".join(c if c.isprintable() or c in FORMATTING else " " for c in shown)
