"""What a search knows: its trials, and their lines in `trials.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.evaluate import LOWER_IS_BETTER
from quickstudy.runs.suggestions import Settings


@dataclass(frozen=True)
class Trial:
    """One try, and its line in `trials.jsonl`.

    Args:
        number: from 0, which is the recipe as it stands.
        settings: dotted key -> value; None in trial 0 for what the recipe does not set.
        score: the best score on the validation tasks; None where the trial failed.
        metric: what the score is; None where the trial failed.
        seconds: what it cost, sessions that were killed included.
        state: "done" or "failed".
        error: why it failed.
    """

    number: int
    settings: Settings
    score: float | None
    metric: str | None
    seconds: float
    state: str
    error: str | None = None


@dataclass
class Found:
    """What a search has found so far.

    Args:
        trials: all, in order.
        exhausted: whether every combination was tried before the budget was spent.
    """

    trials: list[Trial]
    exhausted: bool = False

    @property
    def metric(self) -> str | None:
        """What the scores are; None as long as every trial failed."""
        return next((trial.metric for trial in self.trials if trial.score is not None), None)

    @property
    def best(self) -> Trial | None:
        """The trial with the best score, the first among equals."""
        sign = -1 if self.larger else 1
        scored = [(sign * trial.score, trial.number) for trial in self.trials if trial.score is not None]
        return self.trials[min(scored)[1]] if scored else None

    @property
    def larger(self) -> bool:
        """Whether a larger score is better."""
        return self.metric not in LOWER_IS_BETTER

    @property
    def seconds(self) -> float:
        """What all trials cost."""
        return sum(trial.seconds for trial in self.trials)


def lines_of(trials: list[Trial]) -> bytes:
    """One JSON object a trial; `error` only where there is one."""
    rows = [{key: value for key, value in asdict(trial).items() if key != "error" or value} for trial in trials]
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def read_trials(path: Path, keys: Collection[str]) -> list[Trial]:
    """The trials in a file; none where there is no file.

    Args:
        path: `trials.jsonl`.
        keys: the dotted keys that the search tries.

    Raises:
        QuickstudyError: a line that is not that of the trial whose turn it is.
    """
    trials: list[Trial] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            trial = Trial(**json.loads(line))
            good = trial.number == len(trials) and set(trial.settings) == set(keys)
            good = good and (trial.score is None or isinstance(trial.score, float)) and isinstance(trial.seconds, (int, float))
        except (ValueError, TypeError):
            good = False
        if not good:
            remedy = "remove this line and all after it, and --resume tries them again"
            raise QuickstudyError(f"{path}:{len(trials) + 1}: not the line of trial {len(trials)}; {remedy}")
        trials.append(trial)  # pyright: ignore[reportPossiblyUnboundVariable]
    return trials


def seconds_in(log: Path) -> float:
    """What earlier sessions of a run cost, from the times in its log; a clock that was put back counts as one that stood."""
    seconds, last = 0.0, None
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
        when, _, what = line.partition(" ")
        try:
            now = datetime.fromisoformat(when)
        except ValueError:  # a kill cut the line off
            continue
        if last is not None and not what.startswith("from step"):
            seconds += max((now - last).total_seconds(), 0.0)
        last = now
    return seconds
