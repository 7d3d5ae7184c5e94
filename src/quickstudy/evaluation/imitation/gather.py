"""Everything that the page of a robot shows, as numbers and words; `page` only sets it."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.evaluate import Progress, ranking
from quickstudy.evaluation.imitation.facts import facts, headline
from quickstudy.evaluation.imitation.films import films, roles
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.draw_intervals import Row, differences, forest
from quickstudy.evaluation.report.gather import command, peak_memory
from quickstudy.evaluation.report.observed import Observed
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.fine_tune import FineTune
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.tasks.robots.attempts import Attempts
from quickstudy.tasks.task import Task
from quickstudy.wording import counted, listed

NAMED = 12
"""Tasks that are named, at most, where it does not always succeed."""


def gather(
    result: dict[str, Any],
    observed: Observed,
    learners: Sequence[Learner],
    tasks: Sequence[Task],
    *,
    model: str,
    recipe: str,
    seeds: dict[str, int],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What the page needs beyond the result.

    Args:
        result: of `evaluate`; with the row of the expert, if it was judged.
        observed: what it observed.
        learners: the judged one, and those beside it.
        tasks: that were judged on; of the first one there are films.
        model: what was judged, as the user named it.
        recipe: the run's, as text.
        seeds: what each is of, and the seed.
    """
    memory, begun = peak_memory(), time.perf_counter()  # before the report itself needs some
    attempts: Any = tasks[0].query.inputs
    order = ranking(result)
    metric, expert, judged = order[0][0]["metric"], result.get("expert"), learners[0].title
    rows = [_row(row, not against, "" if against else "judged") for row, against in order]
    if expert:
        rows.append(_row(expert, False, "knows the task"))
    others = [Row(each["against"], each["difference"], each["ci95"], tasks=row["count"]) for row, each in order if each]
    try:
        shown, why = films(tasks[0], roles(learners, tasks[0]), progress), ""
    except QuickstudyError as error:
        shown, why = [], str(error)
    return {
        "model": model,
        "robot": attempts.robot.name,
        "setting": f"{counted(len(tasks), 'task')} that training did not see, one demonstration each",
        "verdict": headline(result),
        "facts": facts(result, learners, tasks[0]),
        "judged": judged,
        "order": order,
        "expert": expert,
        "told": {each.title: _told(each) for each in learners},
        "forest": forest(rows, metric),
        "differences": differences(others, metric, judged) if others else None,
        "films": shown,
        "why_none": why,
        "before": any(each.title == "Before" for each in shown),
        "by_task": _by_task(judged, observed.records[0].scores["success"], tasks),
        "memory": memory,
        "protocol": _protocol(result, tasks, attempts, seeds),
        "recipe": recipe,
        "command": command(),
        "seconds": time.perf_counter() - begun,
    }


def _row(result: dict[str, Any], strong: bool, note: str) -> Row:
    ends = result["ci95"] and words.possible(result["ci95"], result["metric"])
    return Row(result["learner"], result["mean"], ends, strong, note)


def _told(learner: Learner) -> str:
    """How a learner comes to know a new task."""
    if isinstance(learner, ZeroStep):
        return "not shown"
    if isinstance(learner, FineTune):
        return f"shown once, {counted(learner.inner_steps, 'step')} of Adam at {learner.rule.lr:g}"
    return "shown once"


def _by_task(judged: str, scores: Sequence[float], tasks: Sequence[Task]) -> str:
    """How failures are spread over the tasks; these are named by their numbers, worst first."""
    attempts: list[Attempts] = [task.query.inputs for task in tasks]  # type: ignore[misc]
    weak = sorted((score, each.task, len(each)) for score, each in zip(scores, attempts, strict=True) if score < 1)
    every = f"{judged} succeeds in every episode of"
    if not weak:
        return f"{every} each task."
    named = [f"{task} ({round(score * count)} of {count})" for score, task, count in weak[:NAMED]]
    fewer = f"{'Fewest' if len(weak) > NAMED else 'Fewer'} succeed in task{'s' * (len(weak) > 1)} {listed(named)}"
    return f"{every} {len(tasks) - len(weak)} of {counted(len(tasks), 'task')}. {fewer}."


def _protocol(result: dict[str, Any], tasks: Sequence[Task], attempts: Attempts, seeds: dict[str, int]) -> list[tuple[str, str]]:
    import torch

    from quickstudy import __version__

    versions = [f"quickstudy {__version__}", f"torch {torch.__version__}", f"Python {platform.python_version()}"]
    for package in ("metaworld", "mujoco", "gymnasium"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return [
        ("Hash of the tasks", result["episodes"]["hash"]),
        ("Robot", attempts.robot.name),
        ("Tasks", f"{len(tasks):,}, drawn apart from those of training and validation"),
        ("To learn from", f"the first demonstration of each, {counted(len(tasks[0].support), 'step')} in the first task"),
        (
            "To be judged on",
            f"{counted(len(attempts), 'episode')} of at most {attempts.robot.horizon:,} steps, from other starts",
        ),
        ("Success", "the task is done at any step of an episode; a task's score is the share of its episodes"),
        *((f"Seed of {what}", str(seed)) for what, seed in seeds.items()),
        ("Intervals", "95%, over tasks; differences are paired by task (bootstrap, 10,000 resamples)"),
        ("Versions", ", ".join(versions)),
        ("Date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
    ]
