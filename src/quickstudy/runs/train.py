"""`train`: the outer loop of a run, which can be killed at any moment and goes on as if it had not been."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.evaluate import LOWER_IS_BETTER, evaluate
from quickstudy.folder import alone
from quickstudy.inner.diverged import Diverged
from quickstudy.learners.base import Learner
from quickstudy.models.device import chosen
from quickstudy.runs import checkpoint, strength
from quickstudy.runs.build import build_learner, train_episodes, validation_episodes
from quickstudy.runs.outer import NotFinite, OuterLoop
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.record import RunFolder
from quickstudy.runs.signals import noted
from quickstudy.tasks.task import Task

PATIENCE = 10
"""After so many skipped steps in a row a run stops. One that ends with so many, or half of a shorter one, has failed."""
Progress = Callable[[int, int, dict[str, Any]], None]
"""Called after each outer step with its number, how many there are, and `{"loss", "lr", ...}`; `skipped`: steps so far."""


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Meta-trains a learner and leaves a run folder.

    Each step depends on the recipe, its number and the state before it alone, so a run that was killed ends, once
    resumed, with the same bytes in `learner/`, `checkpoint/` and `metrics.jsonl` as one that never was (on a processor; a GPU
    adds up in an order of its own).

    A step whose loss or gradient is not finite is skipped: nothing moves, `metrics.jsonl` counts it, `log.txt` says which task
    and which inner step. After ten in a row the run stops, with its state saved; --resume goes on with the next tasks.

    Args:
        recipe: decides everything; a Python file that it names as learner is executed.
        out: the run folder; must be absent or empty, except to resume.
        resume: goes on from the last checkpoint, starts where there is none, and does nothing on a finished run.
        device: where it computes: auto (the GPU where there is one), cpu, cuda, cuda:1.
        processes: those that share each step's tasks; by default those that torchrun started.

    Returns:
        `{"steps", "skipped", "finished", "metric", "best", "best_step", "strength"}`; None without validation, and without
        `strength` (what `strength.judge` found) in the recipe.

    Raises:
        QuickstudyError: a recipe that cannot be built, a folder that is in the way or that another run writes into, a full
            disk, or the run was stopped after saving its state, by ten skipped steps in a row, Ctrl-C or SIGTERM.
    """
    with Processes.join() if processes is None else nullcontext(processes) as together:
        folder = RunFolder(Path(out))
        with ExitStack() as held, torch.random.fork_rng(devices=[]):
            together.first(lambda: held.enter_context(alone(folder.path)))
            return _train(recipe, folder, together, resume, device, progress)


def _train(
    recipe: Recipe, folder: RunFolder, together: Processes, resume: bool, device: str, progress: Progress | None
) -> dict[str, Any]:
    """A training in a folder that nobody else writes into."""
    together.first(lambda: folder.check(recipe, resume=resume))
    kept = together.first(lambda: _kept(folder, resume))
    if kept and kept[1]["finished"]:
        if kept[1].get("strength"):
            together.first(lambda: strength.apply(folder, kept[1]["strength"]))
        return _summary(recipe, kept[1])
    if recipe.strength:
        strength.check(recipe)
    place = chosen(device)
    learner, episodes, validation = build_learner(recipe).to(place), train_episodes(recipe), validation_episodes(recipe)
    if recipe.strength:
        strength.check_learner(recipe, learner)
    run = _Run(recipe, folder, learner, validation, OuterLoop(learner, recipe, together), together)
    if kept:
        run.restore(*kept)
    elif validation:  # shows that model and tasks fit each other before anything is written
        together.first(lambda: evaluate(learner.eval(), validation[:1]))
    together.first(lambda: folder.begin(recipe, run.step, place))
    with noted() as caught:
        return run.go(episodes, caught, progress)


