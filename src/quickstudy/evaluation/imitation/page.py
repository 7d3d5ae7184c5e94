"""An evaluation of a robot as one page of HTML that needs nothing else: no network, no script."""

from __future__ import annotations

import base64
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

    from quickstudy.evaluation.report.draw_intervals import certain

    recipe = "".join(c if c.isprintable() or c == "\n" else " " for c in found["recipe"])
    return report.fill(
        Path(__file__).parent,
        **found | {"recipe": Markup(escape(recipe))},
        drawn=Markup,
        certain=certain,
        uri=lambda film: Markup(f"data:image/webp;base64,{base64.b64encode(film.webp).decode()}"),
    )
