"""`drawn`: the tasks that language models are judged on, spread evenly over domains."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from quickstudy.tasks.documents import DocumentSource, Tokenizer, documents
from quickstudy.tasks.task import Task
from quickstudy.tasks.text_domains import By, TextDomains


@dataclass(frozen=True)
class Drawn:
    """Tasks, no two of which share a document, and the domain of each.

    Args:
        source: what they are drawn from.
        tasks: those of the domains in turn.
        domains: of each.
        settings: shots, queries and seed.
    """

    source: TextDomains
    tasks: list[Task]
    domains: list[str]
    settings: dict[str, int]


def drawn(source: TextDomains, shots: int, queries: int, count: int, *, seed: int = 0) -> Drawn:
    """At most so many tasks, of the domains in turn; which of a domain's topics, the seed decides.

    Args:
        shots, queries: blocks to learn from, and to be judged on.
        count: of tasks; where the text has fewer topics, there are fewer.
    """
    generator = np.random.default_rng(seed)
    columns = []
    for name in source.domains:
        every = source.only(name).each(shots, queries)
        columns.append([(name, every[at]) for at in generator.permutation(len(every))])
    pairs = [pair for row in zip_longest(*columns) for pair in row if pair is not None][:count]
    settings = {"shots": shots, "queries": queries, "seed": seed}
    return Drawn(source, [task for _, task in pairs], [name for name, _ in pairs], settings)


def own_domains(
    place: DocumentSource,
    tokenizer: Tokenizer,
    count: int,
    most: int,
    *,
    block: int = 128,
    by: By = "topic",
    seed: int = 0,
) -> TextDomains:
    """Text of one's own, in topics as large as so many tasks leave them.

    Args:
        place: a folder or a file.
        count: of tasks that are wanted.
        most: documents of a topic, at most; at least 2.
    """
    read = documents(place)
    return TextDomains(read, tokenizer, block=block, by=by, size=max(2, min(len(read) // count, most)), seed=seed)
