"""An evaluation as one page of HTML that needs nothing else: no network, no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quickstudy.atomic import require_place, write_atomically
from quickstudy.errors import QuickstudyError

MARK = '<meta name="generator" content="quickstudy report">'
"""By which a page of ours is known, so that nothing else is ever replaced."""


def check_place(path: Path) -> None:
    """Makes sure that a report can be written there, before anything is computed.

    Raises:
        QuickstudyError: a folder, a missing or read-only folder above it, a file that is no report.
    """
    require_place(path, "--report")
    if path.exists() or path.is_symlink():
        with path.open("rb") as file:
            if MARK.encode() not in file.read(4096):
                raise QuickstudyError(f"--report {path} is there already and is no report of quickstudy; give another name")


def write(path: Path, found: dict[str, Any]) -> None:
    """Writes what `gather` found as a page.

    Raises:
        QuickstudyError: `path` is no place for a report.
    """
    save(path, render(found))


def save(path: Path, html: str) -> None:
    """Writes a page, whole or not at all.

    Raises:
        QuickstudyError: `path` is no place for a report.
    """
    check_place(path)
    # Half of a surrogate pair, which JSON can hold and UTF-8 cannot, becomes a question mark.
    write_atomically(path, html.encode("utf-8", errors="replace"))


def fill(folder: Path, **values: Any) -> str:
    """The template `page.html.j2` of a folder with these values, in the style that all pages share and that of the folder.

    Everything that is no markup is escaped and set in plain words.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from quickstudy.evaluation.report import words

    styles = [(place / "page.css").read_text(encoding="utf-8") for place in dict.fromkeys((Path(__file__).parent, folder))]
    shared = {"mark": Markup(MARK), "words": words, "css": Markup("\n".join(styles))}
    pages = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) or callable(value) else words.plain(value),
    )
    return pages.get_template("page.html.j2").render(**values, **shared)


def render(found: dict[str, Any]) -> str:
    """What `gather` found, as HTML."""
    from markupsafe import Markup, escape

    from quickstudy.evaluation.report.draw_intervals import certain
    from quickstudy.evaluation.report.draw_map import swatch
    from quickstudy.evaluation.report.figures import figures

    drawn = {name: Markup(drawing or "") for name, drawing in figures(found).items()}  # whose words are escaped already
    return fill(
        Path(__file__).parent,
        **found,
        figures=drawn,
        certain=certain,
        soft=lambda label: escape(label).replace("_", Markup("_<wbr>")),  # where a long label may break
        swatch=lambda place: Markup(swatch(place)),
    )
