"""Learns the prior of the prior head: how to weigh examples, names and unlabelled sentences, from 728 tasks.

QUICKSTUDY_DATA=... python recipes/text/prior_head.py OUT      (seed 0; about half an hour of one core once the sentences
are encoded; OUT/search.jsonl is the log, and a second call goes on with it)

A seeded quasi-random search: each of 64 settings is judged on every task, so that leaving one data set out costs nothing:
its prior is the mean of the eight best settings on the three others (the single best is partly luck). OUT/head.json holds
that of all four sets (what is shipped), and the four others under "left_out", by which benchmarks/default.py judges. Given
these, the settings for unlabelled sentences are searched the same way, then the share of the common part that is taken off (on
the tasks of one and two shots: with more it hardly matters), and the temperature is fitted by log-likelihood.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.stats import qmc

from quickstudy import models
from quickstudy.learners.prior_head import Prior, PriorHead
from quickstudy.models.encoder import Encoder
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.named import select_part
from quickstudy.tasks.names import readable, with_names

SETS = {"banking77": True, "clinc150": True, "reuters_fewshot": False, "amazon_fewshot": False}
"""Data sets, and whether their labels are words."""
SHOTS = (1, 2, 5, 10)
SETTINGS, BEST, SEED = 64, 8, 0
TASKS = {5: 24, 20: 8, "all": 1}
"""Ways, and how many tasks of each number of shots; a set with fewer classes has "all" in the place of 20."""
UNLABELLED = 2500
COMMON = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the common part that are tried."""
LOW = (1.6, -0.4, -0.2, -5.0, -1.6, -0.5, -1.0, -0.6, -0.3)
HIGH = (3.4, 0.4, 0.2, -1.0, 0.2, 0.5, 1.2, 0.6, 0.3)
"""The corners of the search: (a, b, c) of scale, of pull and of the weight of names."""


def main(out: Path) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    encoder = models.load("minilm")
    tasks = {name: list(tasks_of(name, encoder)) for name in SETS}
    print({name: len(its) for name, its in tasks.items()}, "tasks", flush=True)
    points = qmc.scale(qmc.Sobol(9, seed=SEED).random(SETTINGS), LOW, HIGH).round(3).tolist()
    priors = [Prior(scale=tuple(p[:3]), pull=tuple(p[3:6]), name=tuple(p[6:])) for p in points]
    scores = searched(out / "search.jsonl", priors, lambda prior: {name: judged(prior, its) for name, its in tasks.items()})
    found = {}
    for left in (*SETS, None):
        p = np.mean([points[i] for i in best(scores, left)[:BEST]], axis=0).round(3).tolist()
        found[left] = Prior(scale=tuple(p[:3]), pull=tuple(p[3:6]), name=tuple(p[6:]))

    pools = {name: unlabelled_of(name, encoder) for name in SETS}
    whole = {name: [task for task in its if task[2] == max(ways for _, _, ways, *_ in its)] for name, its in tasks.items()}
    few = {name: [task for task in its if int((~task[3]).sum()) <= 2 * task[2]] for name, its in tasks.items()}
    pairs = [(u, s) for u in (1.4, 2.1, 2.8, 3.5) for s in (3.0, 3.4, 3.8)]
    for left in found:
        others = [name for name in SETS if name != left]
        options = [replace(found[left], unlabelled=(u, 0.0, 0.0), sharpness=s) for u, s in pairs]
        file = out / f"unlabelled-{left or 'all'}.jsonl"
        scores = searched(file, options, lambda p, o=others: {name: judged(p, whole[name], pools[name]) for name in o})
        options = [replace(options[best(scores, left)[0]], common=share) for share in COMMON]
        file = out / f"common-{left or 'all'}.jsonl"
        scores = searched(file, options, lambda p, o=others: {name: judged(p, few[name]) for name in o})
        prior = options[best(scores, left)[0]]
        found[left] = replace(prior, temperature=fitted_temperature(prior, [t for name in others for t in tasks[name]]))
        print(left, found[left], flush=True)
    stored = {"prior": asdict(found[None]), "left_out": {left: asdict(found[left]) for left in SETS}, "seed": SEED}
    stored["tasks"] = {name: len(its) for name, its in tasks.items()}
    (out / "head.json").write_text(json.dumps(stored, indent=1) + "\n")


