"""`Trials`: tasks to act in, side by side; a sequence that slices into `Task`s."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

import numpy as np
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.environment import Environment, Tensors
from quickstudy.tasks.playing import Playing
from quickstudy.tasks.task import Task

if TYPE_CHECKING:
    from quickstudy.learners.agents.acting import Acting


@dataclass(frozen=True, eq=False)
class Trials(Sequence[Task]):
    """Trials of an environment: in each, an agent plays several episodes of one task, and learns from one to the next.

    Args:
        environment: the family that the tasks are from.
        tasks: what distinguishes them, `(trials, ...)` each.
        episodes: that count, of each trial.
        explored: episodes before these, which are for learning alone.
        seed: of all chance in the environment. Trials that are played in other company meet other chance.
    """

    environment: Environment
    tasks: Tensors
    episodes: int = 1
    explored: int = 0
    seed: int = 0

    def __post_init__(self):
        if self.episodes < 1:
            raise QuickstudyError(f"episodes={self.episodes}: an agent is judged on at least 1 episode of a trial")
        if self.explored < 0:
            raise QuickstudyError(f"explored={self.explored}: give 0 or more episodes for learning alone")

    @classmethod
    def draw(cls, environment: Environment, count: int, *, episodes: int = 1, explored: int = 0, seed: int = 0) -> Trials:
        """Trials of `count` tasks that the seed decides."""
        if count < 1:
            raise QuickstudyError(f"{count} trials: give at least 1")
        tasks = environment.draw(count, torch.Generator().manual_seed(seed))
        return cls(environment, tasks, episodes, explored, seed)

    def __len__(self) -> int:
        return len(next(iter(self.tasks.values())))

    @overload
    def __getitem__(self, at: int) -> Task: ...
    @overload
    def __getitem__(self, at: slice) -> Trials: ...
    def __getitem__(self, at: int | slice) -> Task | Trials:
        """A trial as a task, or some of them as trials."""
        if isinstance(at, slice):
            first, _, step = at.indices(len(self))  # no two parts meet the same chance
            seed = self.seed if (first, step) == (0, 1) else seed_of(self.seed, 4, first, step)
            return replace(self, tasks={name: values[at] for name, values in self.tasks.items()}, seed=seed)
        row = range(len(self))[at]
        one = replace(self[row : row + 1], seed=seed_of(self.seed, 3, row))
        return Task(one.support, one.query, seed=one.support.seed)

    @property
    def support(self) -> Batch:
        """The episodes that are for learning alone."""
        # Tasks, what happens in them, and what an agent draws come of seeds that have nothing to do with each other.
        return Batch(Playing(self.environment, self.tasks, self.explored, seed_of(self.seed, 0)), seed=seed_of(self.seed, 2))

    @property
    def query(self) -> Batch:
        """Those that count."""
        return Batch(Playing(self.environment, self.tasks, self.episodes, seed_of(self.seed, 1)), seed=seed_of(self.seed, 2))

    def score(self, adapted: Acting) -> dict[str, list[float]]:
        """The `return` of each trial: the sum of the rewards of all episodes that count."""
        return {"return": self.query.inputs.returns(adapted).tolist()}

    @property
    def hash(self) -> str:
        """A fingerprint of the tasks, their number of episodes and their seed."""
        digest = hashlib.sha256(f"{self.environment} {self.episodes} {self.explored} {self.seed}".encode())
        for name, values in sorted(self.tasks.items()):
            digest.update(name.encode() + values.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class TrialStream:
    """An endless sequence of `Trials`; number i depends on the seed and i alone.

    Args:
        environment: the family that tasks are from.
        tasks: trials at a time.
        episodes, explored: as in `Trials`.
        seed: of everything.
    """

    environment: Environment
    tasks: int = 1024
    episodes: int = 1
    explored: int = 0
    seed: int = 0

    def __getitem__(self, index: int) -> Trials:
        seed = seed_of(self.seed, index)
        return Trials.draw(self.environment, self.tasks, episodes=self.episodes, explored=self.explored, seed=seed)

    def __iter__(self) -> Iterator[Trials]:
        index = 0
        while True:
            yield self[index]
            index += 1


def seed_of(*numbers: int) -> int:
    """Another seed, that these decide."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1
