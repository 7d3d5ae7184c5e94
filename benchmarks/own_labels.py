"""Runs of recipes/text/own-labels.yaml on the test classes of their folds: the adapted encoder against the plain one.

for fold in 1 2 3 4 5; do
    quickstudy train own-labels --data banking77 --set data.fold=$fold --out runs/own-$fold
done
python benchmarks/own_labels.py runs/own-*     (all test classes at once, their names among the examples; 1 and 5 shots, seed 0)

Or the runs of recipes/text/banking77-proto.yaml, whose strength is 1 and whose test classes nobody has seen.

The same head, the prior one, on both; 20 draws of the shots, all other sentences asked. The interval is that of the gate, over
classes. A run that kept nothing is the plain encoder, and its gain is 0; the strength is chosen and judged on these classes too
(other draws of them), so that the gain of one that kept something is a little flattered.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from quickstudy import Episodes, models
from quickstudy.runs.build import data_part
from quickstudy.runs.opening import open_run
from quickstudy.runs.strength import rights, weigh

SHOTS = (1, 5)
DRAWS = 20


def main(runs: list[str]) -> None:
    torch.set_num_threads(1)
    for run in runs:
        recipe, learner = open_run(run)
        judged = json.loads((Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        judged = judged.get("strength") or {"chosen": 1.0, "strength": 1.0}  # a run whose recipe chooses none keeps all
        plain = models.load(str(recipe.model.name))
        row = {"fold": recipe.data.fold, "seed": recipe.seed, "chosen": judged["chosen"], "strength": judged["strength"]}
        for shots in SHOTS:
            episodes = Episodes(
                data_part(recipe, "test"), ways="all", shots=shots, queries="all", tasks=DRAWS, seed=0, names=True
            )
            tasks = episodes[0]
            with torch.no_grad():
                found = weigh([1], tasks, {0: rights(plain, tasks), 1: rights(learner.model, tasks)})
            low, high = (f"{100 * end:+.2f}" for end in found["ci95"])
            numbers = {name: round(100 * found[name], 2) for name in ("plain", "adapted")}
            gain = f"{100 * found['gain']:+.2f} ({low} to {high})"
            row |= {"shots": shots, "ways": found["classes"], **numbers, "gain": gain, "hash": episodes.hash}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
