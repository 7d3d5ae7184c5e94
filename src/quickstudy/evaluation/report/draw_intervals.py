"""Figures of means and differences with their intervals: a row each, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quickstudy.evaluation.evaluate import SHARES
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.svg import Scale, around, figure, line, mark, text, ticks
from quickstudy.evaluation.statistics import FEW, Interval

ROW = 46
LONGEST = 24


@dataclass(frozen=True)
class Row:
    """A name, a number and its interval; `strong` rows stand out, `note` follows the name."""

    name: str
    mean: float
    ci95: Interval
    strong: bool = False
    note: str = ""
    tasks: int = FEW


def forest(rows: Sequence[Row], metric: str, *, chance: float | None = None) -> str:
    """All methods with their 95% intervals, in the order given; a line marks what guessing would reach, if it is near."""
    bounded = metric in SHARES
    low, high = around([end for row in rows for end in _ends(row)], least=0.0, most=1.0 if bounded else None)
    guessed = [(chance, "guessing")] if chance is not None and low <= chance <= high else []
    said = "; ".join(f"{row.name} {_number(row, metric)}" for row in rows)
    return _rows(
        rows,
        Scale(low, high),
        [_number(row, metric) for row in rows],
        metric,
        references=guessed,
        hollow=[False] * len(rows),
        key="forest",
        title=f"{words.metric_name(metric).capitalize()} of every method, with 95% intervals",
        description=f"From best to worst: {said}.",
    )


def differences(rows: Sequence[Row], metric: str, judged: str) -> str:
    """The judged learner less each other method; hollow where the interval holds zero."""
    low, high = around([0.0, *(end for row in rows for end in _ends(row))])
    shown = [_number(row, metric, signed=True) for row in rows]
    said = "; ".join(f"less {row.name} {number}" for row, number in zip(rows, shown, strict=True))
    return _rows(
        rows,
        Scale(low, high),
        shown,
        metric,
        references=[(0.0, "no difference")],
        hollow=[not certain(row.ci95, row.tasks) for row in rows],
        key="differences",
        title=f"{judged} less each other method, on the same tasks, with 95% intervals",
        description=f"{judged} {said}. A hollow mark is a difference that is not certain.",
        signed=True,
    )


def certain(ends: Interval, tasks: int) -> bool:
    """Whether an interval is on one side of zero, and over more than a few tasks."""
    return ends is not None and tasks >= FEW and (min(ends) > 0 or max(ends) < 0)


def _rows(
    rows: Sequence[Row],
    x: Scale,
    shown: Sequence[str],
    metric: str,
    *,
    references: Sequence[tuple[float, str]],
    hollow: Sequence[bool],
    key: str,
    title: str,
    description: str,
    signed: bool = False,
) -> str:
    height = ROW * len(rows)
    body = [line(x(at), 0, x(at), height, class_="grid") for at in ticks(x.low, x.high)]
    body += [line(x(at), -4, x(at), height, class_="reference") for at, _ in references]
    for place, (row, number, open_) in enumerate(zip(rows, shown, hollow, strict=True)):
        top, y = ROW * place + 15, ROW * place + 30
        name = words.short(row.name, LONGEST) + (f" \u00b7 {row.note}" if row.note else "")
        kind = "strong" if row.strong else "weak"
        body += [text(name, 0, top, class_=f"halo {kind}"), text(number, "100%", top, class_=f"halo end {kind}")]
        if row.ci95:
            body.append(line(x(row.ci95[0]), y, x(row.ci95[1]), y, class_=f"whisker {kind}"))
        body.append(mark(0, x(row.mean), y, class_=f"point {kind}{' open' if open_ else ''}"))
    for at in ticks(x.low, x.high):
        body.append(text(_tick(at, metric, signed), x(at), height + 18, class_="tick middle"))
    for at, label in references:
        if all(abs(x.share(at) - x.share(tick)) > 0.08 for tick in ticks(x.low, x.high)) or at == 0:
            side = "end" if x.share(at) > 0.9 else "middle" if x.share(at) > 0.1 else "start"
            body.append(text(label, x(at), height + 34, class_=f"tick {side}"))
    return figure(body, key=key, title=title, description=description, height=height, margin=(8, 10, 42, 10), kind="intervals")


def _ends(row: Row) -> list[float]:
    return [row.mean, *(row.ci95 or ())]


def _number(row: Row, metric: str, *, signed: bool = False) -> str:
    number = words.difference(row.mean, metric) if signed else words.value(row.mean, metric)
    return number + (f" ({words.interval(row.ci95, metric, signed=signed)})" if row.ci95 else "")


def _tick(at: float, metric: str, signed: bool) -> str:
    if metric not in SHARES:
        return words.minus(f"{at:{'+' if signed and at else ''}.4g}")
    return words.minus(f"{100 * at:{'+' if at else ''}.4g}") if signed else f"{100 * at:.4g}%"
