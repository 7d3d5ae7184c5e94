"""One training on two processes: how much faster than on one, and how much the machine can give at all.

python benchmarks/two_processes.py [ROUNDS]     (two free cores; five rounds)

Outer steps of exact MAML, by the clock, in turns: one process; two that share each step's tasks, as torchrun starts them; and
two that know nothing of each other, with half of the tasks each, which is the machine's own ceiling.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time

STEPS = 6
TASKS = {"omniglot": 32, "banking77": 8}
WAYS = ("one", "two", "apart")


def steps(what: str, way: str) -> float:
    """Seconds of an outer step in this process, after two that do not count."""
    import torch

    from quickstudy.runs.build import build_learner, train_episodes
    from quickstudy.runs.outer import OuterLoop
    from quickstudy.runs.processes import Processes
    from quickstudy.runs.recipe import Recipe

    torch.set_num_threads(1)
    count = TASKS[what] // (2 if way == "apart" else 1)
    path = {"omniglot": "recipes/images/omniglot-maml.yaml", "banking77": "recipes/text/banking77-maml.yaml"}[what]
    recipe = Recipe.read(path, [f"episodes.tasks={count}"])
    learner, episodes = build_learner(recipe), train_episodes(recipe)
    drawn = [episodes[index] for index in range(2)]
    with Processes.join() as processes:
        outer = OuterLoop(learner, recipe, processes)
        outer.step(0, drawn[0])
        outer.step(1, drawn[1])
        begun = time.perf_counter()
        for index in range(STEPS):
            outer.step(2 + index, drawn[index % 2])
        return (time.perf_counter() - begun) / STEPS


def measured(what: str, way: str) -> float:
    """The slowest process's seconds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    count = 1 if way == "one" else 2
    running = []
    for rank in range(count):
        place = {"WORLD_SIZE": str(count), "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        own = os.environ | (place if way == "two" else {}) | {"OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen([sys.executable, __file__, "in", what, way], env=own, stdout=subprocess.PIPE, text=True))
    return max(float(each.communicate()[0].split()[-1]) for each in running)


def main(rounds: int) -> None:
    for what in TASKS:
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                found[way].append(measured(what, way))
        seconds = {way: round(statistics.median(values), 3) for way, values in found.items()}
        gains = {f"one / {way}": round(seconds["one"] / seconds[way], 2) for way in WAYS[1:]}
        print(json.dumps({"recipe": what, "tasks": TASKS[what], **seconds, **gains}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["in"]:
        print(steps(*sys.argv[2:]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
