"""The strokes that all figures are made of.

A figure's width is the page's: places across it are percentages, everything else is in pixels. So text keeps its size on
a telephone, where scaling a drawing of fixed width would make it unreadable, and no script has to draw again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "M-4 -4h8v8h-8z",
    "M0 -5.4l5 8.9h-10z",
    "M0 -5.6l5.6 5.6l-5.6 5.6l-5.6 -5.6z",
    "M0 5.4l5 -8.9h-10z",
    "M-1.7 -5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
)
"""Circle, square, triangle, diamond, triangle on its head, cross: told apart without colour."""
COLOURS = 8
"""How many colours the page defines, `--c0` to `--c7`; the first is the judged or the best method's."""
DASHES = ("", "7 4", "2 4", "10 4 2 4", "4 3", "1 3")


class Scale:
    """Numbers to places: to percentages across a figure, or to pixels where a length is given (upwards, so 0 is at its end).

    Args:
        low: what is at the start.
        high: what is at the end.
        length: pixels.
        log: equal steps are equal factors.
    """

    def __init__(self, low: float, high: float, *, length: float | None = None, log: bool = False):
        self.low, self.high, self.length, self.log = low, high if high > low else low + 1, length, log

    def share(self, number: float) -> float:
        """0 at the start, 1 at the end."""
        low, high = self.low, self.high
        if self.log:
            low, high, number = math.log(low), math.log(high), math.log(number)
        return (number - low) / (high - low)

    def __call__(self, number: float) -> str:
        """The place as an attribute's value."""
        share = self.share(number)
        return f"{100 * share:.2f}%" if self.length is None else f"{self.length * (1 - share):.1f}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two, about `count` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda size: abs(math.log(size / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def around(numbers: Sequence[float], *, least: float | None = None, most: float | None = None) -> tuple[float, float]:
    """The range of some numbers with a margin, within bounds."""
    low, high = min(numbers), max(numbers)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    low, high = low - margin, high + margin
    return (low if least is None else max(low, least)), (high if most is None else min(high, most))


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """An element; content must be markup already. `class_` and `stroke_width` become `class` and `stroke-width`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items() if value is not None
    )
    return f"<{name}{written}>{content}</{name}>"


def text(words: str, x: object, y: object, **attributes: object) -> str:
    """Words at a place."""
    return tag("text", escape(words), x=x, y=y, **attributes)


def line(x1: object, y1: object, x2: object, y2: object, **attributes: object) -> str:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def mark(shape: int, x: object, y: object, **attributes: object) -> str:
    """A shape centred on a place."""
    # A nested drawing is the one thing that can be put at a percentage and holds paths in pixels.
    return tag("svg", tag("path", d=SHAPES[shape % len(SHAPES)], **attributes), x=x, y=y, overflow="visible")


def figure(
    body: Sequence[str], *, key: str, title: str, description: str, height: float, margin: tuple[int, int, int, int], kind: str
) -> str:
    """A drawing with its title and description, as wide as the page allows.

    Args:
        key: begins the ids of this figure.
        height: of the plot, in pixels, without its margins.
        margin: above, right, below, left of it, for what stands outside of it.
        kind: its class.
    """
    top, right, bottom, left = margin
    return tag(
        "svg",
        tag("title", escape(title), id=f"{key}-title") + tag("desc", escape(description), id=f"{key}-desc") + "".join(body),
        class_=f"plot {kind}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        style=f"height:{height:.0f}px;width:calc(100% - {left + right}px);margin:{top}px {right}px {bottom}px {left}px",
    )
