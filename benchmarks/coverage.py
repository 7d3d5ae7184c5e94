"""Whether the accuracy that `quickstudy adapt` prints is right as often as it says: 400 tasks of 40 sentences.

python benchmarks/coverage.py OUT [SEED [SET ...]]     (seed 0, four sets; a line a task, resumable)

100 tasks from each set; 8 labels with 5 sentences each, or 5 with 8; judged on up to 50 other sentences a label.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quickstudy import Episodes, models
from quickstudy.evaluation.held_out import Estimate, held_out_accuracy
from quickstudy.learners.default import Default
from quickstudy.learners.prior_head import Prior
from quickstudy.tasks.named import named
from quickstudy.tasks.names import readable

SETS = ("banking77", "clinc150", "reuters_fewshot", "amazon_fewshot")
SHAPES = ((8, 5, 50), (5, 8, 50))
"""Labels, sentences for each, tasks."""


def main(out: Path, tasks_seed: int = 0, sets: Sequence[str] = SETS) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    encoder, every = models.load("minilm"), []
    for name in sets or SETS:
        file = out / f"{name}-{tasks_seed}.jsonl"
        done = len(file.read_text(encoding="utf-8").splitlines()) if file.is_file() else 0
        table = named(name)
        learner = Default(encoder, prior=Prior.shipped(without=name))
        tasks = [
            task
            for ways, shots, count in SHAPES
            for task in Episodes(table, ways=ways, shots=shots, queries=50, tasks=count, seed=tasks_seed)[0]
        ]
        with (
            encoder.remember(encoder.memory([*table.texts, *map(readable, table.classes)]))
            if done < len(tasks)
            else nullcontext()
        ):
            for task in tasks[done:]:
                estimate = held_out_accuracy(learner, replace(task.support, seed=0))
                truth = task.score(learner.adapt(task.support))["accuracy"]
                row = {"correct": estimate.correct, "judged": estimate.judged, "folds": estimate.folds, "truth": truth}
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(row) + "\n")
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        every += rows
        print(json.dumps({"set": name, "seed": tasks_seed, **_summary(rows)}), flush=True)
    print(json.dumps({"set": "all", "seed": tasks_seed, **_summary(every)}), flush=True)


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    estimates = [Estimate(row["correct"], row["judged"], row["folds"], []) for row in rows]
    low, high = np.array([estimate.interval for estimate in estimates]).T
    estimate, truth = np.array([[one.accuracy, row["truth"]] for one, row in zip(estimates, rows, strict=True)]).T
    return {
        "tasks": len(rows),
        "covers": round(100 * float(((low <= truth) & (truth <= high)).mean()), 1),
        "truth above": round(100 * float((truth > high).mean()), 1),
        "truth below": round(100 * float((truth < low).mean()), 1),
        "median width": round(100 * float(np.median(high - low)), 1),
        "estimate minus truth": round(100 * float((estimate - truth).mean()), 2),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, sys.argv[3:])
