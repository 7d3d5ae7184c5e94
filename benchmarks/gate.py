"""How often the gate of an own adapter lets a true gain through, and chance: simulated classes, of which some gain and some lose.

python benchmarks/gate.py [RUNS]      (seed 0; 10, 20 and 54 classes that taught nothing; a line each)

Each class gains by a share of the adapter in proportion to it, normally over classes: 0 to 3 points in the mean, 5 points from
class to class, beside what 20 draws of 10 sentences a class add. Beside it what the gate was before: one half of the classes
chooses the share, the other half judges it.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from quickstudy.runs.strength import Halves, best, gate, weigh
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
SPREAD, PLAIN, QUERIES = 0.05, 0.8, 200


def simulated(gain: float, classes: int, random: np.random.Generator) -> tuple[Halves[Task], dict[float, Halves[np.ndarray]]]:
    """Two halves of this many classes, and the answers of each share; what is hard for one is hard for all."""
    halves, answers = ([], []), {share: ([], []) for share in SHARES}
    for half in (0, 1):
        labels = np.repeat([f"{half} {number}" for number in range(classes // 2)], QUERIES)
        gains = np.repeat(random.normal(gain, SPREAD, classes // 2), QUERIES)
        hard = random.random(len(labels))
        halves[half].append(Task(Batch([], []), Batch(labels.tolist(), labels.tolist())))
        for share in SHARES:
            answers[share][half].append(hard < PLAIN + share * gains)
    return halves, answers


def main(runs: int = 1000) -> None:
    random = np.random.default_rng(0)
    for classes in (10, 20, 54):
        for gain in (0.0, 0.01, 0.02, 0.03):
            kept, before = 0, 0
            for _ in range(runs):
                halves, answers = simulated(gain, classes, random)
                kept += weigh(SHARES, halves, answers)["strength"] > 0
                chosen = best({share: float(answers[share][0][0].mean()) for share in SHARES})
                if chosen:
                    found = gate(halves[1], answers[0.0][1], answers[chosen][1])
                    before += found["ci95"][0] > 0
            print(json.dumps({"classes": classes, "gain": gain, "kept": kept / runs, "before": before / runs}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
