"""`planned`: how many steps each method takes, and at which rates; chosen on tasks of validation domains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.language.method import Method
from quickstudy.tasks.task import Task


@dataclass(frozen=True)
class Plan:
    """What a method does where the tables say k steps.

    Args:
        taken: k -> the steps that it takes, and the factor of its own rates.
        tried: how many factors these were chosen from; 1: nothing was chosen.
    """

    taken: dict[int, tuple[int, float]]
    tried: int = 1

    def nats(self, method: Method, tasks: Sequence[Task], what: str, progress: Progress | None = None) -> np.ndarray:
        """Nats a token of each task after k steps, `(tasks, ks)`: one way of learning for each factor."""
        of_factor: dict[float, set[int]] = {}
        for steps, factor in self.taken.values():
            of_factor.setdefault(factor, set()).add(steps)
        told = _told(f"{method.name}: {what}", len(of_factor) * len(tasks), progress)
        found: dict[tuple[int, float], np.ndarray] = {}
        for factor, numbers in of_factor.items():
            scores = method.nats(tasks, sorted(numbers), factor, told)
            found |= {(steps, factor): scores[:, at] for at, steps in enumerate(sorted(numbers))}
        return np.stack([found[each] for each in self.taken.values()], axis=1)


def planned(method: Method, steps: Sequence[int], validation: Sequence[Task], progress: Progress | None = None) -> Plan:
    """For each number of steps the factor with the fewest nats a token on the validation tasks, of those the method tries.

    Args:
        steps: what the tables show.
        validation: tasks of other domains than those judged on; with none, rates stay as the method has them.
    """
    if not method.takes_steps:
        return Plan(dict.fromkeys(steps, (0, 1.0)))
    numbers = sorted(method.ceiling or steps)
    factors = list(method.tried) if validation and max(numbers) else []
    if not factors:
        return Plan({k: (max(numbers) if method.ceiling else k, 1.0) for k in steps})
    told = _told(f"{method.name}: rates", len(factors) * len(validation), progress)
    means = np.stack([method.nats(validation, numbers, factor, told).mean(axis=0) for factor in factors])
    if method.ceiling:
        row, column = np.unravel_index(means.argmin(), means.shape)
        return Plan(dict.fromkeys(steps, (numbers[column], factors[row])), len(factors))
    best = {k: factors[means[:, at].argmin()] for at, k in enumerate(numbers)}
    if 0 in best:  # the same at every rate: it comes with the way of the fewest steps
        best[0] = best[min(k for k in numbers if k)]
    return Plan({k: (k, best[k]) for k in steps}, len(factors))


def _told(what: str, of: int, progress: Progress | None) -> Callable[[], None]:
    """What counts up each time it is called."""
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(what, done, of)

    return told
