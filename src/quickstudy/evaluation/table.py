"""An evaluation as a table for the terminal: the verdict first."""

from __future__ import annotations

from typing import Any

from quickstudy.evaluation.evaluate import SHARES, TRANSDUCTIVE, ranking, verdict
from quickstudy.wording import counted


def render(result: dict[str, Any]) -> str:
    """The verdict in one sentence, then every learner, best first, as plain text."""
    rows = ranking(result)
    metric = rows[0][0]["metric"]
    percent = metric in SHARES
    judged = result["results"][0]["learner"]
    table = [["", f"{metric} (95% interval)", "tasks", f"{judged} minus it", "s per new task"]]
    for row, comparison in rows:
        table.append(
            [
                row["learner"],
                with_interval(row["mean"], row["ci95"], percent, signed=False),
                str(row["count"]),
                with_interval(comparison["difference"], comparison["ci95"], percent, signed=True) if comparison else "",
                f"{row['seconds_per_task']:.3f}",
            ]
        )
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([verdict(result), "", *lines, "", _protocol(result["episodes"], rows[0][0]["count"])])


def _protocol(episodes: dict[str, Any], count: int) -> str:
    shots = episodes["shots"]
    shown = "-".join(str(s) for s in shots) if isinstance(shots, list) else shots
    if trials := episodes.get("trials"):
        explored = f" after {trials['explored']} for learning alone" if trials["explored"] else ""
        each = counted(trials["episodes"], "episode")
        return f"The same trials for every agent, {each} each{explored} (hash {episodes['hash']}); the return is their sum."
    if episodes["ways"] is None:
        return f"The same tasks for every learner (hash {episodes['hash']}); {TRANSDUCTIVE[episodes['transductive']]}."
    return (
        f"The same tasks for every learner: {episodes['ways']} ways, {shown} shots, {episodes['queries']} queries a class, "
        f"seed {episodes['seed']} (hash {episodes['hash']}); {TRANSDUCTIVE[episodes['transductive']]}."
    )


def with_interval(mean: float, interval: list[float] | None, percent: bool, *, signed: bool) -> str:
    """A score, or where it is signed a difference, and in brackets its interval."""

    def shown(value: float) -> str:
        sign = "+" if signed else ""
        return f"{100 * value:{sign}.1f}" if percent else f"{value:{sign}.4g}"

    if interval and percent and not signed:  # a share is between none and all, whatever Student's t says
        interval = [max(0.0, interval[0]), min(1.0, interval[1])]
    return shown(mean) + (f" ({shown(interval[0])} to {shown(interval[1])})" if interval else "")
