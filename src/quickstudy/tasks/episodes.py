"""`Episodes`: few-shot tasks drawn from a source, reproducibly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.names import with_names
from quickstudy.tasks.table import Table
from quickstudy.tasks.task import Task
from quickstudy.tasks.unlabelled import Unlabelled

Range = int | tuple[int, int]
"""A number, or the least and the most of a range that is drawn from."""


class Source(Protocol):
    """What makes tasks of its own, such as `Sinusoids`; a `Table` makes them by drawing classes and rows."""

    def draw(self, generator: np.random.Generator, shots: int, queries: int) -> tuple[Batch, Batch]:
        """Support and query of one task."""
        ...


class Episodes(IterableDataset):
    """An endless iterable of lists of tasks; list i depends on the seed and i alone.

    So training resumes at any step without replay, and a `DataLoader(episodes, batch_size=None, num_workers=2)` gives
    the same lists in the same order as a plain loop.

    Args:
        source: a `Table`, or any source with `draw(generator, shots, queries)`.
        ways: classes of a task: a number, a range `(least, most)`, or `"all"`.
        shots: examples of each class to learn from; a range makes them uneven, drawn for each class.
        queries: further examples of each class to be judged on, or `"all"` that are left. A class that has fewer
            left gives those.
        tasks: tasks in a list.
        seed: of everything that is drawn.
        support: another table with the same classes that the shots come from; queries come from `source`.
        names: whether each class's name, read as words, is one more example to learn from.
        inputs: what a model takes, made of a table's list of texts: `Pictures(84)` makes images
            `(examples, channels, height, width)` of references. An encoder takes the texts themselves.

    Raises:
        QuickstudyError: more ways than classes; a class with too few examples; numbers below one; names of `Unlabelled`, or
            of images; `inputs` of a source that is no table.
    """

    def __init__(
        self,
        source: Table | Source,
        *,
        ways: Range | Literal["all"] = 5,
        shots: Range = 1,
        queries: int | Literal["all"] = 5,
        tasks: int = 1,
        seed: int = 0,
        support: Table | None = None,
        names: bool = False,
        inputs: Callable[[list[str]], Any] | None = None,
    ):
        super().__init__()
        self.source, self.support, self.names, self.inputs = source, support, names, inputs
        self.ways, self.shots, self.queries, self.tasks, self.seed = ways, _range("shots", shots), queries, tasks, seed
        self._ways = None if ways == "all" else _range("ways", ways)
        if queries != "all":
            _range("queries", queries)
        _range("tasks", tasks)
        if names and isinstance(source, Unlabelled):
            why = f"each class of {source.name} is the word masked in its sentences, so its name is the answer"
            raise QuickstudyError(f"names: {why}; leave names out")
        if inputs and not isinstance(source, Table):
            raise QuickstudyError(f"inputs: {type(source).__name__} makes what a model takes itself; leave inputs out")
        if isinstance(source, Table):
            if names and source.reads == "image":
                raise QuickstudyError(f"names: {source.name} holds images, and a name is no image; leave names out")
            self._check(source, support)
        elif queries == "all" or ways == "all":
            raise QuickstudyError(
                f"queries={queries!r}: {type(source).__name__} draws as many queries as it is asked for; give a number"
            )

    def __iter__(self) -> Iterator[list[Task]]:
        worker = get_worker_info()
        at, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        while True:
            yield self[at]
            at += stride

    def __getitem__(self, index: int) -> list[Task]:
        """The list at this place."""
        return [self._task(index * self.tasks + i) for i in range(self.tasks)]

    @cached_property
    def hash(self) -> str:
        """A fingerprint of the first list of tasks: the same examples in the same roles give the same hash."""
        return fingerprint(self[0])

    def _task(self, number: int) -> Task:
        generator = np.random.default_rng((self.seed, number))
        if isinstance(self.source, Table):
            support, query = self._draw(self.source, generator)
        else:
            support, query = self.source.draw(generator, self._between(self.shots, generator), int(self.queries))
        return Task(support, query, seed=int(generator.integers(2**31)))

    def _draw(self, table: Table, generator: np.random.Generator) -> tuple[Batch, Batch]:
        classes = table.classes
        ways = self._between(self._ways, generator) if self._ways else len(classes)
        chosen = [classes[i] for i in generator.permutation(len(classes))[:ways]]
        support: tuple[list[str], list[str]] = ([], [])
        query: tuple[list[str], list[str]] = ([], [])
        for label in chosen:
            shots = self._between(self.shots, generator)
            rows = generator.permutation(table.rows_of(label)).tolist()
            if self.support is not None:
                learn = [self.support.texts[i] for i in generator.permutation(self.support.rows_of(label))[:shots]]
            else:
                learn, rows = [table.texts[i] for i in rows[:shots]], rows[shots:]
            judged = rows if self.queries == "all" else rows[: self.queries]
            support[0].extend(learn)
            support[1].extend([label] * len(learn))
            query[0].extend(table.texts[i] for i in judged)
            query[1].extend([label] * len(judged))
        learned, asked = with_names(Batch(*support)) if self.names else Batch(*support), Batch(*query)
        if self.inputs is None:
            return learned, asked
        return replace(learned, inputs=self.inputs(learned.inputs)), replace(asked, inputs=self.inputs(asked.inputs))

    def _check(self, table: Table, support: Table | None) -> None:
        classes = len(table.classes)
        if self._ways and self._ways[1] > classes:
            raise QuickstudyError(f"ways={self.ways}, but {table.name} has {classes} classes; give at most {classes} ways")
        most = self.shots[1]
        if support is None:
            table.require(classes=2, per_class=most + 1, why=f"{most} shots and 1 query")
            return
        missing = sorted(set(table.classes) - set(support.classes))
        if missing:
            raise QuickstudyError(f"{support.name} has no example of {missing[0]!r}, which {table.name} asks for")
        support.require(classes=2, per_class=most, why=f"{most} shots")

    @staticmethod
    def _between(bounds: tuple[int, int], generator: np.random.Generator) -> int:
        least, most = bounds
        return least if least == most else int(generator.integers(least, most + 1))


def fingerprint(tasks: list[Task]) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over every example, target and seed."""
    digest = hashlib.sha256()
    for task in tasks:
        for batch in (task.support, task.query):
            for part in (batch.inputs, batch.targets):
                digest.update(_bytes(part) + b"\x1d")
        digest.update(str(task.seed).encode())
    return digest.hexdigest()[:16]


def _bytes(part: Any) -> bytes:
    if isinstance(part, torch.Tensor):
        return part.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if part.numel() else b""
    if isinstance(part, dict):
        return b"".join(str(key).encode() + _bytes(value) for key, value in sorted(part.items()))
    if isinstance(part, (list, tuple)):
        return b"\x1e".join(_bytes(item) for item in part)
    return str(part).encode()


def _range(name: str, value: Any) -> tuple[int, int]:
    least, most = (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
    if least < 1 or most < least:
        raise QuickstudyError(f"{name}={value}: give a number of at least 1, or a range such as (1, 5)")
    return least, most
