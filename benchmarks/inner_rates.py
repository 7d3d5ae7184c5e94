"""Whether ANIL's loss to Centroid at five shots is its inner rate, which was chosen at one: the rate chosen anew at five shots.

python benchmarks/inner_rates.py RUN...      (runs of `anil` by benchmarks/learners.py: OUT/anil-4/trials/000, say)

Nothing is trained: the rate of the inner loop alone is chosen, on 60 tasks of the validation classes with five shots, and judged
on the same 100 episodes of the test classes as the run was.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

from quickstudy import ANIL, Centroid, Episodes, models
from quickstudy.evaluation.evaluate import evaluate
from quickstudy.runs.build import data_part
from quickstudy.runs.opening import open_run

RATES = (2.5, 5.0, 10.0, 20.0)


def main(runs: list[str]) -> None:
    torch.set_num_threads(1)
    plain = models.load("minilm")
    for run in runs:
        recipe, learner = open_run(run)
        learners = {rate: ANIL(learner.model, rate, inner_steps=learner.inner_steps).eval() for rate in RATES}
        kind: dict[str, Any] = {"ways": 5, "shots": 5, "queries": 5}
        choosing = Episodes(data_part(recipe, "valid"), **kind, tasks=60, seed=1)
        scores = {rate: evaluate(each, choosing)["results"][0]["mean"] for rate, each in learners.items()}
        chosen = max(scores, key=lambda rate: scores[rate])
        result = evaluate(
            learners[chosen], Episodes(data_part(recipe, "test"), **kind, tasks=100, seed=0), baselines=[Centroid(plain)]
        )
        row = {
            "fold": recipe.data.fold,
            "choosing": {str(rate): round(100 * score, 2) for rate, score in scores.items()},
            "rate": chosen,
        }
        row |= {"hash": result["episodes"]["hash"], **{r["learner"]: round(100 * r["mean"], 2) for r in result["results"]}}
        print(json.dumps(row | {"difference": [round(100 * x, 2) for x in result["comparisons"][0]["ci95"]]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
