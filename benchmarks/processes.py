"""Would several processes encode a large table sooner? One thread, two threads and two processes, in turns.

python benchmarks/processes.py [ROUNDS ["one thread" "two threads" "two processes"]]     (two cores; three rounds, all three)

2,000 questions of clinc150 in the precision that `memory` takes, with nothing on disk.

Two processes at once, half of the sentences each, are also the most that the machine can give. What they need before they can
begin, the imports, the weights and a first thousand sentences to choose the precision, is timed apart.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

COUNT = 2000
WAYS = {
    "one thread": ((0, COUNT, 1),),
    "two threads": ((0, COUNT, 2),),
    "two processes": ((0, COUNT // 2, 1), (COUNT // 2, COUNT, 1)),
}
"""Who encodes: the first sentence, the last, and its threads."""


def main(rounds: int, ways: Sequence[str]) -> None:
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in ways:
            found[name].append(_together(WAYS[name]))
    for name, rows in found.items():
        started, seconds, spent = (round(statistics.median(column), 2) for column in zip(*rows, strict=True))
        row = {"encoded by": name, "seconds": seconds, "processor seconds": spent, "seconds to start": started}
        print(json.dumps(row | {"each": [round(row[1], 1) for row in rows]}), flush=True)
    print(json.dumps({"machine": [os.cpu_count(), "cores"], "load": [round(load, 1) for load in os.getloadavg()]}))


def _together(workers: tuple[tuple[int, int, int], ...]) -> tuple[float, float, float]:
    """Seconds until all are ready, then until all are done, and the processor seconds of the latter."""
    begun = time.perf_counter()
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--work", *map(str, worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(worker[2]), "QUICKSTUDY_CACHE": "off"},
        )
        for worker in workers
    ]
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    ready = time.perf_counter()
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    spent = sum(float(process.stdout.readline()) for process in processes if process.stdout)
    done = time.perf_counter()
    for process in processes:
        process.wait()
    return ready - begun, done - ready, spent


def _work(first: int, last: int, threads: int) -> None:
    import torch

    from quickstudy import models
    from quickstudy.tasks.named import named

    torch.set_num_threads(threads)
    sentences, encoder = named("clinc150").texts[first:last], models.load("minilm")
    encoder.memory(sentences[:1000])  # the choice of the precision, once a process
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.process_time()
    encoder.memory(sentences)
    print(time.process_time() - begun, flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[0:1] == ["--work"]:
        _work(*map(int, given[1:]))
    else:
        main(int(given[0]) if given else 3, given[1:] or list(WAYS))
