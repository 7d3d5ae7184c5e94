"""`record`: an expert's demonstrations as files, one a task; and `read_demonstrations`, which opens them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quickstudy.errors import QuickstudyError
from quickstudy.folder import alone
from quickstudy.runs import checkpoint
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.robots.demonstrating import demonstrate
from quickstudy.tasks.robots.demonstrations import Demonstrations
from quickstudy.tasks.robots.robot import Robot

PARTS = {"train": 0, "test": 1}
"""The parts of a robot's tasks, and what their seeds begin with."""
TRIES = 3
"""Times as many tries as demonstrations are wanted, before a task is left with fewer."""
REMEDY = "remove it, and `quickstudy robots record` makes it again"


@dataclass(frozen=True)
class Recording:
    """How demonstrations are made.

    Args:
        each: of each task.
        steps: of each, at most.
        noise: standard deviation of what is added to the expert's actions on their way to the robot.
        seed: of starts and noise.
    """

    each: int = 4
    steps: int = 100
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self):
        for name, least in (("each", 1), ("steps", 2), ("noise", 0), ("seed", 0)):
            if not getattr(self, name) >= least:
                raise QuickstudyError(f"{name}={getattr(self, name)}: give at least {least}")


def record(
    robot: Robot,
    part: str,
    folder: Path,
    how: Recording,
    *,
    tasks: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Counter[str]:
    """Records the first tasks of a part, each as a file of its own in `folder/part`, which is there whole or not at all.

    A file that is there already is left as it is. So what was broken off goes on where it stopped, and ends with the same bytes.

    Args:
        tasks: how many. None: all.

    Returns:
        How many "demonstrations" there are, and how many tries "failed" or were "not finite".

    Raises:
        QuickstudyError: a part or tasks that the robot does not have; a file there that was recorded otherwise or is damaged.
    """
    known = len(robot.tasks.get(part, ()))
    if not known:
        raise QuickstudyError(f"{robot.name} has no tasks of a part {part!r}; it has {' and '.join(robot.tasks)}")
    if tasks is not None and not 1 <= tasks <= known:
        raise QuickstudyError(f"{tasks} {part} tasks: {robot.name} has {known}; give a number from 1 to {known}")
    found, count = Counter(), tasks or known
    with alone(folder / part):
        for task in range(count):
            path = folder / part / f"{task:04d}.safetensors"
            if path.is_file():
                facts = checkpoint.read(path, remedy=REMEDY)[1]
                _check_same(path, facts, robot, part, how)
            else:
                facts = _record(robot, part, task, path, how)
            found.update(facts["found"])
            if progress:
                progress(f"{robot.name}: {part} tasks shown", task + 1, count)
    return found


def read_demonstrations(folder: str | Path, part: str) -> Demonstrations:
    """What was recorded of a part.

    Raises:
        QuickstudyError: nothing was; a file is damaged, or of another robot than the others.
    """
    paths = sorted((Path(folder).expanduser() / part).glob("*.safetensors"))
    tasks, robot = {}, None
    for path in paths:
        tensors, facts = checkpoint.read(path, remedy=REMEDY)
        if "robot" not in facts:
            raise QuickstudyError(f"{path} holds no demonstrations; {REMEDY}")
        if facts["robot"] != (robot := robot or facts["robot"]):
            raise QuickstudyError(f"{path} is of {facts['robot']}, and the files before it of {robot}; record them apart")
        kept = range(facts["found"]["demonstrations"])
        tasks[facts["task"]] = [Batch(tensors[f"{i}/observations"], tensors[f"{i}/actions"]) for i in kept]
    if robot is None:
        raise QuickstudyError(
            f"{folder} holds no {part} demonstrations; record some with `quickstudy robots record ROBOT --out {folder} "
            f"--part {part}`, where ROBOT is reach-v3 or such, or one of yours: my_arm.py:arm"
        )
    if not any(tasks.values()):
        raise QuickstudyError(
            f"{folder}: every try of {robot} to show {part} tasks has failed; mend the expert or the simulator, and record in "
            "another folder"
        )
    return Demonstrations({task: several for task, several in tasks.items() if several}, robot, part)


def _record(robot: Robot, part: str, task: int, path: Path, how: Recording) -> dict[str, Any]:
    """The file of one task; its facts."""
    kept, found = {}, {"demonstrations": 0, "failed": 0, "not finite": 0}
    for attempt in range(TRIES * how.each):
        number = found["demonstrations"]
        if number == how.each:
            break
        seed = (how.seed, PARTS[part], task, attempt)
        shown = demonstrate(robot, part, task, steps=how.steps, noise=how.noise, seed=seed)
        found["demonstrations" if isinstance(shown, Batch) else shown] += 1
        if isinstance(shown, Batch):
            kept |= {f"{number}/observations": shown.inputs, f"{number}/actions": shown.targets}
    facts = {"robot": robot.name, "part": part, "task": task, "how": asdict(how), "found": found}
    checkpoint.write(path, kept, facts, remedy="give the same command again")
    return facts


def _check_same(path: Path, facts: dict[str, Any], robot: Robot, part: str, how: Recording) -> None:
    wanted = {"robot": robot.name, "part": part, **asdict(how)}
    there = {"robot": facts.get("robot"), "part": facts.get("part"), **facts.get("how", {})}
    for name, value in wanted.items():
        if there.get(name) != value:
            raise QuickstudyError(f"{path} was recorded with {name} {there.get(name)}, not {value}; give another --out")
