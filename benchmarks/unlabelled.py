"""An adapter from text without labels (recipes/text/unlabelled.yaml) beside Centroid on the plain encoder, on banking77.

python benchmarks/unlabelled.py runs/smlmt 1 2     (folds; seeds 0 and 1 of training, a run a folder in runs/smlmt)

The text is that of the fold's train and valid classes, labels thrown away; no sentence of a test class is in it. Judged on the
test classes: 600 episodes, 5 ways, 5 queries; 1 shot, 5 shots, 1 shot and the name. Both heads are prototypes, so
that the difference is the adapter's: the whole of it (strength 1, what the recipe leaves), and half.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from quickstudy import Centroid, Episodes, Table, models
from quickstudy.evaluation.evaluate import evaluate
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.shipped import shipped_recipe
from quickstudy.runs.strength import scaled
from quickstudy.runs.train import train
from quickstudy.tasks.named import select_part
from quickstudy.tasks.names import readable

SETTINGS = ({"shots": 1}, {"shots": 5}, {"shots": 1, "names": True})
SEEDS, STRENGTHS = (0, 1), (1, 0.5)


def main(out: str, folds: list[str]) -> None:
    torch.set_num_threads(1)
    plain = models.load("minilm")
    for seed, fold in [(seed, int(fold)) for seed in SEEDS for fold in folds]:
        text = Path(out, f"text-{fold}")
        text.mkdir(parents=True, exist_ok=True)
        for part in ("train", "valid"):
            sentences = select_part("banking77", split=part, fold=fold)[0].texts
            (text / f"{part}.txt").write_text("\n".join(" ".join(s.split()) for s in sentences), encoding="utf-8")
        recipe = Recipe.read(shipped_recipe("text/unlabelled.yaml"), [f"data.unlabelled={text}", f"seed={seed}"])
        run = Path(out, f"{fold}-{seed}")
        train(recipe, run, resume=True)
        learner = open_run(run)[1]
        pool = select_part("banking77", fold=fold)[0]
        both = [*pool.texts, *map(readable, pool.classes)]
        whole = {name: value.clone() for name, value in learner.state_dict().items()}
        for strength in STRENGTHS:
            learner.load_state_dict(scaled(whole, strength))
            judge(learner, plain, pool, both, {"fold": fold, "seed": seed, "strength": strength})


def judge(learner: Any, plain: Any, pool: Table, sentences: list[str], row: dict[str, Any]) -> None:
    with plain.remember(plain.memory(sentences)), learner.model.remember(learner.model.memory(sentences)):
        for setting in SETTINGS:
            tasks = Episodes(pool, ways=5, queries=5, tasks=600, seed=0, **setting)
            result = evaluate(learner, tasks, baselines=[Centroid(plain)])
            scores = {r["learner"]: round(100 * r["mean"], 2) for r in result["results"]}
            difference = [round(100 * x, 2) for x in result["comparisons"][0]["ci95"]]
            print(
                json.dumps({**row, **setting, "hash": result["episodes"]["hash"], **scores, "difference": difference}), flush=True
            )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
