"""`find_robot`: a robot by its name."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.robots.metaworld import metaworld_robot
from quickstudy.tasks.robots.own_code import own_code
from quickstudy.tasks.robots.robot import Robot


def find_robot(name: str) -> Robot:
    """A family of Meta-World ("reach-v3"), or one's own in a Python file ("my_arm.py:arm"), which is executed.

    Raises:
        QuickstudyError: there is none, or the file raises something.
    """
    file, colon, wanted = (f"{name}:" if name.endswith(".py") else name).partition(".py:")
    if not colon:
        return metaworld_robot(name)
    path = Path(file + ".py").expanduser()
    if not path.is_file():
        raise QuickstudyError(f"the robot {name!r}: there is no file {path} (looked for from {Path.cwd()})")
    robots = {key: value for key, value in _run(path).items() if isinstance(value, Robot)}
    if wanted not in robots:
        known = " or ".join(f"{path}:{each}" for each in robots)
        hint = f"give {known}" if known else f"write `{wanted or 'arm'} = Robot(...)` there"
        raise QuickstudyError(f"{path} has no Robot by the name {wanted!r}; {hint}")
    return robots[wanted]


def _run(path: Path) -> dict[str, Any]:
    """The names that a file defines."""
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)  # as for any script: its environment may be in a file beside it
    with own_code(f"the robot file {path}"):
        return runpy.run_path(str(path))
