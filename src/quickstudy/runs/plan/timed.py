"""What a call of the model costs: a few of each kind are made, and the others follow from their sizes."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from quickstudy.runs.plan.calls import Call
from quickstudy.runs.plan.live import LiveBytes

Clock = Callable[[], float]
LONG_ENOUGH, OFTEN_ENOUGH = 0.2, 5
"""Seconds, and calls, after which no further call of the same sample is timed."""
SENTENCES, ROWS = 64, 256
"""Rows of the largest sample: a call of more is not made whole. Sentences go through in parts; a large call of images costs more
for each than a small one (its values leave the cache), so that only a large sample tells."""


@dataclass(frozen=True)
class Cost:
    """Of one call: seconds; bytes at its peak; bytes that stay until the way back, where a graph is kept."""

    seconds: float
    peak: float
    stays: float


class Costs:
    """Costs of calls of one model, measured when a kind of call is first asked for.

    Args:
        device: where the model is.
        clock: seconds.
    """

    def __init__(self, device: torch.device, clock: Clock = time.perf_counter):
        self.device, self.clock = device, clock
        self._fitted: dict[Hashable, tuple[np.ndarray, ...]] = {}

    def learn(self, calls: Iterable[Call]) -> None:
        """Makes samples of each kind that is new among these."""
        kinds: dict[Hashable, list[Call]] = {}
        for call in calls:
            if call.kind not in self._fitted:
                kinds.setdefault(call.kind, []).append(call)
        for kind, several in kinds.items():
            samples = _samples(several)
            features = np.array([call.features(rows) for call, rows in samples])
            costs = [self._measured(call, rows) for call, rows in samples]
            self._fitted[kind] = tuple(
                _fitted(features, np.array([getattr(cost, what) for cost in costs])) for what in Cost.__annotations__
            )

    def __call__(self, call: Call) -> Cost:
        """The cost of a call of a kind that was learned."""
        features = np.array(call.features(range(call.rows)))
        return Cost(*(float(features @ weights) for weights in self._fitted[call.kind]))

    def _measured(self, call: Call, rows: Sequence[int]) -> Cost:
        run, stays = call.prepared(rows), []
        with LiveBytes() as live:
            run(lambda: stays.append(live.now))
        spent: list[float] = []
        while not spent or (sum(spent) < LONG_ENOUGH and len(spent) < OFTEN_ENOUGH):
            run = call.prepared(rows)
            begun = self.clock()
            run(lambda: None)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            spent.append(self.clock() - begun)
        return Cost(median(spent), live.peak, stays[0] if stays else 0)


def _samples(calls: Sequence[Call]) -> list[tuple[Call, Sequence[int]]]:
    """The smallest, the middle and the largest call, and half of that; of one with too many rows, short ones and long ones."""
    order = sorted(calls, key=lambda call: call.features(range(call.rows))[-1])
    largest = order[-1]
    in_parts = len(largest.features([0])) > 2
    many = SENTENCES if in_parts else ROWS
    if largest.rows > many:
        rows = sorted(range(largest.rows), key=lambda row: largest.features([row])[-1])
        some = [(largest, rows[-many:])]
        if in_parts:
            some += [(largest, rows[: many // 2]), (largest, rows[-many // 4 :])]
    else:
        half = max(min(2, largest.rows), largest.rows // 2)
        some = [(call, range(call.rows)) for call in (order[0], order[len(order) // 2], largest)] + [(largest, range(half))]
    return list({call.features(rows): (call, rows) for call, rows in some}.values())


def _fitted(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights of the features, none below zero, so that what lies between and beyond the samples is no nonsense either."""
    from scipy.optimize import nnls

    if len(values) == 1:  # in proportion to the rows
        return np.array([values[0] / features[0, 1] if at == 1 else 0.0 for at in range(features.shape[1])])
    relative = np.maximum(values, values.max() / 1000 or 1.0)
    columns = np.maximum(features.max(axis=0), 1.0)
    weights, _ = nnls(features / columns / relative[:, None], values / relative)
    return weights / columns