def tasks_of(name: str, encoder: Encoder):
    """(embeddings, class numbers, ways, which are names, query embeddings, query class numbers)."""
    pool, support = select_part(name)
    memory = encoder.memory([*pool.texts, *support.texts, *map(readable, pool.classes)])
    look = lambda sentences: torch.nn.functional.normalize(torch.stack([memory[s] for s in sentences]), dim=1)  # noqa: E731
    for shots in SHOTS:
        for ways, count in TASKS.items():
            if ways == 20 and len(pool.classes) < 40:
                continue
            queries = 20 if isinstance(ways, int) else 8
            episodes = Episodes(pool, ways=ways, shots=shots, queries=queries, tasks=count, seed=SEED, support=support)
            for task in episodes[0]:
                classes = {label: number for number, label in enumerate(dict.fromkeys(task.support.targets))}
                truth = torch.tensor([classes[label] for label in task.query.targets])
                query = look(task.query.inputs)
                for batch in (task.support, with_names(task.support)) if SETS[name] else (task.support,):
                    numbers = torch.tensor([classes[label] for label in batch.targets])
                    names = torch.arange(len(batch)) >= len(task.support)
                    yield look(batch.inputs), numbers, len(classes), names, query, truth


def unlabelled_of(name: str, encoder: Encoder) -> torch.Tensor:
    texts = select_part(name)[1].texts
    drawn = np.random.default_rng(SEED).permutation(len(texts))[:UNLABELLED]
    memory = encoder.memory([texts[i] for i in drawn])
    return torch.nn.functional.normalize(torch.stack(list(memory.values())), dim=1)


def judged(prior: Prior, tasks: list, pool: torch.Tensor | None = None) -> float:
    head = PriorHead(torch.nn.Identity(), prior=prior)
    right = [
        float((head.fitted(z, y, names, pool)(query).argmax(dim=1) == truth).float().mean())
        for z, y, _, names, query, truth in tasks
    ]
    return float(np.mean(right))


def searched(file: Path, options: list[Prior], judge) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    with file.open("a") as log:
        for prior in options[len(rows) :]:
            rows.append({"prior": asdict(prior), "accuracy": judge(prior)})
            print(file.stem, len(rows), "of", len(options), rows[-1]["accuracy"], flush=True)
            log.write(json.dumps(rows[-1]) + "\n")
            log.flush()
    return [row["accuracy"] for row in rows]


def best(scores: list[dict[str, float]], left: str | None) -> list[int]:
    """The settings, best first, by the mean over the sets that are not left out."""
    return np.argsort([-np.mean([value for name, value in row.items() if name != left]) for row in scores]).tolist()


def fitted_temperature(prior: Prior, tasks: list) -> tuple[float, float, float]:
    """(a, b, c) of the temperature, by the log-likelihood of the queries."""
    head, answers = PriorHead(torch.nn.Identity(), prior=prior), []
    for z, y, ways, names, query, truth in tasks:
        shots = int((~names).sum()) / ways
        answers.append((math.log(shots), math.log(ways), head.fitted(z, y, names)(query), truth))

    def loss(p: np.ndarray) -> float:
        each = [F.cross_entropy(logits / math.exp(p[0] + p[1] * s + p[2] * w), truth) for s, w, logits, truth in answers]
        return float(torch.stack(each).mean())

    a, b, c = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 0.01, "fatol": 1e-4}).x.round(3).tolist()
    return a, b, c


if __name__ == "__main__":
    main(Path(sys.argv[1]))
