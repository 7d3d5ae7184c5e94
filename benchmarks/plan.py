"""`quickstudy plan` beside what it predicts: the growth of the peak memory and the seconds of an outer step.

    python benchmarks/plan.py [NAME ...]

Each configuration takes three processes of one thread: one that plans; one that makes real steps, for their processor seconds and
the peak as the usual allocator leaves it; and one whose allocator gives freed blocks back at once, for the peak that is needed.
The growth is that of the resident set, from the learner as it was built, over the first steps that were looked at.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

MAML = ["banking77-maml", "learner={name: maml, inner_lr: 5.0, outer_lr: 5.0e-4, inner_steps: 5}"]
SIX = [*MAML, "model.lora={r: 8}", "episodes={ways: 5, shots: 2, queries: 1, tasks: 2}"]
CONFIGURATIONS = {
    "minilm, LoRA on 6 layers, MAML, K=5": SIX,
    "the same, graph kept": [*SIX, "learner.keep_graph=true"],
    "the same, first order": [*SIX, "learner.gradient=first_order"],
    "the same, micro_batch 4": [*SIX, "learner.micro_batch=4"],
    "the same, the top 2 layers": [*SIX, "model.lora.layers=2", "episodes.tasks=4"],
    "minilm, LoRA, prototypical, 25 ways": ["banking77-proto"],
    "conv4, MAML, 32 tasks": ["omniglot-maml"],
    "conv4, MAML, K=5, 64 pixels": ["tiny-imagenet-maml"],
    "conv4, prototypical, 60 ways": ["omniglot-proto"],
    "resnet12, prototypical": ["omniglot-proto", "model={resnet12: {width: 512, channels: 1, size: 42}}", "episodes.ways=10"],
    "vit, MAML, K=5": ["omniglot-maml", "model={vit: {ways: 5}}", "learner.inner_steps=5", "episodes.tasks=8"],
}
"""A recipe and its changes."""
LOOKS, STEPS = 10, 3
"""Steps that a plan looks at, and how many of them are made."""
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "65536"}


def main(names: list[str]) -> None:
    begun = time.time()
    for name in names or CONFIGURATIONS:
        planned, usual, at_once = one("plan", name), one("steps", name), one("steps", name, **AT_ONCE)
        row = {
            "configuration": name,
            "MiB": {"planned": planned["MiB"], "measured": at_once["MiB"], "usual allocator": usual["MiB"]},
            "seconds": {"planned": planned["seconds"], "measured": usual["seconds"]},
            "error, %": {
                "MiB": percent(planned["MiB"], at_once["MiB"]),
                "MiB, usual allocator": percent(planned["MiB"], usual["MiB"]),
                "seconds": percent(planned["seconds"], usual["seconds"]),
            },
            "seconds to plan": planned["took"],
        }
        print(json.dumps(row), flush=True)
    print(json.dumps({"minutes": round((time.time() - begun) / 60, 1)}))


def percent(planned: float, measured: float) -> int:
    return round(100 * (planned / measured - 1))


def one(what: str, name: str, **environment: str) -> dict:
    command = [sys.executable, __file__, f"--{what}", name]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def recipe_of(name: str):
    from quickstudy.runs.recipe import Recipe
    from quickstudy.runs.shipped import find_recipe

    short, *changes = CONFIGURATIONS[name]
    return Recipe.read(find_recipe(short), changes)


def plan(name: str) -> dict:
    from quickstudy.runs.plan.plan import Planner

    recipe, begun = recipe_of(name), time.perf_counter()
    found = Planner(recipe, clock=time.process_time).plan(looks=LOOKS)
    grown = found.memory - found.weights
    return {"MiB": round(grown / 2**20), "seconds": round(found.step, 3), "took": round(time.perf_counter() - begun)}


def steps(name: str) -> dict:
    import torch

    from quickstudy.models.sentence_encoder import SentenceEncoder
    from quickstudy.runs.build import build_learner, train_episodes
    from quickstudy.runs.outer import OuterLoop
    from quickstudy.runs.processes import Processes
    from quickstudy.tasks.task import Task

    torch.set_num_threads(1)
    recipe = recipe_of(name)
    learner, episodes = build_learner(recipe), train_episodes(recipe)
    outer = OuterLoop(learner, recipe, Processes())
    looked_at = [int((at + 0.5) * recipe.steps / LOOKS) for at in range(LOOKS)][:: LOOKS // STEPS][:STEPS]
    drawn = [episodes[index] for index in looked_at]
    small = [part.take([0, -1]) for part in (drawn[0][0].support, drawn[0][0].query)]
    learner.train(recipe.dropout)([Task(*small)]).backward()  # what the libraries load when they are first used
    learner.zero_grad()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of loading
    before = resident("VmRSS")
    if isinstance(learner.model, SentenceEncoder) and not recipe.dropout:  # what the frozen layers give, as late in a run
        learner.model.eval().lowered(episodes.source.texts, getattr(learner, "names", ()))
    seconds = []
    for index, _ in zip(looked_at, drawn, strict=True):
        for _ in range(2 if index == looked_at[0] else 1):
            begun = time.process_time()
            outer.step(index, episodes[index])
            seconds.append(time.process_time() - begun)
    return {"MiB": round(resident("VmHWM") - before), "seconds": round(statistics.mean(seconds[1:]), 3)}


def resident(what: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] in (["--plan"], ["--steps"]):
        print(json.dumps({"--plan": plan, "--steps": steps}[given[0]](given[1])))
    else:
        main(given)
