"""The page's figures of sentences, of the same strokes as the report's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import tensor

from quickstudy.evaluation.report import draw_map, page
from quickstudy.evaluation.report.draw_curve import Series, curve
from quickstudy.evaluation.report.draw_map import HEIGHT, LONGEST, NARROW, WIDTH, Style, placed, swatch
from quickstudy.evaluation.report.projection import Projection, choose, project
from quickstudy.evaluation.report.svg import Scale, figure, mark, tag, text
from quickstudy.evaluation.report.words import short
from quickstudy.playground.learning import Classifier
from quickstudy.playground.one_more import Curve
from quickstudy.playground.words import Say

MARGIN = 0.06
"""Of the map on each side of its sentences, as a share of their width and height."""


def stylesheet() -> str:
    """The page's own styles, and the report's for what is drawn."""
    report = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    figures = report[report.index(".plot {") : report.index("@media (max-width")]
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8") + figures


@dataclass(frozen=True)
class Map:
    """Sentences on a plane, and the way onto it.

    Args:
        plane: where the sentences are.
        texts: the sentences.
        labels: how many labels there are, shown or not.
        mean: of their embeddings `(dim,)`.
        directions: what takes an embedding less the mean onto the plane `(dim, 2)`.
    """

    plane: Projection
    texts: Sequence[str]
    labels: int
    mean: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, classifier: Classifier) -> Map | None:
        """The map of what was learned from; None where there are fewer than three sentences, or they were not kept."""
        table, examples = classifier.table, classifier.adapted.examples
        if table is None or examples is None:
            return None
        shown = choose(dict(zip(table.texts, table.labels, strict=True)))
        place = {sentence: row for row, sentence in enumerate(examples.texts)}
        embeddings = examples.embeddings[[place[sentence] for sentence in shown]].double().cpu().numpy()
        label = dict(zip(table.texts, table.labels, strict=True))
        plane = project(embeddings, [label[sentence] for sentence in shown])
        if plane is None:
            return None
        mean = embeddings.mean(axis=0)
        # The plane lies in what the embeddings span, so the smallest solution is the principal directions themselves.
        directions = np.linalg.lstsq(embeddings - mean, plane.points, rcond=None)[0]
        return cls(plane, shown, len(table.classes), mean, directions)

    def place(self, embedding: Sequence[float]) -> np.ndarray:
        """Where an embedding is on the map, `(2,)`."""
        return (F.normalize(tensor(embedding).double(), dim=0).numpy() - self.mean) @ self.directions

    def draw(self, say: Say, new: np.ndarray | None = None) -> str:
        """A mark for each sentence, each label's name at the middle of its marks, and the new sentence where it is given."""
        labels, points = list(dict.fromkeys(self.plane.labels)), self.plane.points
        x, y = self._scales(points if new is None else np.vstack([points, new]))
        body, middles = [], []
        for number, label in enumerate(labels):
            rows = [row for row, other in enumerate(self.plane.labels) if other == label]
            style = Style.of(number)
            # a mark says its sentence to whoever points at it
            marks = [
                tag("g", tag("title", escape(self.texts[row])) + style.mark(x(points[row, 0]), y(points[row, 1]))) for row in rows
            ]
            body.append(tag("g", "".join(marks), style=f"color:var(--c{style.colour})", class_="dots"))
            middle = np.median(points[rows], axis=0)
            middles.append((x.share(float(middle[0])), float(y(float(middle[1])))))
        names = [short(label, LONGEST) for label in labels]
        wide = placed(middles, [7.2 * len(name) for name in names], WIDTH)
        narrow = placed(middles, [9.0 * len(str(number + 1)) + 4 for number in range(len(labels))], NARROW)
        for number, (name, (across, down), (across_, down_)) in enumerate(zip(names, wide, narrow, strict=True)):
            colour = f"color:var(--c{Style.of(number).colour})"
            body.append(text(name, f"{100 * across:.2f}%", f"{down:.1f}", class_="halo middle name wide", style=colour))
            body.append(
                text(str(number + 1), f"{100 * across_:.2f}%", f"{down_:.1f}", class_="halo middle name narrow", style=colour)
            )
        if new is not None:
            at = x(float(new[0])), y(float(new[1]))
            said = text(say("map_new"), *at, dy=-14, class_="halo middle new")
            body.append(tag("g", mark(3, *at, class_="filled") + said, class_="yours"))
        says = say("map_says", sentences=len(self.texts), labels=len(labels), names=", ".join(names))
        drawn = figure(body, key="map", title=say("map"), description=says, height=HEIGHT, margin=(4, 2, 4, 2), kind="map")
        return drawn + self._key(labels)

    @staticmethod
    def _scales(points: np.ndarray) -> tuple[Scale, Scale]:
        low, high = points.min(axis=0), points.max(axis=0)
        margin = MARGIN * np.where(high > low, high - low, 1.0)
        return (
            Scale(float(low[0] - margin[0]), float(high[0] + margin[0])),
            Scale(float(low[1] - margin[1]), float(high[1] + margin[1]), length=draw_map.HEIGHT),
        )

    @staticmethod
    def _key(labels: Sequence[str]) -> str:
        """The labels with their marks, by number: on a narrow page the map has room for the numbers alone."""
        rows = [
            tag("li", swatch(number) + tag("span", f"{number + 1}.", class_="place") + tag("bdi", escape(label)))
            for number, label in enumerate(labels)
        ]
        return tag("ul", "".join(rows), class_="key")


def accuracy_curve(found: Curve, say: Say) -> str:
    """Measured accuracy over examples a label, and what is expected of one more."""
    measured = Series(say("more_measured"), [(float(shots), mean, ends) for shots, mean, ends in found.points])
    amounts = [*(float(shots) for shots, _, _ in found.points), found.now, found.now + 1]
    fitted = Series(say("more_expected"), [(amount, found.at(amount), None) for amount in amounts])
    return curve([measured, fitted], "accuracy", say("more_across"), key="curve", title=say("more_curve"), even=True)
