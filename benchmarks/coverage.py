"""Whether the accuracy that `quickstudy adapt` prints is right as often as it says: 400 tasks of 40 sentences.

python benchmarks/coverage.py [SEED]     (100 tasks from each of four data sets; 8 labels with 5 sentences each, or 5 with 8)
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import torch

from quickstudy import Episodes, models
from quickstudy.evaluation.held_out import held_out_accuracy
from quickstudy.learners.default import Default
from quickstudy.learners.prior_head import Prior
from quickstudy.tasks.named import named
from quickstudy.tasks.names import readable

SETS = ("banking77", "clinc150", "reuters_fewshot", "amazon_fewshot")
SHAPES = ((8, 5, 50), (5, 8, 50))
"""Labels, sentences for each, tasks."""


def main() -> None:
    torch.set_num_threads(1)
    tasks_seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    encoder, rows = models.load("minilm"), []
    for name in SETS:
        table = named(name)
        learner = Default(encoder, prior=Prior.shipped(without=name))
        with encoder.remember(encoder.memory([*table.texts, *map(readable, table.classes)])):
            for ways, shots, count in SHAPES:
                for task in Episodes(table, ways=ways, shots=shots, queries=50, tasks=count, seed=tasks_seed)[0]:
                    estimate = held_out_accuracy(learner, replace(task.support, seed=0))
                    assert estimate.interval is not None
                    low, high = estimate.interval
                    truth = task.score(learner.adapt(task.support))["accuracy"]
                    rows.append((name, estimate.accuracy, low, high, truth))
            of_set = np.array([row[1:] for row in rows if row[0] == name])
            print(json.dumps({"set": name, "seed": tasks_seed, **_summary(of_set)}), flush=True)
    print(json.dumps({"set": "all", "seed": tasks_seed, **_summary(np.array([row[1:] for row in rows]))}), flush=True)


def _summary(rows: np.ndarray) -> dict[str, float]:
    estimate, low, high, truth = rows.T
    return {
        "tasks": len(rows),
        "covers": round(100 * float(((low <= truth) & (truth <= high)).mean()), 1),
        "truth above": round(100 * float((truth > high).mean()), 1),
        "truth below": round(100 * float((truth < low).mean()), 1),
        "median width": round(100 * float(np.median(high - low)), 1),
        "estimate minus truth": round(100 * float((estimate - truth).mean()), 2),
    }


if __name__ == "__main__":
    main()
