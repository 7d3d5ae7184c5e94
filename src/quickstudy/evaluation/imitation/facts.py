"""The first screen of a robot's page: how often it succeeds, what the demonstration is worth, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quickstudy.evaluation.evaluate import verdict
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.draw_intervals import certain
from quickstudy.evaluation.report.facts import Fact
from quickstudy.evaluation.statistics import FEW
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.tasks.task import Task
from quickstudy.wording import counted


def headline(result: dict[str, Any]) -> str:
    """Which method wins; of one that was judged alone, how often it succeeds."""
    if result["comparisons"]:
        return words.minus(verdict(result))
    row = result["results"][0]
    return f"{row['learner']} succeeds in {words.value(row['mean'], 'success')} of its episodes; no baseline stands beside it."


def facts(result: dict[str, Any], learners: Sequence[Learner], task: Task) -> list[Fact]:
    """Three facts, in the order in which a reader asks."""
    return [_succeeds(result, len(task.query.inputs)), _worth(result, learners), _cost(result, len(task.support))]


def _succeeds(result: dict[str, Any], episodes: int) -> Fact:
    row, expert = result["results"][0], result.get("expert")
    detail = f"95% interval {words.interval(row['ci95'], 'success')}, over {counted(row['count'], 'task')} of "
    detail += counted(episodes, "episode")
    beside = f"; the expert, which knows the task, {words.value(expert['mean'], 'success')}." if expert else "."
    return Fact(f"How often {row['learner']} succeeds", words.value(row["mean"], "success"), detail + beside)


def _worth(result: dict[str, Any], learners: Sequence[Learner]) -> Fact:
    """Beside one that was trained alike and is shown nothing."""
    question = "What a demonstration adds"
    found = zip(learners[1:], result["comparisons"], strict=True)
    its = next((comparison for each, comparison in found if isinstance(each, ZeroStep)), None)
    if its is None:
        return Fact(question, "Not measured", "With --baselines full, a clone that is shown nothing is judged beside it.")
    count = result["results"][0]["count"]
    sure = certain(its["ci95"], count)
    few = f"; {counted(count, 'task')} are few" if count < FEW else "" if sure else ", which may be chance"
    detail = (
        f"{words.difference(its['difference'], 'success')} beside {its['against']}, which is trained on the same demonstrations "
    )
    detail += f"and not shown this one (95% interval {words.interval(its['ci95'], 'success', signed=True)}{few})."
    return Fact(question, words.difference(its["difference"], "success") if sure else "Not certain", detail)


def _cost(result: dict[str, Any], steps: int) -> Fact:
    detail = f"To learn from one demonstration of {counted(steps, 'step')} on this machine; recording it is not in that."
    return Fact("What it costs", f"{words.seconds(result['results'][0]['seconds_per_task'])} a task", detail)
