"""Figure of learning curves: each method's score over how much there was to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.svg import COLOURS, DASHES, Scale, around, figure, line, mark, tag, text, ticks
from quickstudy.evaluation.statistics import Interval

HEIGHT = 280
APART = 16
"""Pixels between the names at the lines' ends."""
LONGEST = 14
LEAST = 0.03
"""Accuracy shown on either side of a level, so that chance does not look like a slope."""


@dataclass(frozen=True)
class Series:
    """A name and, for each amount, the amount, the mean and its interval. The first of several stands out."""

    name: str
    points: Sequence[tuple[float, float, Interval]]


def curve(
    series: Sequence[Series],
    metric: str,
    across: str,
    *,
    key: str,
    title: str,
    log: bool = True,
    even: bool = False,
    least: float | None = 0.0,
    level: tuple[str, float] | None = None,
) -> str:
    """The lines over a scale of amounts, each named at its end.

    Args:
        across: what the amounts are, below the axis.
        key: begins the ids of this figure.
        log: whether equal steps are equal factors, with a mark at each amount; else round amounts are marked.
        even: whether the amounts stand equally far apart instead, with a mark at each.
        least: what a score cannot be below; None where these are differences.
        level: a name and a score to compare with, drawn straight across.
    """
    amounts = sorted({amount for each in series for amount, _, _ in each.points})
    numbers = [number for each in series for _, mean, ends in each.points for number in (mean, *(ends or ()))]
    if level:
        numbers += [level[1], *(level[1] + side * LEAST for side in (-1, 1) if metric == "accuracy")]
    y = Scale(*around(numbers, least=least, most=1.0 if metric == "accuracy" else None), length=HEIGHT)
    x = _Even(amounts) if even else Scale(amounts[0], amounts[-1], log=log)
    body = []
    for at in ticks(y.low, y.high):
        shown = f"{100 * at:.4g}%" if metric == "accuracy" else words.minus(f"{at:.4g}")
        body += [line(0, y(at), "100%", y(at), class_="grid"), text(shown, -8, y(at), dy=4, class_="tick end")]
    marked = amounts if log or even else ticks(amounts[0], amounts[-1], 4)
    body += [text(f"{amount:g}", x(amount), HEIGHT + 20, class_="tick middle") for amount in marked]
    body.append(text(across, "50%", HEIGHT + 40, class_="tick middle"))
    if level:
        body.append(line(0, y(level[1]), "100%", y(level[1]), class_="reference"))
    for place in reversed(range(len(series))):  # the first on top
        body.append(_line(series[place], place, x, y, (place - (len(series) - 1) / 2) * 3))
    ends = [float(y(each.points[-1][1])) for each in series] + ([float(y(level[1]))] if level else [])
    names = spread(ends, APART)
    for place, (each, at) in enumerate(zip(series, names, strict=False)):
        body.append(mark(place, "100%", f"{at:.1f}", transform="translate(20 0)", style=_colour(place), class_="filled"))
        strong = "strong" if place == 0 else "weak"
        body.append(text(words.short(each.name, LONGEST), "100%", f"{at:.1f}", dx=31, dy=4, class_=strong))
    said = "; ".join(
        f"{each.name} " + ", ".join(f"{words.value(mean, metric)} at {amount:g}" for amount, mean, _ in each.points)
        for each in series
    )
    if level:
        body.append(text(level[0], "100%", f"{names[-1]:.1f}", dx=31, dy=4, class_="tick"))
        said += f"; {level[0]} {words.value(level[1], metric)}"
    return figure(body, key=key, title=title, description=f"{said}.", height=HEIGHT, margin=(10, 134, 48, 46), kind="curve")


class _Even(Scale):
    """Amounts in their order, the same distance from one to the next."""

    def __init__(self, amounts: Sequence[float]):
        super().__init__(0, len(amounts) - 1)
        self.amounts = list(amounts)

    def share(self, number: float) -> float:
        return super().share(self.amounts.index(number))


def spread(places: Sequence[float], apart: float) -> list[float]:
    """The places moved as little as keeps neighbours this far apart, in their order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[tuple[list[int], float]] = []  # places that touch, and the middle of each group
    for i in order:
        members, middle = [i], places[i]
        while groups and middle - groups[-1][1] < apart * (len(members) + len(groups[-1][0])) / 2:
            members = [*groups.pop()[0], *members]
            middle = sum(places[j] for j in members) / len(members)
        groups.append((members, middle))
    moved = list(places)
    for members, middle in groups:
        for rank, i in enumerate(members):
            moved[i] = middle + (rank - (len(members) - 1) / 2) * apart
    return moved


def _line(series: Series, place: int, x: Scale, y: Scale, aside: float) -> str:
    """One method: moved a little aside, so that the intervals of several do not cover one another."""
    strokes = []
    points = [(x(amount), y(mean), ends) for amount, mean, ends in series.points]
    for (left, from_, _), (right, to, _) in pairwise(points):
        strokes.append(line(left, from_, right, to, stroke_dasharray=DASHES[place % len(DASHES)] or None))
    for at, mean, ends in points:
        if ends:
            strokes.append(line(at, y(ends[0]), at, y(ends[1]), class_="thin"))
        strokes.append(mark(place, at, mean, class_="filled"))
    return tag("g", "".join(strokes), transform=f"translate({aside:g} 0)", style=_colour(place), class_="series")


def _colour(place: int) -> str:
    return f"color:var(--c{place % COLOURS})"
