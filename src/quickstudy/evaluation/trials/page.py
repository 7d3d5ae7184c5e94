"""An evaluation of an agent as one page of HTML that needs nothing else: no network, no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quickstudy.evaluation.report import page as report


def write(path: Path, found: dict[str, Any]) -> None:
    """Writes what `gather` found as a page.

    Raises:
        QuickstudyError: `path` is no place for a report.
    """
    report.save(path, render(found))


def render(found: dict[str, Any]) -> str:
    """What `gather` found, as HTML; it looks like the page of any other evaluation."""
    from markupsafe import Markup, escape

    from quickstudy.evaluation.report import words
    from quickstudy.evaluation.table import with_interval

    def number(row: dict[str, Any], key: str) -> Any:
        """As `evaluate` prints it; the interval may go below the number, but does not break."""
        shown = words.minus(with_interval(row[key], row["ci95"], percent=False, signed=key == "difference"))
        its, space, interval = shown.partition(" ")
        return Markup('{}{}<span class="interval">{}</span>').format(its, space, interval)

    recipe = "".join(c if c.isprintable() or c == "\n" else " " for c in found["recipe"])
    return report.fill(Path(__file__).parent, **found | {"recipe": Markup(escape(recipe))}, drawn=Markup, number=number)
