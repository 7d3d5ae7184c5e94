"""Character n-grams on Chinese: the prior head beside other heads on the same features.

python benchmarks/ngrams.py     (tnews at 5 and 10 shots, csldcp at 5; four draws, 20 queries a label, seed 0)
"""

from __future__ import annotations

import json

import torch

from quickstudy import Centroid, Default, Episodes, LogisticProbe, NearestNeighbours, PriorHead, Ridge, evaluate, models
from quickstudy.tasks.named import select_part


def main() -> None:
    torch.set_num_threads(1)
    model = models.load("ngrams")
    for name, shots in (("tnews", 5), ("tnews", 10), ("csldcp", 5)):
        pool, support = select_part(name)
        tasks = Episodes(pool, ways="all", shots=shots, queries=20, tasks=4, seed=0, support=support)
        others = [kind(model) for kind in (Default, LogisticProbe, Centroid, Ridge, NearestNeighbours)]
        result = evaluate(PriorHead(model), tasks, baselines=others)
        row = {"set": name, "shots": shots, "hash": result["episodes"]["hash"]}
        row |= {each["learner"]: round(100 * each["mean"], 1) for each in result["results"]}
        against = next(each for each in result["comparisons"] if each["against"] == "LogisticProbe")
        row["PriorHead minus LogisticProbe"] = [round(100 * x, 2) for x in (against["difference"], *against["ci95"])]
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