@dataclass
class _Run:
    """A training under way."""

    recipe: Recipe
    folder: RunFolder
    learner: Learner
    validation: Sequence[Task]
    outer: OuterLoop
    processes: Processes
    step: int = 0
    best: dict[str, Any] | None = None
    skipped: int = 0
    in_a_row: int = 0
    why: str = ""
    strength: dict[str, Any] | None = None

    def go(self, episodes: Any, caught: list[int], progress: Progress | None) -> dict[str, Any]:
        """The steps that are left."""
        recipe, steps = self.recipe, self.recipe.steps
        if self.step == 0:
            self._validate()
        while self.step < steps:
            self.step += 1
            numbers: dict[str, Any] = self._moved(episodes)
            last = self.step == steps
            if recipe.validation and (last or self.step % recipe.validation.every == 0):
                numbers |= self._validate()
            if progress:
                progress(self.step, steps, numbers)
            if self.in_a_row and (self.in_a_row % PATIENCE == 0 or (last and self.in_a_row >= min(PATIENCE, steps / 2))):
                self._give_up()
            if last and recipe.strength:
                self.strength = self.processes.first(self._weigh)
            stop = bool(self.processes.total(len(caught)))
            if last or stop or self.step % recipe.checkpoint_every == 0:
                self._save(finished=last)
            if stop and not last:
                raise QuickstudyError(f"{self.folder.path}: stopped at step {self.step} of {steps}; go on with --resume")
        if found := self.strength:  # the checkpoint holds it by now, so that a kill before or in this leaves it to --resume
            self.processes.first(lambda: strength.apply(self.folder, found))
        return _summary(recipe, {"best": self.best, "step": self.step, "skipped": self.skipped, "strength": self.strength})

    def restore(self, tensors: checkpoint.Tensors, facts: dict[str, Any]) -> None:
        """Takes over the state of a checkpoint."""
        path, remedy = self.folder.checkpoint, _remedy(self.folder)
        checkpoint.put_learner(self.learner, checkpoint.part("learner", tensors), facts, path, remedy=remedy)
        if self.outer.optimizer is not None:
            checkpoint.put_optimizer(self.outer.optimizer, checkpoint.part("optimizer", tensors))
        torch.set_rng_state(tensors["random/torch"])
        self.step, self.best = facts["step"], facts["best"]
        self.skipped, self.in_a_row = facts.get("skipped", 0), facts.get("in_a_row", 0)

    def _moved(self, episodes: Any) -> dict[str, Any]:
        """One outer step, and its line in the metrics; a skipped one moves nothing and is counted."""
        numbers: dict[str, Any]
        try:
            numbers = self.outer.step(self.step - 1, episodes[self.step - 1])
            self.in_a_row = 0
        except NotFinite as error:
            self.skipped, self.in_a_row, self.why = self.skipped + 1, self.in_a_row + 1, str(error)
            numbers = {"loss": None, "lr": self.outer.rate(self.step - 1), "skipped": self.skipped}
            line = f"step {self.step}: skipped ({self.skipped} so far, {self.in_a_row} in a row): {error}"
            self.processes.first(lambda: self.folder.log(line))
        self.processes.first(lambda: self.folder.metric({"step": self.step, **numbers}))
        return numbers | ({"skipped": float(self.skipped)} if self.skipped else {})

    def _give_up(self) -> None:
        """Stops with the state saved, so that --resume has further tasks to try; after the last step there are none."""
        step, steps = self.step, self.recipe.steps
        if step < steps:
            self._save(finished=False)
        on = "--resume goes on with the next tasks, and other settings" if step < steps else "other settings"
        what = f"{self.in_a_row} outer steps in a row were skipped, the last at step {step} of {steps}: {self.why}"
        raise QuickstudyError(f"{self.folder.path}: {what}; {on} need another --out")

    def _validate(self) -> dict[str, float]:
        """Scores the learner on the validation tasks and keeps it if it is the best; in process 0."""
        return self.processes.first(self._judge) if self.validation else {}

    def _judge(self) -> dict[str, float]:
        self.learner.progress = self.step / self.recipe.steps
        try:
            results = evaluate(self.learner.eval(), self.validation)["results"]
        except Diverged as error:
            if self.best is None:  # before the first step, where nothing is lost yet
                raise
            self.folder.metric({"step": self.step, "validation": None})
            self.folder.log(f"step {self.step}: validation without a score: {error}")
            return {}
        scores = {result["metric"]: result["mean"] for result in results}
        self.folder.metric({"step": self.step, "validation": scores})
        metric, score = next(iter(scores.items()))
        if self.best is None or _rank(metric, score) > _rank(metric, self.best["score"]):
            self.best = {"metric": metric, "score": score, "step": self.step}
            self._write_learner()
        best = f"best {self.best['score']:.4f} at step {self.best['step']}"
        self.folder.log(f"step {self.step}: validation {metric} {score:.4f}, {best}")
        return {f"validation {name}": value for name, value in scores.items()}

    def _weigh(self) -> dict[str, Any]:
        """Judges the last learner: the validation classes choose how much of it is kept, so they choose no step."""
        self._write_learner()
        return strength.judge(self.recipe, self.folder, self.validation, self.step)

    def _write_learner(self) -> None:
        facts = {"learner": type(self.learner).__name__, "step": self.step, "best": self.best}
        checkpoint.write(self.folder.learner, checkpoint.learner_tensors(self.learner), facts)

    def _save(self, *, finished: bool) -> None:
        """Writes the checkpoint, and the last learner as the best where nothing was validated."""

        def write() -> None:
            if finished and self.best is None:
                self._write_learner()
            tensors = checkpoint.prefixed("learner", checkpoint.learner_tensors(self.learner))
            if self.outer.optimizer is not None:
                tensors |= checkpoint.prefixed("optimizer", checkpoint.optimizer_tensors(self.outer.optimizer))
            tensors["random/torch"] = torch.get_rng_state()
            facts = {"learner": type(self.learner).__name__, "step": self.step, "best": self.best, "finished": finished}
            if self.skipped:
                facts |= {"skipped": self.skipped, "in_a_row": self.in_a_row}
            if self.strength:
                facts["strength"] = self.strength
            self.folder.settle()
            checkpoint.write(self.folder.checkpoint, tensors, facts)
            self.folder.log(f"step {self.step}: checkpoint" + (", finished" if finished else ""))

        self.processes.first(write)


def _kept(folder: RunFolder, resume: bool) -> tuple[checkpoint.Tensors, dict[str, Any]] | None:
    """The last checkpoint, if there is one to go on from."""
    return checkpoint.read(folder.checkpoint, remedy=_remedy(folder)) if resume and folder.checkpoint.exists() else None


def _remedy(folder: RunFolder) -> str:
    return f"remove the folder {folder.checkpoint.parent} to train from the start with --resume"


def _summary(recipe: Recipe, facts: dict[str, Any]) -> dict[str, Any]:
    best = facts["best"] or {"metric": None, "score": None, "step": None}
    found = {"metric": best["metric"], "best": best["score"], "best_step": best["step"], "strength": facts.get("strength")}
    return {"steps": facts["step"], "skipped": facts.get("skipped", 0), "finished": True, **found}


def _rank(metric: str, score: float) -> float:
    """Larger is better; what is no number is worst."""
    return -math.inf if math.isnan(score) else (-score if metric in LOWER_IS_BETTER else score)
