"""Calls of the model: what an outer step consists of, besides the recursion around them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from quickstudy.models.functional import Parameters
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.sentence_encoder import SentenceEncoder
from quickstudy.runs.plan.live import LiveBytes

Features = tuple[float, ...]
"""What the cost of a call depends on, within its kind."""
Run = Callable[[Callable[[], None]], None]
"""Makes the call, once; calls what it is given where all is in memory that stays there until another call frees it."""


@dataclass(frozen=True)
class Call:
    """One call of the model.

    Attributes:
        what: "slope", "taped" (a slope and what a product may use again), "product", "product of a tape", "value"; with a graph
            that stays until the step's end: "step", "graph", "embedded".
        kind: of its cost; calls of one kind differ in their rows alone.
        rows: how many there are: examples, or tasks that are stacked.
        features: of some of its rows.
        prepared: the call on some of its rows, with all that it needs.
        frees: the number of the call whose stay in memory this one ends.
        live: bytes that the step keeps for itself meanwhile.
        before: the most that it had in use between the call before and this one.
    """

    what: str
    kind: Hashable
    rows: int
    features: Callable[[Sequence[int]], Features]
    prepared: Callable[[Sequence[int]], Run]
    frees: int | None = None
    live: int = 0
    before: int = 0


@dataclass
class Notes:
    """The calls of a step, as they come.

    Attributes:
        counting: if bytes are counted, those in use at each call, and at the peak before it, are noted in `live`; nothing else.
        values: phi and eta of the first call of each kind, for all of that kind: what is noted here is not freed.
    """

    calls: list[Call] = field(default_factory=list)
    counting: LiveBytes | None = None
    live: list[tuple[int, int]] = field(default_factory=list)
    values: dict[Hashable, tuple[Parameters, Sequence[torch.Tensor]]] = field(default_factory=dict)

    def take(self, call: Call) -> int:
        """Notes a call, and gives its number."""
        if self.counting is not None:
            self.live.append((self.counting.now, self.counting.peak))
            self.counting.peak = self.counting.now
            return len(self.live) - 1
        self.calls.append(call)
        return len(self.calls) - 1

    def known(self, kind: Hashable, phi: Parameters, eta: Sequence[torch.Tensor]) -> tuple[Parameters, Sequence[torch.Tensor]]:
        """Values of phi and eta to make calls of this kind with."""
        if self.counting is not None:
            return phi, eta
        return self.values.setdefault(kind, ({name: value.detach() for name, value in phi.items()}, eta))


def features_of(model: Any, inputs: Any, rows: Sequence[int], micro_batch: int | None = None) -> Features:
    """1 and the number of rows; of sentences the parts that go through together, rows, tokens with padding, and their squares.

    Of blocks of tokens, which all go through together, their number, tokens, and tokens with padding.
    """
    if isinstance(model, LanguageModel) and isinstance(inputs, list):
        lengths = [len(inputs[row]) for row in rows]
        return 1.0, float(len(rows)), float(sum(lengths)), float(len(rows) * max(lengths, default=0))
    sentences = inputs[0] if isinstance(inputs, tuple) else inputs
    if not (isinstance(model, SentenceEncoder) and isinstance(sentences, list)):
        return 1.0, float(len(rows))
    lengths = sorted(model.length(sentences[row]) for row in rows)
    size = min(micro_batch or model.chunk, model.chunk)
    parts = [lengths[at : at + size] for at in range(0, len(lengths), size)]
    tokens = sum(len(part) * part[-1] for part in parts)
    return float(len(parts)), float(len(lengths)), float(tokens), float(sum(len(part) * part[-1] ** 2 for part in parts))
