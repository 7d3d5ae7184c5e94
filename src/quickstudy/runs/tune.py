"""`tune`: tries a recipe with other values of a few settings, as often as the budget allows, and keeps the best."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from quickstudy.atomic import write_atomically
from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.evaluate import Progress, evaluate
from quickstudy.folder import alone
from quickstudy.runs.build import build_learner, train_episodes, validation_episodes
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.suggestions import Settings, as_it_stands, changed, need_optuna, space_of, suggest
from quickstudy.runs.train import train
from quickstudy.runs.trials import Found, Trial, lines_of, read_trials, seconds_in
from quickstudy.runs.yaml_positions import Dumper

Tell = Callable[[Trial, Found], None]
"""Called after each trial with it, and with all that is known by then."""


def tune(
    recipe: Recipe,
    out: str | Path,
    *,
    trials: int = 20,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Found:
    """Trains a recipe with different values of what its `tune:` names; each trial is an ordinary run.

    All trials are judged on the same validation tasks, and which values come next depends on the recipe's seed and on what
    was tried before alone. A search that was killed therefore goes on, once resumed, as if it had not been. Of all runs but
    the best, the weights are removed.

    Args:
        recipe: trial 0 is the recipe as it stands.
        out: the folder: `search.yaml` (the recipe), `trials.jsonl` (a line a trial), `trials/000` (runs), `best.yaml`.
        trials: the budget, those of earlier sessions included.
        resume: goes on with the search in this folder, starts where there is none.
        device: where it computes, as for `train`.
        progress: told of steps within a trial, and of trials.
        tell: told of each trial.

    Raises:
        QuickstudyError: nothing to try or something that cannot be tried, a recipe that cannot be built, a folder that is in
            the way, a full disk, no trial with a score, or the search was stopped (Ctrl-C, SIGTERM) after saving its state.
    """
    out = Path(out)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise QuickstudyError("a search runs in one process: start it without torchrun")
    need_optuna()
    search = _Search(recipe, space_of(recipe), out, device, progress)
    if recipe.validation is None:
        raise recipe.problem("trials are compared by their validation score, and validation is null", ("validation",))
    with alone(out):
        found = Found(search.check(resume=resume))
        if len(found.trials) < trials:
            search.begin()
        while len(found.trials) < trials:
            if progress:
                progress("trials", len(found.trials), trials)
            settings = search.next(found)
            if settings is None:
                found.exhausted = True
                break
            found.trials.append(search.attempt(len(found.trials), settings))
            search.log(found)
            if tell:
                tell(found.trials[-1], found)
        search.keep_best(found)
        if progress:
            progress("trials", len(found.trials), len(found.trials))
        if found.best is None:
            raise QuickstudyError(f"{out}: none of {len(found.trials)} trials has a score; the first: {found.trials[0].error}")
        return found


@dataclass
class _Search:
    """A search in its folder."""

    recipe: Recipe
    space: dict[str, Any]
    out: Path
    device: str
    progress: Progress | None

    def check(self, *, resume: bool) -> list[Trial]:
        """Makes sure that this folder may be searched in, and gives the trials that are in it. Writes nothing."""
        path, out = self.out / "search.yaml", self.out
        there = {entry.name for entry in out.iterdir()} - {".search.yaml.part"}
        if there and not resume:
            raise QuickstudyError(f"{out} is not empty; go on with its search by --resume, or give another name")
        if there and not path.is_file():
            raise QuickstudyError(f"{out} is not empty and no search, so there is nothing to resume; give another name")
        if there:
            self._same(path)
        return read_trials(out / "trials.jsonl", self.space)

    def begin(self) -> None:
        """Makes the folder, once it is clear that what fails from here on fails by a trial's settings."""
        with torch.random.fork_rng(devices=[]):
            train_episodes(self.recipe)
            evaluate(build_learner(self.recipe).eval(), validation_episodes(self.recipe)[:1])
        if not (self.out / "search.yaml").is_file():
            self._write(self.out / "search.yaml", _yaml(self._plain(self.recipe)), remedy="give another --out")

    def next(self, found: Found) -> Settings | None:
        """The settings of the next trial."""
        if not found.trials:
            return as_it_stands(self.recipe, self.space)
        history = [(trial.settings, trial.score) for trial in found.trials]
        return suggest(self.space, history, seed=self.recipe.seed, larger=found.larger)

    def attempt(self, number: int, settings: Settings) -> Trial:
        """One run; goes on with what a killed session left of it."""
        folder = self._folder(number)
        begun, before = time.perf_counter(), seconds_in(folder / "log.txt")
        score = metric = error = None
        try:
            summary = train(
                changed(self.recipe, settings) if number else self.recipe,
                folder,
                resume=True,
                device=self.device,
                progress=lambda step, steps, _: self.progress("steps of this trial", step, steps) if self.progress else None,
                processes=Processes(),
            )
            score, metric = summary["best"], summary["metric"]
            if not math.isfinite(score):
                error = f"the best validation {metric} is {score}"
        except QuickstudyError as problem:
            if str(problem).startswith(f"{folder}: stopped at step "):
                raise QuickstudyError(f"{self.out}: stopped in trial {number}, which is saved; go on with --resume") from None
            if isinstance(problem.__cause__, OSError):  # a full disk says nothing about the settings
                raise
            error = str(problem).removeprefix(f"{folder}: ").partition("; ")[0]  # the remedy is for who trains by hand
        seconds = round(before + time.perf_counter() - begun, 1)
        if error is not None:
            return Trial(number, settings, None, None, seconds, "failed", error)
        return Trial(number, settings, score, metric, seconds, "done")

    def log(self, found: Found) -> None:
        """Puts all trials on the disk, whole, then lets go of what is not needed any more."""
        self._write(self.out / "trials.jsonl", lines_of(found.trials))
        self.keep_best(found)

    def keep_best(self, found: Found) -> None:
        """Removes the weights of all runs but the best and writes `best.yaml`; does nothing where that was done."""
        for trial in found.trials:
            for weights in ("checkpoint", "learner"):
                if trial is not found.best:
                    shutil.rmtree(self._folder(trial.number) / weights, ignore_errors=True)
        if found.best is None:
            return
        path, best = self.out / "best.yaml", self.recipe
        if found.best.number:
            best = changed(self.recipe, found.best.settings)
        if not path.is_file() or Recipe.read(path).plain() != best.plain():
            self._write(path, _yaml(best.plain()))

    def _same(self, path: Path) -> None:
        """Scores from another recipe are no part of this search."""
        mine, theirs = _leaves(self._plain(self.recipe)), _leaves(self._plain(Recipe.read(path)))
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                here, there = (json.dumps(side[key]) if key in side else "not set" for side in (mine, theirs))
                remedy = "a search goes on with its own recipe, so change it back or give another --out"
                raise self.recipe.problem(f"{'.'.join(key)} is {here}, but {there} in {path}; {remedy}", key)

    def _folder(self, number: int) -> Path:
        return self.out / "trials" / f"{number:03d}"

    def _plain(self, recipe: Recipe) -> dict[str, Any]:
        return {**recipe.plain(), "tune": recipe.tune.model_dump(mode="json") if recipe.tune else {}}

    def _write(self, path: Path, payload: bytes, *, remedy: str = "make room on the disk, then go on with --resume") -> None:
        try:
            write_atomically(path, payload)
        except OSError as error:
            raise QuickstudyError(f"{path} could not be written ({error.strerror or error}); {remedy}") from error


def _yaml(plain: dict[str, Any]) -> bytes:
    return yaml.dump(plain, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120).encode()


def _leaves(plain: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """What the recipe says, by part and key."""
    parts = {part: inner if isinstance(inner, dict) else {None: inner} for part, inner in plain.items()}
    return {(part, key) if key else (part,): value for part, inner in parts.items() for key, value in inner.items()}
