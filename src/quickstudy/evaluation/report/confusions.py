"""The pairs of labels that a method takes for one another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from quickstudy.evaluation.report.observed import Asked

PAIRS = 6
EXAMPLES = 3


@dataclass(frozen=True)
class Mistake:
    """A sentence, its label, what it was taken for, and how sure the method was."""

    text: str
    truth: str
    answer: str
    confidence: float


@dataclass(frozen=True)
class Confusion:
    """Two labels, how often a sentence of either was taken for the other, and of how many that could have been."""

    labels: tuple[str, str]
    mistakes: int
    chances: int
    examples: Sequence[Mistake]

    @property
    def rate(self) -> float:
        """The share of the chances."""
        return self.mistakes / self.chances


def worst_pairs(asked: Iterable[Asked], *, pairs: int = PAIRS, examples: int = EXAMPLES) -> list[Confusion]:
    """The worst pairs first, and of each the different sentences that were mistaken with the most confidence.

    Ordered by the lower end of the rate's 95% interval (Wilson), not by the rate: one mistake in two chances is less
    evidence than twenty in fifty. A chance is a query of one of the two labels in a task that has both.
    """
    chances: Counter[tuple[str, str]] = Counter()
    mistakes: dict[tuple[str, str], list[Mistake]] = defaultdict(list)
    for task in asked:
        counts = Counter(task.truth)
        for label in counts:
            for other in counts:
                if label < other:
                    chances[label, other] += counts[label] + counts[other]
        rows: Any = zip(task.texts, task.truth, task.answers, task.confidences, strict=True)
        for text, truth, answer, confidence in rows:
            if truth != answer:
                mistakes[_pair(truth, answer)].append(Mistake(str(text), truth, answer, confidence))
    # A label of the support can lack queries of its own; what was taken for it had no counted chance.
    found = [
        Confusion(pair, len(made), max(chances[pair], len(made)), _distinct(made, examples)) for pair, made in mistakes.items()
    ]
    return sorted(found, key=lambda confusion: (-_lowest(confusion), confusion.labels))[:pairs]


def _pair(left: str, right: str) -> tuple[str, str]:
    return (left, right) if left < right else (right, left)


def _distinct(mistakes: Sequence[Mistake], count: int) -> list[Mistake]:
    by_text: dict[str, Mistake] = {}
    for mistake in sorted(mistakes, key=lambda mistake: (-mistake.confidence, mistake.text)):
        by_text.setdefault(mistake.text, mistake)
    return list(by_text.values())[:count]


def _lowest(confusion: Confusion) -> float:
    z, n, p = 1.96, confusion.chances, confusion.rate
    return (p + z * z / (2 * n) - z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5) / (1 + z * z / n)
