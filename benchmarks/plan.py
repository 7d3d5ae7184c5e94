"""`quickstudy plan` beside what it predicts: the growth of the peak memory and the seconds of an outer step.

    python benchmarks/plan.py [NAME ...]

Each configuration takes three processes of one thread. One makes real steps, plans, and makes real steps again, in processor
seconds. Two measure the growth of the resident set over real steps, from a learner that has made one step on four examples (what
the libraries load when they are first used): one whose allocator gives freed blocks back at once, which is what the step needs,
and one with the usual allocator of Linux.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from quickstudy.models.language_model import LanguageModel
from quickstudy.models.sentence_encoder import SentenceEncoder

MAML = ["banking77-maml", "learner={name: maml, inner_lr: 5.0, outer_lr: 5.0e-4, inner_steps: 5}"]
SIX = [*MAML, "model.lora={r: 8}", "episodes={ways: 5, shots: 2, queries: 1, tasks: 1}"]
DOMAINS = "{folder: domain_text, train: [software_manual], valid: [finance_reports], size: 16, block: 128}"
TEXT = ["joint", "steps=10", f"data.domains={DOMAINS}"]
TEXT_MAML = [*TEXT, "learner={name: maml, rule: {name: adam, eps: 0.001}, inner_lr: 0.002, inner_steps: 2}"]
CONFIGURATIONS = {
    "minilm, LoRA on 6 layers, MAML, K=5": SIX,
    "the same, graph kept": [*SIX, "learner.keep_graph=true"],
    "the same, first order": [*SIX, "learner.gradient=first_order"],
    "the same, micro_batch 4": [*SIX, "learner.micro_batch=4", "episodes.tasks=3"],
    "the same, the top 2 layers": [*SIX, "model.lora.layers=2", "episodes.tasks=4"],
    "minilm, LoRA, prototypical, 25 ways": ["banking77-proto"],
    "conv4, MAML, K=1, 32 tasks": ["omniglot-maml"],
    "conv4, MAML, K=5, 64 pixels": ["tiny-imagenet-maml", "episodes.queries=5"],
    "conv4, prototypical, 60 ways": ["omniglot-proto"],
    "vit, MAML, K=5": [
        "omniglot-maml",
        "model={vit: {ways: 5}}",
        "learner.inner_steps=5",
        "episodes={ways: 5, shots: 5, queries: 5, tasks: 1}",
    ],
    "smollm2, LoRA on 4 layers, 4 + 4 blocks of 128, joint": TEXT,
    "the same, MAML, first order, K=2": [*TEXT_MAML, "learner.gradient=first_order"],
    "the same, exact": TEXT_MAML,
    "the same, exact, graph kept": [*TEXT_MAML, "learner.keep_graph=true"],
    "the same, exact, micro_batch 2": [*TEXT_MAML, "learner.micro_batch=2"],
    "the same, exact, 8 layers, rank 16": [*TEXT_MAML, "model.lora={r: 16, layers: 8}"],
    "the same, exact, blocks of 256": [*TEXT_MAML, "data.domains.block=256"],
}
"""A recipe and its changes."""
STEPS = 3
"""Real steps, spread over the run; before the plan and after it."""
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "65536"}


def main(names: list[str]) -> None:
    begun = time.time()
    for name in names or CONFIGURATIONS:
        times, needed, usual = one("times", name), one("memory", name, **AT_ONCE), one("memory", name)
        row = {
            "configuration": name,
            "MiB": {"planned": times["MiB"], "measured": needed, "usual allocator": usual},
            "seconds": {"planned": times["planned"], "measured": times["measured"]},
            "error, %": {
                "MiB": percent(times["MiB"], needed),
                "MiB, usual allocator": percent(times["MiB"], usual),
                "seconds": percent(times["planned"], times["measured"]),
            },
        }
        print(json.dumps(row), flush=True)
    print(json.dumps({"minutes": round((time.time() - begun) / 60, 1)}))


def percent(planned: float, measured: float) -> int:
    return round(100 * (planned / measured - 1))


def one(what: str, name: str, **environment: str) -> Any:
    command = [sys.executable, __file__, f"--{what}", name]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


class Real:
    """Real steps of a configuration."""

    def __init__(self, name: str):
        from quickstudy.runs.build import build_learner, train_episodes
        from quickstudy.runs.outer import OuterLoop
        from quickstudy.runs.processes import Processes
        from quickstudy.runs.recipe import Recipe
        from quickstudy.runs.shipped import find_recipe
        from quickstudy.tasks.task import Task

        short, *changes = CONFIGURATIONS[name]
        self.recipe = Recipe.read(find_recipe(short), changes)
        self.learner, self.episodes = build_learner(self.recipe), train_episodes(self.recipe)
        self.outer = OuterLoop(self.learner, self.recipe, Processes())
        first = self.episodes[0][0]
        small = Task(first.support.take([0, -1]), first.query.take([0, -1]))
        self.learner.train(self.recipe.dropout)([small]).backward()
        self.learner.zero_grad()

    def meet(self, indices: Iterable[int]) -> None:
        """What the frozen layers give of these steps' tasks is known, as late in a run."""
        model: Any = self.learner.model
        model.eval()
        if isinstance(model, (SentenceEncoder, LanguageModel)) and not self.recipe.dropout:
            batches = [batch for index in indices for task in self.episodes[index] for batch in (task.support, task.query)]
            model.lowered([each for batch in batches for each in batch.inputs], getattr(self.learner, "names", ()))

    def seconds(self) -> list[float]:
        """Processor seconds of some steps, drawing their tasks included."""
        found, indices = [], [int((at + 0.5) * self.recipe.steps / STEPS) for at in range(STEPS)]
        self.meet(indices)
        for index in indices:
            self.episodes[index]  # what is read from disk is read once in a run
            begun = time.process_time()
            self.outer.step(index, self.episodes[index])
            found.append(time.process_time() - begun)
        return found


def times(name: str) -> dict[str, float]:
    from quickstudy.runs.plan.plan import Planner

    real = Real(name)
    measured = real.seconds()
    planner = Planner(real.recipe, clock=time.process_time)
    found = planner.of(planner.recipe, planner.learner, looks=STEPS, judge=False)  # at the same steps
    measured += real.seconds()
    grown = found.memory - found.weights
    return {"MiB": round(grown / 2**20), "planned": round(found.step, 3), "measured": round(statistics.median(measured), 3)}


def memory(name: str) -> int:
    """The growth of the peak, in MiB."""
    real = Real(name)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of loading
    before = resident("VmRSS")
    real.meet(range(real.recipe.steps))
    real.seconds()
    return round(resident("VmHWM") - before)


def resident(what: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] in (["--times"], ["--memory"]):
        import torch

        torch.set_num_threads(1)
        print(json.dumps({"--times": times, "--memory": memory}[given[0]](given[1])))
    else:
        main(given)
