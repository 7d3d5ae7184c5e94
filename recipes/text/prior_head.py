"""Learns the prior of the prior head: how to weigh examples, names and unlabelled sentences, from a thousand tasks.

QUICKSTUDY_DATA=... python recipes/text/prior_head.py OUT      (seed 0; about half an hour of one core once the sentences
are encoded; OUT/search.jsonl is the log, and a second call goes on with it)

A seeded quasi-random search: each of 64 settings is judged on every task, so that leaving one data set out costs nothing:
its prior is the best setting on the three others. OUT/head.json holds the best on all four (what is shipped), and
the four others under "left_out", by which benchmarks/default.py judges. Then the two settings for unlabelled sentences are
searched the same way, given the first.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
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
SETTINGS, SEED = 64, 0
TASKS = {5: 24, 20: 8, "all": 1}
"""Ways, and how many tasks of each number of shots; a set with fewer classes has "all" in the place of 20."""
UNLABELLED = 2500
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
    found = {left: priors[best(scores, left)] for left in (*SETS, None)}

    pools = {name: unlabelled_of(name, encoder) for name in SETS}
    whole = {name: [task for task in its if task[2] == max(ways for _, _, ways, *_ in its)] for name, its in tasks.items()}
    triples = [(u, b, s) for u in (0.7, 1.4, 2.1) for b in (0.0, -0.4) for s in (2.6, 3.0, 3.4)]
    for left, prior in found.items():
        options = [replace(prior, unlabelled=(u, b, 0.0), sharpness=s) for u, b, s in triples]
        others = [name for name in SETS if name != left]
        file = out / f"unlabelled-{left or 'all'}.jsonl"
        scores = searched(file, options, lambda p, o=others: {name: judged(p, whole[name], pools[name]) for name in o})
        found[left] = options[best(scores, left)]
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


def best(scores: list[dict[str, float]], left: str | None) -> int:
    return int(np.argmax([np.mean([value for name, value in row.items() if name != left]) for row in scores]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
