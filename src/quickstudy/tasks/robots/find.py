"""`find_robot`: a robot by its name."""

from __future__ import annotations

import runpy
from pathlib import Path

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.robots.metaworld import metaworld_robot
from quickstudy.tasks.robots.robot import Robot


def find_robot(name: str) -> Robot:
    """A family of Meta-World ("reach-v3"), or one's own in a Python file ("my_arm.py:arm"), which is executed.

    Raises:
        QuickstudyError: there is none.
    """
    file, colon, wanted = name.partition(".py:")
    if not colon:
        return metaworld_robot(name)
    path = Path(file + ".py").expanduser()
    if not path.is_file():
        raise QuickstudyError(f"the robot {name!r}: there is no file {path} (looked for from {Path.cwd()})")
    found = runpy.run_path(str(path)).get(wanted)
    if not isinstance(found, Robot):
        raise QuickstudyError(f"{path} has no Robot by the name {wanted!r}; write `{wanted} = Robot(...)` there")
    return found
