"""The recipes that come with quickstudy."""

from __future__ import annotations

from pathlib import Path

from quickstudy.errors import QuickstudyError

_PLACES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")
"""Inside the installed package; in a checkout."""


def shipped_recipe(name: str) -> Path:
    """The file of a shipped recipe, such as `text/helpdesk.yaml`."""
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    raise QuickstudyError(f"the recipe {name} is not part of this installation; reinstall quickstudy")
