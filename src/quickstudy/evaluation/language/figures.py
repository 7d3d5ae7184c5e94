"""The figures and tables of the page of a language model, each made of what `judge` found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from quickstudy.evaluation.language.verdict import LEAST
from quickstudy.evaluation.report.draw_curve import Series, curve
from quickstudy.evaluation.report.draw_intervals import certain
from quickstudy.evaluation.report.words import possible
from quickstudy.evaluation.statistics import Interval


def scores_over_steps(result: dict[str, Any]) -> str:
    """The curve of every method; nothing where a single number of steps was judged.

    A method that takes no steps is a level line. One that was judged on fewer tasks stands at its paired difference from the
    judged one, since its own mean is over other tasks.
    """
    full = result["results"][0]["count"]
    judged = [row["mean"] for row in _rows(result, result["methods"][0]["learner"])]
    series = []
    for method in result["methods"]:
        rows = _rows(result, method["learner"])
        points = [(row["steps"], row["mean"], _ends(row)) for row in rows]
        if rows[0]["count"] < full:
            less = differences(result, method["learner"])
            points = [(row["steps"], mean + row["difference"], None) for row, mean in zip(less, judged, strict=True)]
        if _is_level(method):  # its interval once, lest it hides those of the others
            level = fmean(mean for _, mean, _ in points)
            points = [(points[0][0], level, None), (points[-1][0], level, points[-1][2])]
        series.append(Series(method["learner"], points))
    title = "Nats a token of every method over the steps that it takes on a new task"
    return _drawn(series, result["steps"], "curve", title)


def differences_over_steps(result: dict[str, Any]) -> str:
    """Each baseline less the judged method, which is the line at zero, paired by task; nothing where there is no baseline."""
    name, others, steps = result["methods"][0]["learner"], result["methods"][1:], result["steps"]
    series = [Series(name, [(steps[0], 0.0, None), (steps[-1], 0.0, None)])]
    for method in others:
        rows = differences(result, method["learner"])
        series.append(Series(method["learner"], [(row["steps"], row["difference"], row["ci95"]) for row in rows]))
    title = f"Each baseline less {name}, on the same tasks, over the steps"
    return _drawn(series, steps, "less", title, least=None) if others else ""


def _ends(row: dict[str, Any]) -> Interval:
    """The interval of a score as a figure has it: of two or three tasks it would dwarf all else."""
    return possible(row["ci95"], row["metric"]) if row["ci95"] and row["count"] > 3 else None


def _drawn(series: Sequence[Series], steps: Sequence[int], key: str, title: str, **more: Any) -> str:
    if len(steps) < 2:
        return ""
    return curve(series, "nats_per_token", "steps on a new task", key=key, title=title, log=False, even=True, **more)


def scores_table(result: dict[str, Any], found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row a method, with a cell for each number of steps (one for all, where it takes none); `best` is the lowest of a column.

    Args:
        found: the whole result, or that of one domain.
    """
    full = max(row["count"] for row in found["results"])
    compared = [row for row in found["results"] if row["count"] == full]
    lowest = {k: min(row["mean"] for row in compared if row["steps"] == k) for k in result["steps"]}
    for method in result["methods"]:
        rows = _rows(found, method["learner"])
        cells = [
            {
                "mean": row["mean"],
                "half": row["ci95"] and row["ci95"][1] - row["mean"],
                "best": row["count"] == full and row["mean"] <= lowest[row["steps"]],
            }
            for row in rows
        ]
        if rows:  # a slow method may have none of a domain's tasks
            count = rows[0]["count"]
            yield {"name": method["learner"], "count": count, "few": count < full, "level": _is_level(method), "cells": cells}


def differences(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A baseline less the judged method, after each number of steps; `certain`: which of them is better."""
    rows = []
    for row in found["comparisons"]:
        if row["against"] == name:
            ends = row["ci95"] and sorted(-end for end in row["ci95"])
            sure = certain(ends, row["count"]) and abs(row["difference"]) >= LEAST
            rows.append(row | {"difference": -row["difference"], "ci95": ends, "certain": sure})
    return rows


def rates_table(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row a method that takes steps, with its rate after each number of them; a ceiling has one for all."""
    for method in result["methods"]:
        if method["takes_steps"]:
            times = "\u00d7" if method["rates_are"] != "rate" else ""
            shown = [f"{times}{rate:g}" if rate is not None else "" for rate in method["rates"]]
            tried = ", ".join(f"{times}{rate:g}" for rate in method["tried"])
            level = _is_level(method)
            yield {"name": method["learner"], "cells": shown[:1] if level else shown, "level": level, "tried": tried}


def _is_level(method: dict[str, Any]) -> bool:
    return not method["takes_steps"] or bool(method["ceiling"])


def _rows(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [row for row in found["results"] if row["learner"] == name]
