"""What texts have in common: `copies` among documents, `overlap` of a task's support and query, `diversity` of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.leaks import allowed_changes, numbered_words, words
from quickstudy.tasks.task import Task

BANDS, ROWS = 60, 8
"""LSH finds a pair of Jaccard similarity s with probability 1 - (1 - s^ROWS)^BANDS; eight words, one changed: 0.9998."""
PAIRS = 500
"""Pairs of tasks that are compared, at most."""


@dataclass(frozen=True)
class Diversity:
    """How much tasks differ in their tokens: Jensen-Shannon divergence (Lin 1991) in bits, from 0 (alike) to 1 (disjoint).

    Two samples of one distribution differ too, the more the shorter they are, so `between` says something beside `within`.

    Args:
        between: the supports of two tasks, on average.
        within: the support and the query of one task, on average: the floor.
    """

    between: float
    within: float

    def sentence(self) -> str:
        """Both numbers, and what they say."""
        numbers = f"supports of different tasks differ by {self.between:.3f} bits"
        if not self.within:
            return f"{numbers}, support and query of the same task not at all."
        ratio = self.between / self.within
        says = "so tasks are hardly told apart by their words" if ratio < 1.1 else "so tasks differ in more than chance"
        return f"{numbers}, support and query of the same task by {self.within:.3f}: {ratio:.2f} times as much, {says}."


def copies(texts: Sequence[str]) -> set[int]:
    """Places of texts that copy an earlier one: exactly, or with as few words changed as a near copy of the leak check.

    Here words are counted whatever their order, since an edit distance takes hours where two books are alike.
    """
    first: dict[str, int] = {}
    forms = {}
    for place, form in enumerate(map(words, texts)):
        if first.setdefault("".join(form), place) == place:
            forms[place] = form
    numbers: dict[str, int] = {}
    bags = [np.unique([numbers.setdefault(word, len(numbers)) for word in numbered_words(form)]) for form in forms.values()]
    allowed, near = [allowed_changes(form) for form in forms.values()], set()
    compared: set[tuple[int, int]] = set()
    for group in _alike(bags, len(numbers)):
        for late, early in ((late, early) for at, late in enumerate(group) for early in group[:at]):
            # Once known for a copy, a text is compared no more: of a thousand that are alike each is compared once.
            if late not in near and (early, late) not in compared:
                compared.add((early, late))
                shared = len(np.intersect1d(bags[early], bags[late], assume_unique=True))
                if max(len(bags[early]), len(bags[late])) - shared <= max(allowed[early], allowed[late]):
                    near.add(late)
    kept = {place for number, place in enumerate(forms) if number not in near}
    return set(range(len(texts))) - kept


def _alike(bags: Sequence[np.ndarray], count: int) -> Iterator[list[int]]:
    """Yields groups of places, ascending, whose bags of numbers below `count` are probably alike, by MinHash LSH."""
    if len(bags) < 2:
        return
    every = np.concatenate(bags)
    starts = np.cumsum([0, *map(len, bags[:-1])])
    generator = np.random.default_rng(1)
    for _ in range(BANDS):
        keys = np.zeros(len(bags), dtype=np.uint64)
        for _ in range(ROWS):
            ranks = generator.integers(2**32, size=count, dtype=np.uint32)
            keys = keys * np.uint64(0x9E3779B97F4A7C15) + np.minimum.reduceat(ranks[every], starts)
        order = np.argsort(keys, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            if len(group) > 1:
                yield group.tolist()


def overlap(tasks: Sequence[Task], n: int = 8) -> float:
    """The share of the query's n-grams of tokens that stand in the same task's support too, averaged over tasks.

    A model can copy these, so a high share (templates, boilerplate) makes adaptation look easy.

    Args:
        tasks: of text, as `TextDomains` makes them.
        n: tokens of an n-gram; none goes beyond a block.

    Raises:
        QuickstudyError: no tasks, none of text, n below one, or no query with n tokens in a row.
    """
    if n < 1:
        raise QuickstudyError(f"n={n}: an n-gram has at least one token; give a number of at least 1")
    shares = []
    for task in tasks:
        there, asked = set(_ngrams(task.support, n)), list(_ngrams(task.query, n))
        if asked:
            shares.append(sum(gram in there for gram in asked) / len(asked))
    if not shares:
        raise QuickstudyError(f"overlap: no query has {n} tokens in a row; give tasks of longer blocks, or a smaller n")
    return float(np.mean(shares))


def diversity(tasks: Sequence[Task], *, seed: int = 0) -> Diversity:
    """How much the tokens of different tasks differ, and those of one task's support and query.

    Args:
        tasks: two at least, of text. Support and query should be of like length: shorter ones differ more by chance.
        seed: of the 500 pairs of tasks that are compared, where there are more.

    Raises:
        QuickstudyError: fewer than two tasks, or tasks that are none of text.
    """
    if len(tasks) < 2:
        raise QuickstudyError(f"diversity: {len(tasks)} tasks; give at least two, to be compared")
    supports = [_frequencies(task.support) for task in tasks]
    within = [_divergence(support, _frequencies(task.query)) for support, task in zip(supports, tasks, strict=True)]
    between = [_divergence(supports[a], supports[b]) for a, b in _pairs(len(tasks), np.random.default_rng(seed))]
    return Diversity(float(np.mean(between)), float(np.mean(within)))


def _pairs(count: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """All pairs, or some, each once."""
    if count * (count - 1) // 2 <= PAIRS:
        return list(combinations(range(count), 2))
    pairs: dict[tuple[int, int], None] = {}
    while len(pairs) < PAIRS:
        a, b = sorted(generator.choice(count, 2, replace=False).tolist())
        pairs[a, b] = None
    return list(pairs)


def _blocks(batch: Batch) -> Iterator[np.ndarray]:
    """The whole blocks: the inputs, and the last target that is no input."""
    try:
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            if len(inputs) != len(targets) or inputs.ndim != 1 or inputs.is_floating_point():
                raise TypeError
            yield np.append(inputs.cpu().numpy(), int(targets[-1]))
    except (TypeError, AttributeError, IndexError):
        raise QuickstudyError("these are no tasks of text (blocks of tokens); give some that TextDomains makes") from None


def _ngrams(batch: Batch, n: int) -> Iterator[tuple[int, ...]]:
    for block in _blocks(batch):
        tokens = block.tolist()
        yield from zip(*(tokens[at:] for at in range(n)), strict=False)


def _frequencies(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """The tokens that there are, ascending, and how often each is, adding up to 1."""
    tokens, counts = np.unique(np.concatenate(list(_blocks(batch))), return_counts=True)
    return tokens, counts / counts.sum()


def _divergence(one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray]) -> float:
    """H((p + q) / 2) - (H(p) + H(q)) / 2."""
    tokens = np.union1d(one[0], two[0])
    mean = np.zeros(len(tokens))
    for its, shares in (one, two):
        mean[np.searchsorted(tokens, its)] += shares / 2
    return max(_entropy(mean) - (_entropy(one[1]) + _entropy(two[1])) / 2, 0.0)


def _entropy(shares: np.ndarray) -> float:
    return float(-(shares * np.log2(shares)).sum())
