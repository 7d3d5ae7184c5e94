"""Runs of recipes/text/banking77-proto.yaml on the test classes of their folds, beside Centroid on the plain encoder.

for fold in 1 2 3 4 5; do quickstudy train recipes/text/banking77-proto.yaml --out runs/b77-$fold --set data.fold=$fold; done
python benchmarks/banking77.py runs/b77-*     (600 episodes: 5 ways, 5 queries; 1 shot, 5 shots, 1 shot and the name;
                                              100 of them where learning a task moves the encoder)
"""

from __future__ import annotations

import json
import sys

import torch

from quickstudy import Centroid, Episodes, models
from quickstudy.evaluation.evaluate import evaluate
from quickstudy.runs.build import data_part
from quickstudy.runs.opening import open_run
from quickstudy.tasks.names import readable

SETTINGS = ({"shots": 1}, {"shots": 5}, {"shots": 1, "names": True})


def main(runs: list[str]) -> None:
    torch.set_num_threads(1)
    plain = models.load("minilm")
    for run in runs:
        recipe, learner = open_run(run)
        pool = data_part(recipe, "test")
        sentences = [*pool.texts, *map(readable, pool.classes)]
        with plain.remember(plain.memory(sentences)), learner.model.remember(learner.model.memory(sentences)):
            for setting in SETTINGS:
                tasks = Episodes(pool, ways=5, queries=5, tasks=600 if learner.frozen_features else 100, seed=0, **setting)
                result = evaluate(learner, tasks, baselines=[Centroid(plain)])
                row = {"fold": recipe.data.fold, "seed": recipe.seed, **setting, "hash": result["episodes"]["hash"]}
                row["episodes"] = result["results"][0]["count"]
                row |= {r["learner"]: round(100 * r["mean"], 2) for r in result["results"]}
                row["difference"] = [round(100 * x, 2) for x in result["comparisons"][0]["ci95"]]
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
