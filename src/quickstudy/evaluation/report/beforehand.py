"""Did learning beforehand pay? The score on a run's validation tasks over the tasks that it had learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quickstudy.evaluation.evaluate import LOWER_IS_BETTER
from quickstudy.evaluation.report.words import difference, metric_name, value
from quickstudy.wording import listed

STILL, POINT = 0.1, 0.01
"""What the second half of the tasks must bring to say that more may help: a share of the whole gain, and of accuracy a point."""


def did_it_pay(points: Sequence[dict[str, Any]] | None, judged: str) -> str:
    """What meta-training was worth, and whether more tasks would be; or why that is not known.

    Args:
        points: `{"tasks", "mean", "metric", "of"}` in order; None where nothing was meta-trained.
    """
    if points is None:
        return f"{judged} has learned from no tasks beforehand, so there is no curve over how many those were."
    if not points:
        return (
            "How the score went with the tasks that it learned from beforehand is not known: the run kept no validation scores."
        )
    metric, first, last = points[0]["metric"], points[0], points[-1]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    best = max(points, key=lambda point: sign * point["mean"])
    over = f"on the same {first['of']} validation tasks"
    if len(points) == 1 or first["tasks"] > 0:
        return f"After {last['tasks']} tasks its {metric_name(metric)} is {value(last['mean'], metric)}, {over}."
    before = f"Before the first its {metric_name(metric)} was {value(first['mean'], metric)} {over}"
    if best is first:
        tried = listed(
            [f"{value(point['mean'], metric)} after {point['tasks']}" for point in (points[1], last)[: len(points) - 1]]
        )
        return f"{before}; learning from tasks beforehand made it no better ({tried}), so it was kept as it was."
    gain = best["mean"] - first["mean"]
    half = max((point for point in points if point["tasks"] <= last["tasks"] / 2), key=lambda point: sign * point["mean"])
    late = best["mean"] - half["mean"]
    if half is first:
        more = ""
    elif sign * late > max(STILL * abs(gain), POINT if metric == "accuracy" else 0.0):
        more = f" The second half of them still brought {difference(late, metric)}: more tasks may bring more."
    else:
        more = " The second half of them brought next to nothing: more tasks like these promise little."
    reached = f"the best, {value(best['mean'], metric)} ({difference(gain, metric)}), came after {best['tasks']} tasks"
    return f"{before}; {reached}.{more}"
