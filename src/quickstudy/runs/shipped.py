"""The recipes and the trained runs that come with quickstudy."""

from __future__ import annotations

import difflib
from pathlib import Path

from quickstudy.errors import QuickstudyError

_PLACES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")
"""Inside the installed package; in a checkout."""
PRIORS = Path(__file__).parents[1] / "priors"
"""Where the runs are that ship."""


def find_run(given: str | Path) -> Path | None:
    """The folder of a run that MODEL means: one's own, before a shipped one of that name; None where it is neither."""
    places = [Path(given).expanduser(), *([PRIORS / given] if Path(given).name == str(given) else [])]
    return next((place for place in places if (place / "recipe.yaml").is_file()), None)


def shipped_recipe(name: str) -> Path:
    """The file of a shipped recipe, such as `text/helpdesk.yaml`."""
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    raise QuickstudyError(f"the recipe {name} is not part of this installation; reinstall quickstudy")


def shipped() -> dict[str, Path]:
    """Every shipped recipe by its short name, such as `own-labels` for `text/own-labels.yaml`."""
    files = [file for place in reversed(_PLACES) for file in sorted(place.rglob("*.yaml"))]
    return {file.stem: file for file in files}


def find_recipe(given: str | Path) -> Path:
    """The file that RECIPE on the command line means: a file, before a shipped recipe of that name.

    Raises:
        QuickstudyError: it is neither; names the nearest shipped one, or all.
    """
    path, known = Path(given).expanduser(), shipped()
    if path.is_file() or len(path.parts) != 1 or path.suffix:
        return path
    if str(given) in known:
        return known[str(given)]
    near = difflib.get_close_matches(str(given), known, n=1)
    which = f"did you mean {near[0]!r}?" if near else f"give a file, or one of {', '.join(sorted(known))}"
    raise QuickstudyError(f"{given} is neither a file nor a recipe that comes with quickstudy; {which}")
