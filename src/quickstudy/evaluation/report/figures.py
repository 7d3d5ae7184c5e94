"""Which figures a page has, each made of what was gathered."""

from __future__ import annotations

from typing import Any

from quickstudy.evaluation.report.draw_curve import Series, curve
from quickstudy.evaluation.report.draw_intervals import Row, differences, forest
from quickstudy.evaluation.report.draw_map import sentence_map
from quickstudy.evaluation.report.draw_reliability import reliability
from quickstudy.evaluation.report.words import possible


def figures(found: dict[str, Any]) -> dict[str, str | None]:
    """Name -> drawing; None where nothing was gathered for it."""
    metric, judged, order = found["metric"], found["judged"], found["order"]
    rows = [
        Row(row["learner"], row["mean"], _ends(row, metric), strong=place == 0, note="" if against else "judged")
        for place, (row, against) in enumerate(order)
    ]
    drawn: dict[str, str | None] = dict.fromkeys(("differences", "curve", "meta_curve", "reliability", "map"))
    drawn["forest"] = forest(rows, metric, chance=found["chance"])
    others = [Row(c["against"], c["difference"], c["ci95"], tasks=row["count"]) for row, c in order if c]
    if others:
        drawn["differences"] = differences(others, metric, judged)
    if len(found["curve"]) > 1:
        title = "The score of each method over the examples to learn from"
        drawn["curve"] = curve(_series(found["curve"], metric), metric, found["unit"], key="curve", title=title)
    if len(found["meta_curve"] or ()) > 1:
        drawn["meta_curve"] = _beforehand(found["meta_curve"], judged)
    if found["calibration"]:
        drawn["reliability"] = reliability(found["calibration"])
    if found["map"]:
        drawn["map"] = sentence_map(found["map"])
    return drawn


def _beforehand(points: list[dict[str, Any]], judged: str) -> str:
    metric, first = points[0]["metric"], points[0]
    line = Series(judged, [(point["tasks"], point["mean"], _ends(point, metric)) for point in points])
    title = f"The score of {judged} on validation tasks over the tasks it had learned from"
    level = ("before any", first["mean"]) if first["tasks"] == 0 else None
    return curve([line], metric, "tasks learned from beforehand", key="meta-curve", title=title, log=False, level=level)


def _series(points: list[dict[str, Any]], metric: str) -> list[Series]:
    lines = zip(*(point["rows"] for point in points), strict=True)
    amounts = [point["shots"] for point in points]
    return [
        Series(rows[0]["learner"], [(at, row["mean"], _ends(row, metric)) for at, row in zip(amounts, rows, strict=True)])
        for rows in lines
    ]


def _ends(row: dict[str, Any], metric: str) -> list[float] | None:
    return row["ci95"] and possible(row["ci95"], metric)
