"""`find_learner`: a learner by the name of its file; only the file asked for is imported."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner

FOLDERS = ("", "baselines", "agents")
NO_LEARNERS = frozenset(
    {"__init__", "acting", "adapted", "artefact", "bandit_agent", "base", "find", "gradient", "metric", "planning_agent"}
)


def find_learner(name: str, *, allow_files: bool = True) -> type[Learner]:
    """The class of a learner.

    Args:
        name: a file in `learners/` ("prototypical", "logistic_probe"), its class ("Prototypical"), or a class in a
            Python file of the user's own ("my_file.py:MyLearner", from the current directory).
        allow_files: whether such a file may be imported, which executes it.

    Raises:
        QuickstudyError: no such learner (lists the known ones and the nearest), or a file that is refused or broken.
    """
    if is_file(name):
        if not allow_files:
            raise QuickstudyError(
                f"the learner {name!r} is a Python file, and importing it would execute whatever it holds; "
                "if you trust it, open the run in Python with open_run(folder, allow_files=True)"
            )
        return _of_file(name)
    files = _files()
    wanted = name.replace("-", "_")
    for stem, (module, classes) in files.items():
        if wanted.lower() == stem or wanted in classes:
            return _only_class(importlib.import_module(module), wanted if wanted in classes else None, module)
    candidates = {known.lower(): stem for stem, (_, classes) in files.items() for known in (stem, *classes)}
    near = difflib.get_close_matches(wanted.lower(), candidates, n=1)
    hint = f"; did you mean {candidates[near[0]]!r}?" if near else ""
    raise QuickstudyError(f"no learner {name!r} (known: {', '.join(sorted(files))}, or my_file.py:MyLearner){hint}")


def is_file(name: str) -> bool:
    """Whether a learner's name means a Python file, so that finding it executes that file."""
    return ".py:" in name or name.endswith(".py")


def settings_of(cls: type) -> dict[str, Any]:
    """The settings that a constructor takes as keywords -> their types (`Any` where none is written).

    Where a constructor hands `**settings` on, those of its base count too.
    """
    settings: dict[str, Any] = {}
    for owner in cls.__mro__:
        if "__init__" not in vars(owner):
            continue
        named, passes_on = _parameters(owner.__init__)  # type: ignore[misc]
        for name, kind in named.items():
            if settings.get(name, Any) is Any:  # the base may say more exactly what a subclass only hands on
                settings[name] = kind
        if not passes_on:
            break
    return settings


def _parameters(constructor: Callable[..., None]) -> tuple[dict[str, Any], bool]:
    try:
        hints = get_type_hints(constructor)
    except (NameError, TypeError):  # a type that is imported for type checkers alone
        hints = {}
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "model"]
    return {name: hints.get(name, Any) for name in named}, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _files() -> dict[str, tuple[str, list[str]]]:
    """File name -> (module, names of its public classes), read as text: nothing is imported."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((Path(__file__).parent / folder).glob("*.py")):
            if path.stem not in NO_LEARNERS and not path.stem.startswith("_"):
                module = ".".join(part for part in ("quickstudy.learners", folder, path.stem) if part)
                found[path.stem] = (module, re.findall(r"^class ([A-Za-z]\w*)\(", path.read_text(encoding="utf-8"), re.M))
    return found


def _of_file(name: str) -> type[Learner]:
    file, _, wanted = name.partition(".py")
    path, wanted = Path(file + ".py").expanduser(), wanted.removeprefix(":")
    if not path.is_file():
        raise QuickstudyError(f"the learner {name!r}: there is no file {path} (looked for from {Path.cwd()})")
    module_name = f"quickstudy_file_{re.sub(r'[^A-Za-z0-9]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and type hints look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's own file raises
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = str(error).split("\n")[0]
        raise QuickstudyError(f"the learner file {path}{line} cannot be imported: {type(error).__name__}: {reason}") from error
    return _only_class(module, wanted or None, str(path))


def _only_class(module: ModuleType, wanted: str | None, place: str) -> type[Learner]:
    """The learner that a module defines: the one asked for, or its only public one."""
    classes = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Learner)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    if wanted is None and len(classes) == 1:
        return next(iter(classes.values()))
    if wanted not in classes:
        has = ", ".join(classes) or "none"
        asked = f"no learner {wanted!r}" if wanted else "not exactly one learner"
        raise QuickstudyError(f"{place} defines {asked} (a public subclass of quickstudy.Learner); it defines {has}")
    return classes[wanted]
