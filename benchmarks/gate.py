"""How often the gate of an own adapter lets a true gain through, and chance: simulated classes, of which some gain and some lose.

python benchmarks/gate.py [RUNS]      (seed 0; 6, 20 and 54 classes that taught nothing; a line each)

At full strength a class gains 0, 2 or 3 points in the mean, 5 points from class to class; at a part of it that part, and, where
`own` is not 0, that share of the variance is drawn for each strength anew. 200 answers a class, and what is hard for one encoder
is hard for all. Beside the gate: one half of the classes chooses the strength and the other judges it (`apart`), and all choose
and judge with Student's interval, as if nothing had been chosen (`naive`).
"""

from __future__ import annotations

import json
import sys

import numpy as np

from quickstudy.evaluation.statistics import mean_interval
from quickstudy.runs.strength import best, by_class, weigh
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
SPREAD, PLAIN, QUERIES = 0.05, 0.8, 200


def simulated(gain: float, own: float, classes: int, random: np.random.Generator) -> tuple[Task, dict[float, np.ndarray]]:
    """A task of that many classes, and whether each share of an adapter answers it rightly."""
    labels = np.repeat(np.arange(classes).astype(str), QUERIES)
    common, hard = random.normal(0, SPREAD, classes), random.random(len(labels))
    answers = {}
    for share in SHARES:
        alone = random.normal(0, SPREAD, classes) * (share > 0)
        gains = share * (gain + (1 - own) ** 0.5 * common) + own**0.5 * alone
        answers[share] = hard < PLAIN + np.repeat(gains, QUERIES)
    return Task(Batch([], []), Batch(labels.tolist(), labels.tolist())), answers


def main(runs: int = 1000) -> None:
    random = np.random.default_rng(0)
    for own, classes, gain in [(o, c, g) for o in (0.0, 0.3) for c in (6, 20, 54) for g in (0.0, 0.02, 0.03)]:
        kept = dict.fromkeys(("kept", "apart", "naive"), 0)
        for _ in range(runs):
            task, answers = simulated(gain, own, classes, random)
            kept["kept"] += weigh(SHARES, [task], {share: [right] for share, right in answers.items()})["strength"] > 0
            labels = np.array(task.query.targets)
            right = {share: by_class(labels, answers[share]) for share in SHARES}
            for name, choosing, judging in (("apart", 0, 1), ("naive", slice(None), slice(None))):
                half = np.arange(classes) % 2
                chooses, judges = (np.isin(half, np.arange(2)[part]) for part in (choosing, judging))
                chosen = best({share: float(right[share][chooses].mean()) for share in SHARES})
                ends = mean_interval((right[chosen] - right[0.0])[judges].tolist())[1]
                kept[name] += chosen > 0 and ends is not None and ends[0] > 0
        shares = {name: round(count / runs, 3) for name, count in kept.items()}
        print(json.dumps({"own": own, "classes": classes, "gain": gain, **shares}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
