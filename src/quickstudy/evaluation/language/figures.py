"""The figures and tables of the page of a language model, each made of what `judge` found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from quickstudy.evaluation.language.verdict import LEAST
from quickstudy.evaluation.report.draw_curve import Series, curve
from quickstudy.evaluation.report.draw_intervals import certain

ACROSS = "steps on a new task"


def scores_over_steps(result: dict[str, Any]) -> str:
    """The curve of every method; nothing where a single number of steps was judged.

    A method that takes no steps is a level line. One that was judged on fewer tasks stands at its paired difference from the
    judged one, since its own mean is over other tasks.
    """
    steps = result["steps"]
    if len(steps) < 2:
        return ""
    full = result["results"][0]["count"]
    judged = [row["mean"] for row in _rows(result, result["methods"][0]["learner"])]
    series = []
    for method in result["methods"]:
        rows = _rows(result, method["learner"])
        points = [(row["steps"], row["mean"], row["ci95"]) for row in rows]
        if rows[0]["count"] < full:
            less = _differences(result, method["learner"])
            points = [(row["steps"], mean - row["difference"], None) for row, mean in zip(less, judged, strict=True)]
        if _is_level(method):  # its interval once, lest it hides those of the others
            points = [(*points[0][:2], None), points[-1]]
        series.append(Series(method["learner"], points))
    title = "Nats a token of every method over the steps that it takes on a new task"
    return curve(series, "nats_per_token", ACROSS, key="curve", title=title, log=False, even=True)


def differences_over_steps(result: dict[str, Any]) -> str:
    """The judged method less each baseline, paired by task; nothing where there is no baseline, or a single number of steps."""
    others = result["methods"][1:]
    if not others or len(result["steps"]) < 2:
        return ""
    series = [
        Series(each["learner"], [(r["steps"], r["difference"], r["ci95"]) for r in _differences(result, each["learner"])])
        for each in others
    ]
    title = f"{result['methods'][0]['learner']} less each baseline, on the same tasks, over the steps"
    level = ("no difference", 0.0)
    return curve(series, "nats_per_token", ACROSS, key="less", title=title, log=False, even=True, least=None, level=level)


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
                "best": row["mean"] <= lowest[row["steps"]],
            }
            for row in rows
        ]
        if rows:  # a slow method may have none of a domain's tasks
            count = rows[0]["count"]
            yield {"name": method["learner"], "count": count, "few": count < full, "level": _is_level(method), "cells": cells}


def differences_table(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row a baseline, with the judged method less it after each number of steps."""
    for method in result["methods"][1:]:
        rows = _differences(result, method["learner"])
        cells = [row | {"certain": certain(row["ci95"], row["count"]) and abs(row["difference"]) >= LEAST} for row in rows]
        yield {"name": method["learner"], "count": rows[0]["count"], "cells": cells}


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


def _differences(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [row for row in found["comparisons"] if row["against"] == name]
