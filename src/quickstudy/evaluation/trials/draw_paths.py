"""Figure of ways in the plane: a square for each stage of learning, side by side, with the same tasks in each."""

from __future__ import annotations

from collections.abc import Sequence

from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.svg import COLOURS, figure, tag, text
from quickstudy.evaluation.trials.paths import Way, Ways

HEIGHT = 260
"""Pixels, and units in a square."""
SHARE = 0.96
"""Of its column that a square takes."""


def paths(stages: Sequence[Ways], *, key: str, title: str) -> str:
    """Every way in the colour of its task, from the cross at the origin; a goal is a circle of that colour.

    Args:
        key: begins the ids of this figure.
    """
    drawn = [way for stage in stages for way in stage.each]
    farthest = max(max(float(way.places.abs().max()), float(way.goal.abs().max())) for way in drawn)
    scale, column, body = HEIGHT / 2.16 / farthest, 100 / len(stages), []
    for place, stage in enumerate(stages):
        body.append(text(f"{stage.name}: {_paid(stage)}", f"{column * (place + 0.5):.2f}%", -10, class_="tick middle"))
        square = {"x": f"{column * (place + (1 - SHARE) / 2):.2f}%", "y": 0, "width": f"{column * SHARE:.2f}%", "height": HEIGHT}
        inside = [tag("rect", x=-HEIGHT / 2, y=-HEIGHT / 2, width=HEIGHT, height=HEIGHT, class_="ground")]
        inside += [_way(way, at, scale) for at, way in enumerate(stage.each)]
        inside.append(tag("path", d="M-6 0H6M0 -6V6", class_="start"))
        body.append(tag("svg", "".join(inside), **square, viewBox=f"{-HEIGHT / 2} {-HEIGHT / 2} {HEIGHT} {HEIGHT}"))
    said = "; ".join(f"{stage.name}, {len(stage.each)} tasks have a mean return of {_paid(stage)}" for stage in stages)
    return figure(body, key=key, title=title, description=f"{said}.", height=HEIGHT, margin=(28, 0, 8, 0), kind="paths")


def _way(way: Way, place: int, scale: float) -> str:
    flipped = scale * way.places.new_tensor([1.0, -1.0])  # in a drawing, down is positive
    circles = [_circle(centre, scale * way.radius, class_="band") for centre in (way.circles * flipped).tolist()]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (way.places * flipped).tolist())
    goal = _circle((way.goal * flipped).tolist(), 5, class_="hollow")
    line = tag("polyline", points=points, class_="series")
    return tag("g", "".join([*circles, line, goal]), style=f"color:var(--c{place % COLOURS})")


def _circle(centre: Sequence[float], radius: float, **attributes: object) -> str:
    return tag("circle", cx=f"{centre[0]:.1f}", cy=f"{centre[1]:.1f}", r=f"{radius:.1f}", **attributes)


def _paid(stage: Ways) -> str:
    return words.minus(f"{stage.paid:.3g}")
