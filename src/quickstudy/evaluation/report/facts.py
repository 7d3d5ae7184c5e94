"""The first screen: which method to use, how sure that is, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quickstudy.evaluation.evaluate import LOWER_IS_BETTER, ranking
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.draw_intervals import certain
from quickstudy.evaluation.report.observed import Observed
from quickstudy.evaluation.statistics import FEW
from quickstudy.wording import listed


@dataclass(frozen=True)
class Fact:
    """A question, its answer in a few words, and the numbers behind it."""

    question: str
    answer: str
    detail: str


def facts(result: dict[str, Any], observed: Observed) -> list[Fact]:
    """Three facts, in the order in which a reader asks."""
    order = [row for row, _ in ranking(result)]
    return [_best(order[0]), _how_sure(result, order, observed), _cost(result, order[0], observed)]


def _best(row: dict[str, Any]) -> Fact:
    metric = row["metric"]
    score = words.value(row["mean"], metric)
    right = f"{score} of its answers are right" if metric == "accuracy" else f"Its {words.metric_name(metric)} is {score}"
    sure = f"95% interval {words.interval(row['ci95'], metric)}" if row["ci95"] else "no interval"
    tasks = f"{row['count']} tasks" if row["count"] != 1 else "a single task"
    return Fact("Which method to use", row["learner"], f"{right} ({sure}, over {tasks}).")


def _how_sure(result: dict[str, Any], order: list[dict[str, Any]], observed: Observed) -> Fact:
    question, metric = "How sure is that", order[0]["metric"]
    if len(order) == 1:
        return Fact(question, "Nothing beside it", "It was judged alone, so no simpler method was measured.")
    places = {id(row): place for place, row in enumerate(r for r in result["results"] if r["metric"] == metric)}
    sign = -1 if metric in LOWER_IS_BETTER else 1
    leads = [(row, *observed.paired(metric, places[id(order[0])], places[id(row)])) for row in order[1:]]
    second, lead, ends = leads[0]
    if ends is None:
        return Fact(question, "No evidence yet", f"A single task cannot tell it from {second['learner']}; ask for more tasks.")
    lead, ends = sign * lead, sorted(sign * end for end in ends)
    tasks = min(order[0]["count"], second["count"])
    numbers = f"95% interval {words.interval(ends, metric, signed=True)}"
    ahead = words.difference(abs(lead), metric).lstrip("+").capitalize()
    as_good = [row["learner"] for row, _, ends in leads if not certain(ends, row["count"])]
    if tasks < FEW:
        few = f"{ahead} better than {second['learner']}, but {tasks} tasks are few, and intervals from so few are too narrow."
        return Fact(question, "Hardly", f"{few} Ask for more tasks.")
    if not as_good or certain(ends, tasks):
        lead_words = f"{ahead} better than {second['learner']}, the next best, on the same tasks ({numbers})."
        return Fact(question, "Certain", lead_words)
    better = f"{ahead} better than {second['learner']} on the same tasks, which may be chance ({numbers})."
    if lead == 0:
        better = f"No better than {second['learner']} on the same tasks ({numbers})."
    return Fact(question, "Not certain", f"{better} Perhaps as good: {listed(list(dict.fromkeys(as_good)))}.")


def _cost(result: dict[str, Any], row: dict[str, Any], observed: Observed) -> Fact:
    answer = f"{words.seconds(row['seconds_per_task'])} a task"
    needed = examples(result, row["learner"], observed)
    return Fact("What it costs", answer, f"To learn a new task on this machine, which has to give {needed}.")


def examples(result: dict[str, Any], learner: str, observed: Observed) -> str:
    """How much a new task has to give."""
    if learner == "ZeroStep":
        return "no example, only the names of the labels" if observed.labels else "no example"
    shots, each = result["episodes"]["shots"], sorted({min(observed.examples), max(observed.examples)})
    total = " to ".join(str(count) for count in each)
    if shots is None or not observed.labels:
        return f"{total} examples"
    shown = " to ".join(str(count) for count in shots) if isinstance(shots, list) else str(shots)
    one = "example" if shown == "1" else "examples"
    return f"{shown} labelled {one} per label ({total} in all)"
