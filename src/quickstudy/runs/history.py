"""How a run's score on its validation tasks went with the tasks that it had learned from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quickstudy.runs.recipe import Recipe
from quickstudy.runs.record import RunFolder


def validation_curve(folder: str | Path) -> list[dict[str, Any]]:
    """For each validation of a run `{"tasks", "metric", "mean", "ci95", "of"}`, in order; none where its recipe asks for none.

    `tasks` are those that it had been meta-trained on by then, 0 before the first step; `of` is how many validation tasks the
    mean is over. A run keeps their mean alone, so `ci95` is None.
    """
    run = RunFolder(Path(folder))
    recipe = Recipe.read(run.recipe)
    if recipe.validation is None or not run.metrics.is_file():
        return []
    points = []
    for line in run.metrics.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a kill cut the last line
            break
        for metric, mean in list(row.get("validation", {}).items())[:1]:
            tasks = row["step"] * recipe.episodes.tasks
            points.append({"tasks": tasks, "metric": metric, "mean": mean, "ci95": None, "of": recipe.validation.episodes})
    return points
