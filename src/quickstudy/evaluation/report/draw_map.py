"""Figure of sentences on a plane, by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.projection import Projection
from quickstudy.evaluation.report.svg import COLOURS, SHAPES, Scale, figure, mark, tag, text

HEIGHT = 460
WIDTH = 720
"""The width for which names are placed beside one another; the map itself is as wide as the page."""
NARROW = 330
"""The same on a telephone, where numbers stand for the names."""
LONGEST = 24


@dataclass(frozen=True)
class Style:
    """How a label is drawn: no two of twelve share shape and filling, so that colour is never all that tells them apart."""

    colour: int
    shape: int
    hollow: bool

    @classmethod
    def of(cls, place: int) -> Style:
        """The style of the label at this place."""
        return cls(place % COLOURS, place % len(SHAPES), place // len(SHAPES) % 2 == 1)

    def mark(self, x: object, y: object) -> str:
        """One example."""
        return mark(self.shape, x, y, class_="hollow" if self.hollow else "filled")


def sentence_map(projection: Projection) -> str:
    """A mark for each sentence, and each label's name at the middle of its marks (on a narrow page, its number)."""
    labels = list(dict.fromkeys(projection.labels))
    low, high = projection.points.min(axis=0), projection.points.max(axis=0)
    margin = 0.04 * np.where(high > low, high - low, 1.0)
    x = Scale(float(low[0] - margin[0]), float(high[0] + margin[0]))
    y = Scale(float(low[1] - margin[1]), float(high[1] + margin[1]), length=HEIGHT)
    body, middles = [], []
    for place, label in enumerate(labels):
        points = projection.points[[i for i, other in enumerate(projection.labels) if other == label]]
        style = Style.of(place)
        marks = "".join(style.mark(x(float(a)), y(float(b))) for a, b in points)
        body.append(tag("g", marks, style=f"color:var(--c{style.colour})", class_="dots"))
        middles.append((x.share(float(np.median(points[:, 0]))), float(y(float(np.median(points[:, 1]))))))
    names = [words.short(label, LONGEST) for label in labels]
    wide = placed(middles, [7.2 * len(name) for name in names], WIDTH)
    narrow = placed(middles, [9.0 * len(str(place + 1)) + 4 for place in range(len(labels))], NARROW)
    for place, (name, (across, down), (across_, down_)) in enumerate(zip(names, wide, narrow, strict=True)):
        colour = f"color:var(--c{Style.of(place).colour})"
        body.append(text(name, f"{100 * across:.2f}%", f"{down:.1f}", class_="halo middle name wide", style=colour))
        body.append(text(str(place + 1), f"{100 * across_:.2f}%", f"{down_:.1f}", class_="halo middle name narrow", style=colour))
    return figure(
        body,
        key="map",
        title="Sentences by their embeddings",
        description=f"{len(projection.labels)} sentences of {len(labels)} labels: {', '.join(names)}.",
        height=HEIGHT,
        margin=(4, 2, 4, 2),
        kind="map",
    )


def swatch(place: int) -> str:
    """A label's mark, for the key below the map."""
    style = Style.of(place)
    return tag(
        "svg",
        style.mark(8, 8),
        class_="swatch",
        aria_hidden="true",
        width=16,
        height=16,
        style=f"color:var(--c{style.colour})",
    )


def placed(
    middles: Sequence[tuple[float, float]], widths: Sequence[float], width: float, *, line: float = 16
) -> list[tuple[float, float]]:
    """Where names go: as near to their middles as leaves each inside the map and none over another.

    Args:
        middles: shares across, pixels down.
        widths: of the names, in pixels.
        width: of the map.
        line: pixels from one line of text to the next.
    """
    taken: list[tuple[float, float, float]] = []
    found: list[tuple[float, float]] = []
    for (across, down), half in zip(middles, (its / 2 for its in widths), strict=True):
        x = min(max(across * width, half + 2), max(width - half - 2, half + 2))
        tries = [down + 4 + step * line / 2 * side for step in range(60) for side in ((1, -1) if step else (1,))]
        inside = [y for y in tries if 12 <= y <= HEIGHT - 4]
        free = (y for y in inside if all(abs(y - b) >= line or abs(x - a) >= half + other + 6 for a, b, other in taken))
        y = next(free, inside[0])
        taken.append((x, y, half))
        found.append((x / width, y))
    return found
