"""One outer step of exact MAML as a script for learn2learn has it, clone and adapt, beside quickstudy's own: memory and time.

    python benchmarks/against_learn2learn.py [--seed 0] [--rounds 5]

CNN4 (64 filters, pooling, batch statistics) on Omniglot, 5-way 5-shot, 75 queries, 2 tasks, float32, one thread; the same model
and tasks for all. Peak memory: of a fresh process each, above what it had before the step (glibc gives freed blocks back at
once, else one measures the allocator). Time: processor seconds, the median of the rounds, in turn within a round, after one
that does not count. Prints one JSON line for each number of steps, and first the largest difference of the gradients in float64.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import quickstudy.compat.learn2learn as l2l
from quickstudy import MAML, Batch, Episodes, Task
from quickstudy.models.conv import conv4
from quickstudy.tasks.named import named
from quickstudy.tasks.pictures import Pictures
from quickstudy.tasks.targets import number

STEPS, WAYS, SHOTS, QUERIES, TASKS, LR = (5, 20), 5, 5, 15, 2, 0.1
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}


class Whole(nn.Module):
    """The same network as a module with a forward of its own, so that nothing is known of its layers."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def draw(seed: int, dtype: torch.dtype = torch.float32) -> list[Task]:
    episodes = Episodes(
        named("omniglot"), ways=WAYS, shots=SHOTS, queries=QUERIES, tasks=TASKS, seed=seed, inputs=Pictures(28, 1)
    )
    pairs = [number(task.support, task.query)[0] for task in episodes[0]]
    return [Task(*(type(b)(b.inputs.to(dtype), b.targets) for b in pair)) for pair in pairs]


def cloned(model: nn.Module, tasks: list[Task], steps: int) -> None:
    """As learn2learn's own examples: one task after the other, a backward pass for each."""
    maml = l2l.algorithms.MAML(model, lr=LR)
    for task in tasks:
        learner = maml.clone()
        for _ in range(steps):
            learner.adapt(F.cross_entropy(learner(task.support.inputs), task.support.targets))
        (F.cross_entropy(learner(task.query.inputs), task.query.targets) / len(tasks)).backward()


def native(model: nn.Module, tasks: list[Task], steps: int, **settings: bool) -> None:
    MAML(model, LR, inner_steps=steps, **settings)(tasks).backward()


ARMS: dict[str, tuple[Callable[[nn.Module], nn.Module], Callable[..., None]]] = {
    "clone and adapt": (lambda layers: layers, cloned),
    "quickstudy": (lambda layers: layers, native),
    "quickstudy, any module": (Whole, native),
    "quickstudy, any module, graph kept": (Whole, partial(native, keep_graph=True)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.memory:
        print(memory(given.memory[0], int(given.memory[1]), given.memory[2], given.seed))
        return
    print(json.dumps({"largest difference in float64, relative": float(f"{difference(given.seed):.1e}")}), flush=True)
    for steps in STEPS:
        seconds = timed(steps, given.seed, given.rounds)
        mebibytes = {name: in_a_fresh_process(name, steps, given.seed) for name in ARMS}
        first = next(iter(ARMS))
        rows = {
            name: {
                "MiB": round(mebibytes[name]),
                "seconds": round(seconds[name], 2),
                "memory ratio": round(mebibytes[name] / mebibytes[first], 2),
                "time ratio": round(seconds[name] / seconds[first], 2),
            }
            for name in ARMS
        }
        print(json.dumps({"K": steps, **rows}), flush=True)


def difference(seed: int) -> float:
    """Of each arm's gradient from the first one's, relative to its largest element."""
    tasks, found = draw(seed, torch.float64), []
    for around, step in ARMS.values():
        model = around(conv4(64, down="pool", ways=WAYS, seed=seed)).double()
        step(model, tasks, STEPS[0])
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    return max(((each - found[0]).abs().max() / found[0].abs().max()).item() for each in found)


def timed(steps: int, seed: int, rounds: int) -> dict[str, float]:
    tasks = draw(seed)
    models = {name: around(conv4(64, down="pool", ways=WAYS, seed=seed)) for name, (around, _) in ARMS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ARMS}
    for _ in range(rounds + 1):
        for name, (_, step) in ARMS.items():
            begun = time.process_time()
            step(models[name], tasks, steps)
            seconds[name].append(time.process_time() - begun)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def in_a_fresh_process(name: str, steps: int, seed: int) -> float:
    with tempfile.NamedTemporaryFile() as file:  # drawing tasks takes more memory than learning them
        torch.save([[batch.inputs, batch.targets] for task in draw(seed) for batch in (task.support, task.query)], file.name)
        command = [sys.executable, __file__, "--seed", str(seed), "--memory", name, str(steps), file.name]
        return float(subprocess.run(command, env=os.environ | ALLOCATOR, stdout=subprocess.PIPE, text=True, check=True).stdout)


def memory(name: str, steps: int, file: str, seed: int) -> float:
    """The growth of the peak in MiB by one outer step."""
    batches = [Batch(*pair) for pair in torch.load(file)]
    tasks, (around, step) = list(map(Task, batches[::2], batches[1::2])), ARMS[name]
    model = around(conv4(64, down="pool", ways=WAYS, seed=seed))
    model(tasks[0].support.inputs[:WAYS]).sum().backward()  # what every call allocates
    model.zero_grad(set_to_none=False)
    before = peak()
    step(model, tasks, steps)
    return peak() - before


def peak() -> float:
    """The most memory this process has had resident so far, in MiB; `ru_maxrss` would count that of the process before it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
