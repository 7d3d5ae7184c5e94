"""What is wrong with a recipe, in one sentence each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from quickstudy.errors import QuickstudyError
from quickstudy.runs.yaml_positions import KeyPath


class ProblemAt(QuickstudyError):
    """What is wrong with one key; `key`: with its name rather than its value."""

    def __init__(self, path: KeyPath, message: str, *, key: bool = False):
        super().__init__(message)
        self.path, self.key = path, key


def problem_of(error: ValidationError, top: type[BaseModel]) -> ProblemAt:
    """The first thing that pydantic found in a `top`, in words."""
    first = error.errors()[0]
    path, kind, value = tuple(first["loc"]), first["type"], first["input"]
    message = first["msg"].removeprefix("Value error, ")
    name = dotted(path) or "the recipe"
    if kind == "extra_forbidden":
        inside = f"{dotted(path[:-1])} has" if path[1:] else "a recipe has"
        return ProblemAt(path, unknown_key(str(path[-1]), list(_part_at(top, path[:-1]).model_fields), inside, top), key=True)
    if kind == "missing":
        return ProblemAt(path, f"the key {name} is missing")
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return ProblemAt(path, f"{name} should be a group of keys, not {_short(value)}")
    if kind == "value_error" and "should be" not in message:
        return ProblemAt(path, f"{name} {message}")
    while path and not _is_field(top, path):  # pydantic adds the branch of a union to the way there
        path = path[:-1]
    return ProblemAt(path, wrong_value(dotted(path), message, value))


def wrong_value(name: str, message: str, value: Any) -> str:
    """Pydantic's message about a value, as the end of a sentence about its key."""
    message = re.sub("^(Value error, |Input (?=should)|List (?=should))| after validation.*", "", message)
    return f"{name} {message}, not {_short(value)}"


def unknown_key(key: str, known: Sequence[str], inside: str, top: type[BaseModel]) -> str:
    """Names the nearest key, or the part of `top` that has this one, or else all that there are."""
    near = difflib.get_close_matches(key, known, n=1)
    parts = {name: _model_of(field) for name, field in top.model_fields.items()}
    near = near or [f"{name}.{key}" for name, part in parts.items() if part and key in part.model_fields]
    return f"unknown key {key!r}; " + (f"did you mean {near[0]!r}?" if near else f"{inside} {', '.join(known)}")


def dotted(path: KeyPath) -> str:
    """The way to a key as one writes it."""
    return ".".join(str(part) for part in path)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _model_of(field: Any) -> type[BaseModel] | None:
    """The part that a field holds; None where it holds a value."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _part_at(top: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    for name in path:
        top = _model_of(top.model_fields[str(name)]) or top
    return top


def _is_field(top: type[BaseModel], path: KeyPath) -> bool:
    part: type[BaseModel] | None = top
    for name in path:
        if part is None or name not in part.model_fields:
            return False
        part = _model_of(part.model_fields[str(name)])
    return True
