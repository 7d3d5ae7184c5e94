"""What a run writes as it goes: its folder, `metrics.jsonl` and `log.txt`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from quickstudy.atomic import write_atomically
from quickstudy.errors import QuickstudyError
from quickstudy.models.device import name_of
from quickstudy.runs.recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run: `recipe.yaml`, `metrics.jsonl`, `log.txt`, `checkpoint/`, `learner/`."""

    path: Path

    @property
    def recipe(self) -> Path:
        """What decides how the run comes out."""
        return self.path / "recipe.yaml"

    @property
    def metrics(self) -> Path:
        """One JSON object a line; the same for every run of a recipe, byte for byte."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """All that is needed to go on."""
        return self.path / "checkpoint" / "state.safetensors"

    @property
    def learner(self) -> Path:
        """The best learner so far."""
        return self.path / "learner" / "learner.safetensors"

    def check(self, recipe: Recipe, *, resume: bool) -> None:
        """Makes sure that this folder may be trained into. Writes nothing.

        Raises:
            QuickstudyError: it is not empty; to resume, it is no run or that of another recipe.
        """
        there = {entry.name for entry in self.path.iterdir()} - {".recipe.yaml.part"}
        if there and not resume:
            raise QuickstudyError(f"{self.path} is not empty; go on with its run by --resume, or give another name")
        if there and not self.recipe.is_file():
            raise QuickstudyError(f"{self.path} is not empty and no run, so there is nothing to resume; give another name")
        if there:
            self._same(recipe)

    def begin(self, recipe: Recipe, step: int, device: torch.device) -> None:
        """Makes the folder ready to go on after a step: what the metrics hold of later ones is cut off.

        Raises:
            QuickstudyError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.recipe.is_file():
                recipe.write(self.recipe)
            write_atomically(self.metrics, b"".join(_lines_until(self.metrics, step)))
        except OSError as error:
            raise QuickstudyError(f"{self.path} cannot be written to ({error.strerror or error}); give another --out") from error
        self.log(f"from step {step}, on {name_of(device)}")

    def metric(self, values: Mapping[str, Any]) -> None:
        """Adds a line to the metrics."""
        self._append(self.metrics, json.dumps(values) + "\n")

    def log(self, what: str) -> None:
        """Adds a line with the time to the log."""
        self._append(self.path / "log.txt", f"{datetime.now().astimezone().isoformat(timespec='seconds')} {what}\n")

    def settle(self) -> None:
        """Forces the metrics to the disk, so that they are never behind a checkpoint."""
        with open(self.metrics, "rb") as file:
            os.fsync(file.fileno())

    def _append(self, path: Path, text: str) -> None:
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            last = "the last checkpoint is still good" if self.checkpoint.exists() else "there is no checkpoint yet"
            why, remedy = error.strerror or error, "make room on the disk, then go on with --resume"
            raise QuickstudyError(f"{path} could not be written ({why}); {last}: {remedy}") from error

    def _same(self, recipe: Recipe) -> None:
        mine, theirs = _flat(recipe.plain()), _flat(Recipe.read(self.recipe).plain())
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                here, there = (json.dumps(side[key]) if key in side else "not set" for side in (mine, theirs))
                remedy = "a run goes on with its own recipe, so change it back or give another --out"
                raise recipe.problem(f"{key} is {here}, but {there} in {self.recipe}; {remedy}", tuple(key.split(".")))


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    inner = {f"{prefix}.{key}" if prefix else key: value for key, value in values.items()}
    return {name: leaf for key, value in inner.items() for name, leaf in _flat(value, key).items()}


def _lines_until(path: Path, step: int) -> list[bytes]:
    """The lines up to a step. A kill may have cut the last one, and a power cut may have left anything after the checkpoint."""
    kept: list[bytes] = []
    if step == 0 or not path.is_file():
        return kept
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
        except (ValueError, TypeError, KeyError):
            break
        kept.append(line)
    return kept
