"""The documentation site: `make docs`, then open build/docs/index.html."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import quickstudy

project, author, release = "quickstudy", "the quickstudy authors", quickstudy.__version__
version = release
copyright = "Apache License 2.0"
html_title = f"quickstudy {release}"
html_theme = "furo"
html_theme_options = {"footer_icons": [], "navigation_with_keys": True}
templates_path = ["_templates"]
html_sidebars = {
    "**": [f"sidebar/{part}.html" for part in ("brand", "search", "scroll-start", "navigation", "versions", "scroll-end")]
}
html_static_path, html_css_files = ["_static"], ["site.css"]
html_copy_source = html_show_sphinx = False
extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton", "sphinxcontrib.mermaid",
]  # fmt: skip
exclude_patterns = ["_build", "_templates"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
copybutton_prompt_text = "$ "

autodoc_typehints = "none"  # the signature has them, and the docstring the meaning
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "training"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]


def command_line(app) -> None:
    """The page of all commands, from what they say of themselves."""
    page = Path(app.srcdir) / "reference" / "command-line.md"
    made = [sys.executable, "-m", "typer", "quickstudy.cli.main", "utils", "docs", "--name", "quickstudy", "--title", "Commands"]
    found = subprocess.run(made, capture_output=True, text=True, check=True).stdout
    if not page.is_file() or page.read_text(encoding="utf-8") != found:
        page.write_text(found, encoding="utf-8")


def plain_marks(app, what, name, it, options, lines: list[str]) -> None:
    """Docstrings are written as one reads them in an editor: `code` in single marks, and bars that are bars."""
    text = re.sub(r"(?<![`:])`([^`]+)`(?!`)(\w)?", lambda it: f"``{it[1]}``" + (rf"\ {it[2]}" if it[2] else ""), "\n".join(lines))
    lines[:] = "".join(
        part if i % 2 else part.replace("|", r"\|") for i, part in enumerate(re.split("(``.*?``)", text, flags=re.S))
    ).split("\n")


def setup(app) -> None:
    app.connect("builder-inited", command_line)
    app.connect("autodoc-process-docstring", plain_marks, priority=400)
