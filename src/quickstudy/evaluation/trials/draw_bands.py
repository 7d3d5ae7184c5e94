"""Figure of curves with what lies around them, over many points: lines, and a band behind each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.draw_curve import APART, HEIGHT, LONGEST, spread
from quickstudy.evaluation.report.svg import COLOURS, DASHES, Scale, around, figure, line, tag, text, ticks
from quickstudy.evaluation.trials.curves import Curve

FEW = 12
"""Points that are all marked on the axis."""
WIDE = 1000
"""Units across the drawing of the lines, which is stretched to the width of the figure."""


@dataclass(frozen=True)
class Line:
    """A name, a curve, the first point that it is at, and its colour and dashes; the one at place 0 stands out."""

    name: str
    curve: Curve
    place: int
    first: int = 1


def bands(
    lines: Sequence[Line],
    across: str,
    up: str,
    *,
    key: str,
    title: str,
    percent: bool = False,
    log: bool = False,
    least: float | None = None,
    most: float | None = None,
) -> str:
    """The lines with their bands over points that are whole numbers, each named at its end.

    Args:
        across, up: what is on the axes.
        key: begins the ids of this figure.
        percent: whether the numbers are shares.
        log: whether equal steps upwards are equal factors.
        least, most: what a number cannot be below or above.
    """
    numbers = [number for each in lines for ends in (each.curve.low, each.curve.high) for number in ends]
    low, high = (min(numbers) / 1.1, 1.1 * max(numbers)) if log else around(numbers, least=least, most=most)
    x = Scale(min(each.first for each in lines), max(each.first + len(each.curve.middle) - 1 for each in lines))
    y = Scale(low, high, length=HEIGHT, log=log)
    body = [text(up, 0, -14, class_="tick")]
    for at in _factors(low, high) if log else ticks(low, high):
        shown = f"{100 * at:.4g}%" if percent else words.minus(f"{at:.4g}")
        body += [line(0, y(at), "100%", y(at), class_="grid"), text(shown, -8, y(at), dy=4, class_="tick end")]
    body += [text(f"{at:g}", x(at), HEIGHT + 20, class_="tick middle") for at in _marked(x.low, x.high)]
    body.append(text(across, "50%", HEIGHT + 40, class_="tick middle"))
    drawn = [stroke for kind in (_band, _line) for each in reversed(lines) for stroke in kind(each, x, y)]  # the first on top
    stretched = {"viewBox": f"0 0 {WIDE} {HEIGHT}", "preserveAspectRatio": "none"}
    body.append(tag("svg", "".join(drawn), x=0, y=0, width="100%", height=HEIGHT, **stretched))
    ends = [float(y(each.curve.middle[-1])) for each in lines]
    for each, end, at in zip(lines, ends, spread(ends, APART), strict=True):
        sample = tag("path", d=f"M3 {end:.1f}L11 {at:.1f}H27", **_stroke(each))
        body.append(tag("svg", sample, x="100%", y=0, overflow="visible", style=_colour(each)))
        body.append(text(words.short(each.name, LONGEST), "100%", f"{at:.1f}", dx=32, dy=4, class_=_kind(each)))
    said = "; ".join(_said(each, percent) for each in lines)
    return figure(body, key=key, title=title, description=f"{said}.", height=HEIGHT, margin=(32, 142, 48, 46), kind="curve")


def _band(its: Line, x: Scale, y: Scale) -> list[str]:
    """What lies around a line, where anything does."""
    if its.curve.low == its.curve.high:
        return []
    above, below = enumerate(its.curve.high), reversed(list(enumerate(its.curve.low)))
    return [tag("polygon", points=_points(its, [*above, *below], x, y), class_="band", style=_colour(its))]


def _line(its: Line, x: Scale, y: Scale) -> list[str]:
    points = _points(its, list(enumerate(its.curve.middle)), x, y)
    return [tag("polyline", points=points, style=_colour(its), **_stroke(its))]


def _points(its: Line, found: Sequence[tuple[int, float]], x: Scale, y: Scale) -> str:
    return " ".join(f"{WIDE * x.share(its.first + at):.1f},{y(number)}" for at, number in found)


def _stroke(its: Line) -> dict[str, str | None]:
    """Of a line that keeps its width and its dashes, however the drawing is stretched."""
    dashes = DASHES[its.place % len(DASHES)] or None
    return {"class_": f"series {_kind(its)}", "stroke_dasharray": dashes, "vector_effect": "non-scaling-stroke"}


def _kind(its: Line) -> str:
    return "strong" if its.place == 0 else "weak"


def _colour(its: Line) -> str:
    return f"color:var(--c{its.place % COLOURS})"


def _marked(low: float, high: float) -> list[float]:
    """Whole numbers for the axis: all, or some round ones and the first."""
    if high - low < FEW:
        return [float(at) for at in range(int(low), int(high) + 1)]
    found = ticks(low, high)
    return found if found[0] - low < (found[1] - found[0]) / 2 else [low, *found]


def _factors(low: float, high: float) -> list[float]:
    """Round numbers between two whose steps are factors: powers of ten, and 2 and 5 times these where there is room."""
    for steps in ((1, 2, 5), (1,)):
        found = [step * 10.0**power for power in range(-12, 13) for step in steps]
        found = [round(at, 12) for at in found if low <= at <= high]
        if len(found) <= 8:
            return found if len(found) > 1 else ticks(low, high)
    return found


def _said(its: Line, percent: bool) -> str:
    """The line at its first, middle and last point."""
    middle = its.curve.middle
    chosen = sorted({0, len(middle) // 2, len(middle) - 1})
    shown = [f"{100 * middle[at]:.1f}%" if percent else words.minus(f"{middle[at]:.3g}") for at in chosen]
    return f"{its.name} " + ", ".join(f"{number} at {its.first + at}" for number, at in zip(shown, chosen, strict=True))
