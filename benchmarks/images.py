"""The learners of the literature on Omniglot and tiny_imagenet, from scratch: training of all cells, then one table, paired.

python benchmarks/images.py train OUT [--seconds S] [--device cuda] CELL ...     (e.g. omniglot-maml-5w1s; all: every cell)
python benchmarks/images.py judge OUT SET-PROTOCOL [TASKS]                       (e.g. omniglot-5w1s; what is in OUT)

A cell is a shipped recipe with the changes that its comments name for the protocol. With --seconds, as many steps as the time
allows, measured at the start; the run's recipe.yaml has the number. One process a cell: start several side by side.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from quickstudy import Episodes, evaluate
from quickstudy.evaluation.statistics import paired_bootstrap
from quickstudy.models.device import chosen
from quickstudy.runs.build import build_learner, data_part, train_episodes
from quickstudy.runs.image_network import pictures_of
from quickstudy.runs.opening import open_run
from quickstudy.runs.outer import OuterLoop
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

RECIPES = Path(__file__).parents[1] / "recipes" / "images"
LEARNERS = ("proto", "matching", "maml", "fomaml", "reptile", "anil", "mamlpp")
FIVE = {each: {"episodes.shots": 5, "validation.shots": 5} for each in LEARNERS}
FIVE["reptile"] = {"validation.shots": 5}
TWENTY = {each: {"model.conv4.ways": 20, "episodes.ways": 20, "validation.ways": 20} for each in LEARNERS}
TWENTY["matching"] = {"episodes.ways": 20, "validation.ways": 20}
TWENTY["proto"] = {"validation.ways": 20}
for name in ("maml", "fomaml"):
    TWENTY[name] |= {"learner.inner_lr": 0.1, "learner.inner_steps": 5, "learner.adapt_steps": 5, "episodes.tasks": 16}
TWENTY["reptile"] |= {"learner.inner_batch": 20, "learner.inner_lr": 5e-4, "learner.inner_steps": 10}
TWENTY["mamlpp"] |= {"episodes.tasks": 8}
for name in ("maml", "fomaml", "anil", "mamlpp"):
    FIVE[name] |= {"episodes.queries": 5}
PROTOCOLS = {"omniglot": {"5w1s": {}, "5w5s": FIVE, "20w1s": TWENTY}, "tiny-imagenet": {"5w1s": {}, "5w5s": FIVE}}
CELLS = [f"{of}-{each}-{protocol}" for of, known in PROTOCOLS.items() for protocol in known for each in LEARNERS]
QUERIES = {"omniglot": 1, "tiny-imagenet": 15}
"""Of each class in the test: as many as in training, where batch statistics are those of the query."""


def recipe_of(cell: str, changes: dict[str, object] | None = None) -> Recipe:
    of, learner, protocol = cell.rsplit("-", 2)
    own = PROTOCOLS[of][protocol].get(learner, {})
    if of == "tiny-imagenet":
        own = {key: value for key, value in own.items() if key != "episodes.queries"}
        own |= {"episodes.tasks": 2} if protocol == "5w5s" and learner in ("maml", "fomaml", "anil") else {}
    every = {**own, **(changes or {})}
    return Recipe.read(RECIPES / f"{of}-{learner}.yaml", [f"{key}={value}" for key, value in every.items()])


def steps_in(cell: str, seconds: float, device: str) -> int:
    """Outer steps that fit, by the time that a few take."""
    recipe = recipe_of(cell)
    learner, episodes = build_learner(recipe).to(chosen(device)), train_episodes(recipe)
    outer, begun = OuterLoop(learner, recipe, Processes()), time.perf_counter()
    ends: list[float] = []
    while len(ends) < 20 or ends[-1] - begun < 0.06 * seconds:
        outer.step(len(ends), episodes[len(ends)])
        ends.append(time.perf_counter())
    each = (ends[-1] - ends[9]) / (len(ends) - 10)  # the first ones are no measure
    return max(100, int(0.75 * (seconds - (ends[-1] - begun)) / each / 100) * 100)  # a quarter is for validation, and to be safe


def fit(out: Path, cell: str, seconds: float | None, device: str) -> None:
    begun, changes = time.perf_counter(), {}
    if seconds:
        steps = steps_in(cell, seconds, device)
        every = max(1, steps // 4)
        tasks = 25 if "reptile" in cell else 100  # 50 inner steps take long
        changes = {"steps": steps, "validation.every": every, "checkpoint_every": every, "validation.episodes": tasks}
    found = train(recipe_of(cell, changes), out / cell, resume=True, device=device)
    row = {"cell": cell, "steps": found["steps"], "best": found["best"], "at step": found["best_step"]}
    print(json.dumps(row | {"seconds": round(time.perf_counter() - begun)}), flush=True)


def judge(out: Path, what: str, count: int) -> None:
    of, _, protocol = what.rpartition("-")
    ways, shots = (int(each) for each in protocol.rstrip("s").split("w"))
    first: list[float] = []
    for each in LEARNERS:
        folder = out / f"{of}-{each}-{protocol}"
        if not (folder / "learner").is_dir():
            continue
        recipe, learner = open_run(folder)
        drawn = {"ways": ways, "shots": shots, "queries": QUERIES[of], "tasks": count, "seed": 0}
        tasks = Episodes(data_part(recipe, "test"), **drawn, inputs=pictures_of(recipe))
        scores: list[float] = []
        found = evaluate(learner, tasks, observe=lambda *seen, scores=scores: scores.append(seen[3]["accuracy"]))
        (row,) = found["results"]
        line = {"set": of, "protocol": protocol, "learner": each, "steps": recipe.steps, "tasks": count}
        line |= {"accuracy": percent(row["mean"]), "ci95": [*map(percent, row["ci95"])]}
        line |= {"transductive": found["episodes"]["transductive"]}
        if first:
            line |= {f"ahead of {LEARNERS[0]} by": [*map(percent, paired_bootstrap(scores, first)[1])]}
        first = first or scores
        print(json.dumps(line), flush=True)


def percent(share: float) -> float:
    return round(100 * share, 2)


if __name__ == "__main__":
    torch.set_num_threads(1)
    reader = argparse.ArgumentParser()
    reader.add_argument("do", choices=["train", "judge"])
    reader.add_argument("out", type=Path)
    reader.add_argument("what", nargs="+")
    reader.add_argument("--seconds", type=float)
    reader.add_argument("--device", default="auto")
    given = reader.parse_args()
    if given.do == "judge":
        judge(given.out, given.what[0], int(given.what[1]) if len(given.what) > 1 else 1000)
    else:
        for cell in CELLS if given.what == ["all"] else given.what:
            fit(given.out, cell, given.seconds, given.device)
