"""Figure of a method's probabilities against how often it is right."""

from __future__ import annotations

from quickstudy.evaluation.report.calibration import Calibration
from quickstudy.evaluation.report.svg import Scale, figure, line, mark, tag, text, ticks

HEIGHT = 300


def reliability(found: Calibration) -> str:
    """A bar for each bin, as high as the share that is right; a mark at its mean probability; the diagonal is honest."""
    x, y = Scale(0, 1), Scale(0, 1, length=HEIGHT)
    body = []
    for at in ticks(0, 1):
        shown = f"{100 * at:.0f}%"
        body += [
            line(0, y(at), "100%", y(at), class_="grid"),
            text(shown, -8, y(at), dy=4, class_="tick end"),
            text(shown, x(at), HEIGHT + 18, class_="tick middle"),
        ]
    for part in found.bins:
        top = y(part.accuracy)
        width = f"{100 * (part.high - part.low) - 1:.2f}%"
        body.append(tag("rect", x=x(part.low + 0.005), y=top, width=width, height=f"{HEIGHT - float(top):.1f}", class_="bar"))
        body.append(text(f"{part.count}", x((part.low + part.high) / 2), HEIGHT - 6, class_="count middle"))
    body.append(line(0, HEIGHT, "100%", 0, class_="reference"))
    for part in found.bins:
        at = x(part.confidence)
        body += [
            line(at, y(part.confidence), at, y(part.accuracy), class_="gap"),
            mark(0, at, y(part.accuracy), class_="point strong"),
        ]
    body.append(text("probability that the method gave", "50%", HEIGHT + 38, class_="tick middle"))
    said = "; ".join(
        f"of {part.count} answers with a probability from {part.low:.0%} to {part.high:.0%} (mean {part.confidence:.0%}), "
        f"{part.accuracy:.0%} are right"
        for part in found.bins
    )
    return figure(
        body,
        key="reliability",
        title="Share of answers that are right, by the probability that the method gave",
        description=f"{said}.",
        height=HEIGHT,
        margin=(10, 16, 46, 46),
        kind="reliability",
    )
