"""Learning a text step by step while held-out text is watched: the best step is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from quickstudy.inner.diverged import learning
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.functional import Parameters, seeded
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

PATIENCE = 2
"""Steps in a row without a new best after which learning stops."""


@dataclass
class Watched:
    """What came of it.

    Args:
        adapted: the state after `kept` steps.
        curve: nats a token of each held-out document after 0, 1, .. steps; empty where nothing is held out.
        kept: how many steps the state that is kept has taken.
        stopped: why learning ended before its last step, in words; empty where it did not.
    """

    adapted: Adapted
    curve: list[list[float]] = field(default_factory=list)
    kept: int = 0
    stopped: str = ""


def learn_watched(
    learner: GradientLearner,
    support: Batch,
    held_out: Sequence[Batch],
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Watched:
    """The learner's inner loop on a support, one step after the other.

    The state of the step that is best on the held-out text is kept; without any, the last. Learning stops where that text has
    not improved for two steps, where a loss is not finite, and on Ctrl-C, always with the best state so far.

    Args:
        learner: its `adapt_steps`, rule and rates decide the steps.
        support: blocks to learn from.
        held_out: documents to watch, as blocks.
        progress: told how many steps are done.
    """
    steps = learner.inner_steps if learner.adapt_steps is None else learner.adapt_steps
    batches = learner.inner_batches(support, steps)
    with seeded(support.seed, learner.model), learning(learner.model, support.seed):
        with torch.no_grad():
            phi = {name: value.detach() for name, value in learner.start(support).items()}
        found = Watched(learner._adapted(phi, support, None))
        try:
            _go(found, learner, phi, batches, support, held_out, progress)
        except KeyboardInterrupt:
            found.stopped = "stopped by hand"
    return found


def _go(
    found: Watched,
    learner: GradientLearner,
    phi: Parameters,
    batches: Sequence[Batch],
    support: Batch,
    held_out: Sequence[Batch],
    progress: Callable[[str, int, int], None] | None,
) -> None:
    derivatives, rule = learner._inner, learner.rule
    state = rule.init(phi)
    tokens = [tokens_of(document) for document in held_out]
    if held_out:
        found.curve.append([nats_of(found.adapted, document) for document in held_out])
    for k, batch in enumerate(batches, start=1):
        value, _, gradient, _ = derivatives.slope(phi, batch)
        with torch.no_grad():
            phi, state = rule.update(k - 1, phi, state, gradient)
        adapted = learner._adapted(phi, support, None)
        nats = [nats_of(adapted, document) for document in held_out]
        if not (value.isfinite() and all(map(math.isfinite, nats)) and all(bool(p.isfinite().all()) for p in phi.values())):
            found.stopped = f"the loss at step {k} is not a number; lower the rate"
            return
        found.curve += [nats] * bool(held_out)
        if not held_out or average(nats, tokens) < min(average(earlier, tokens) for earlier in found.curve[:-1]):
            found.adapted, found.kept = adapted, k
        if progress:
            progress("steps", k, len(batches))
        if k - found.kept >= PATIENCE:
            found.stopped = f"the held-out loss rose after step {found.kept}"
            return


def nats_of(adapted: Adapted, document: Batch) -> float:
    """Nats a token of a document's blocks."""
    return Task(document, document).score(adapted)["nats_per_token"]


def tokens_of(document: Batch) -> int:
    """How many tokens its blocks predict."""
    return sum(map(len, document.targets))


def average(nats: Sequence[float], tokens: Sequence[int]) -> float:
    """Nats a token of several documents together."""
    return sum(each * count for each, count in zip(nats, tokens, strict=True)) / sum(tokens)
