"""A sine curve that MAML learns, step by step, beside the same network without meta-training."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from typing import Any

import numpy as np
import torch

from quickstudy.evaluation.report.svg import Scale, figure, line, mark, tag, text, ticks
from quickstudy.evaluation.report.words import minus
from quickstudy.learners.gradient import GradientLearner
from quickstudy.playground.words import Say
from quickstudy.runs.build import build_learner
from quickstudy.runs.opening import open_run
from quickstudy.runs.shipped import PRIORS
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.sinusoids import Sinusoids

RUN = "sinusoid-maml"
STEPS, SHOTS = 10, (2, 20)
"""The most steps, and the fewest and the most points."""
AMPLITUDE = (1.0, 5.0)
"""Flatter curves are part of what it learned from, and nothing to look at."""
GRID, KEPT = 121, 64
"""Places at which a curve is drawn, and curves that are kept for whoever moves the sliders."""
HEIGHT, TALL = 320, 6.0
"""Pixels; the figure goes from -TALL to TALL, whatever the curve, so that two curves can be compared."""
STRETCH = 1000
"""A drawing inside the figure has this width and height of its own, and is stretched to the page's."""


@dataclass(frozen=True)
class Learning:
    """What a network says of a curve after each number of steps.

    Args:
        x, truth: the curve `(GRID,)`.
        support: the points that are learned from.
        said: what each learner says after 0, 1, ... steps, `(learners, STEPS + 1, GRID)`; MAML first.
    """

    x: np.ndarray
    truth: np.ndarray
    support: Batch
    said: np.ndarray

    def error(self, learner: int, steps: int) -> float:
        """The mean squared error over the curve."""
        return float(((self.said[learner, steps] - self.truth) ** 2).mean())


class Curves:
    """Sine curves, and two learners of them: the one that ships, and the same before any meta-training."""

    def __init__(self):
        self._lock = threading.Lock()
        self.learn = lru_cache(maxsize=KEPT)(self._learn)

    @cached_property
    def learners(self) -> Sequence[GradientLearner]:
        """MAML, and its inner loop from an untrained start."""
        recipe, trained = open_run(PRIORS / RUN)
        plain = build_learner(recipe)
        learners: Any = (trained, plain)
        return learners

    def _learn(self, seed: int, shots: int) -> Learning:
        """The curve of this seed, so many points of it, and what each learner says on the way."""
        generator = np.random.default_rng(seed)
        amplitude, phase = generator.uniform(*AMPLITUDE), generator.uniform(*Sinusoids.phase)
        support, _ = Sinusoids((amplitude, amplitude), (phase, phase)).draw(generator, shots, 1)
        x = np.linspace(*Sinusoids.domain, GRID)
        asked = torch.tensor(x, dtype=torch.float32).unsqueeze(1)
        said = []
        with self._lock:
            for learner in self.learners:
                for learner.adapt_steps in range(STEPS + 1):
                    said.append(learner.adapt(support).logits(asked).squeeze(1).numpy())
        return Learning(x, amplitude * np.sin(x + phase), support, np.reshape(said, (len(self.learners), STEPS + 1, GRID)))


def draw(learning: Learning, steps: int, say: Say) -> str:
    """The curve, its points, and what both learners say after so many steps."""
    x, y = Scale(*Sinusoids.domain), Scale(-TALL, TALL, length=HEIGHT)
    body = []
    for at in ticks(-TALL, TALL, 6):
        body += [line(0, y(at), "100%", y(at), class_="grid"), text(minus(f"{at:g}"), -8, y(at), dy=4, class_="tick end")]
    body += [text(minus(f"{at:g}"), x(at), HEIGHT + 20, class_="tick middle") for at in ticks(*Sinusoids.domain, 4)]
    kinds = ("learned", "plain")
    lines = [("truth", learning.truth), *reversed(list(zip(kinds, learning.said[:, steps], strict=True)))]
    strokes = [_polyline(learning.x, values, kind) for kind, values in lines]
    box = {"viewBox": f"0 0 {STRETCH} {STRETCH}", "preserveAspectRatio": "none", "width": "100%", "height": HEIGHT}
    body.append(tag("svg", "".join(strokes), class_="curves", overflow="hidden", **box))
    points = zip(learning.support.inputs.flatten().tolist(), learning.support.targets.flatten().tolist(), strict=True)  # type: ignore[union-attr]
    body += [mark(0, x(a), y(b), class_="given") for a, b in points]
    errors = [f"{learning.error(number, steps):.2f}" for number in range(len(kinds))]
    says = say("curve_error", steps=steps, shots=len(learning.support), learned=errors[0], plain=errors[1])
    drawn = figure(
        body, key="sinusoid", title=say("curve_title"), description=says, height=HEIGHT, margin=(10, 8, 30, 34), kind="curve"
    )
    keys = (("truth", "curve_truth"), ("given", "curve_points"), ("learned", "curve_learned"), ("plain", "curve_plain"))
    key = "".join(tag("li", tag("span", class_=f"stroke {kind}") + say.html(name)) for kind, name in keys)
    return drawn + tag("ul", key, class_="key strokes") + tag("p", escape(says), class_="say")


def _polyline(x: np.ndarray, values: np.ndarray, kind: str) -> str:
    low, high = Sinusoids.domain
    across, down = STRETCH * (x - low) / (high - low), STRETCH * (0.5 - values / (2 * TALL))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    return tag("polyline", points=points, class_=kind)
