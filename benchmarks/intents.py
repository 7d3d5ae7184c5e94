"""An adapter from one set of intents, judged on another: does it pass the gate that a person's own adapter must pass?

python benchmarks/intents.py OUT [SEED ...]     (clinc150 for banking77 and back; resumable, one line a judgement; seeds 0 1 2)

The recipe own-labels on the train split: four fifths of the classes teach, 25 of them a task, and the others choose the strength.
All classes of the other set judge, with their names: shots of its train split, its test split asked, five draws. The prior head,
by a prior that never saw the judged set, on both encoders; both frozen, as they are when they are used. The interval: the gate's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quickstudy import Episodes, models
from quickstudy.learners.prior_head import Prior, PriorHead
from quickstudy.models.encoder import Encoder
from quickstudy.runs import checkpoint
from quickstudy.runs.build import VALIDATION_SEED, build_learner
from quickstudy.runs.outer import OuterLoop
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.shipped import find_recipe
from quickstudy.runs.strength import best, scaled, weigh
from quickstudy.tasks.named import named, select_part
from quickstudy.tasks.task import Task

PAIRS = (("clinc150", "banking77"), ("banking77", "clinc150"))
"""Who teaches, who judges."""
SHOTS, DRAWS, STRENGTHS = (1, 5), 5, (0.0, 0.25, 0.5, 0.75, 1.0)
PARTS = {"teach": 0.8, "choose": 0.2}
SETTINGS = ("episodes.ways=25",)
Rights = list[np.ndarray]


def main(out: Path, seeds: list[int]) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for source, target in PAIRS:
            place = out / f"{source}-{seed}.json"
            if not place.is_file():
                found = _judged(_learned(source, seed, out), source, target, seed)
                place.write_text(json.dumps(found) + "\n", encoding="utf-8")
            print(place.read_text(encoding="utf-8"), end="", flush=True)


def _learned(source: str, seed: int, out: Path) -> checkpoint.Tensors:
    """What the adapter is after training, from the disk where that was done before."""
    file = out / f"{source}-{seed}.safetensors"
    if not file.is_file():
        recipe = Recipe.read(find_recipe("own-labels"), [f"data.set={source}", f"seed={seed}", *SETTINGS])
        part: dict[str, Any] = {key: getattr(recipe.episodes, key) for key in ("ways", "shots", "queries", "tasks", "names")}
        episodes = Episodes(_classes(source, "teach"), seed=seed, **part)
        learner = build_learner(recipe)
        loop = OuterLoop(learner, recipe, Processes())
        for index in range(recipe.steps):
            torch.manual_seed(1_000_000 * seed + index)  # dropout's
            numbers = loop.step(index, episodes[index])
            print(source, seed, index, numbers["loss"], file=sys.stderr, flush=True)
        checkpoint.write(file, checkpoint.learner_tensors(learner), {"learner": type(learner).__name__})
    return checkpoint.read(file, remedy="remove it")[0]


def _judged(tensors: checkpoint.Tensors, source: str, target: str, seed: int) -> dict[str, Any]:
    """The strength that the source's other classes choose, and what every strength is worth on the target."""
    valid: dict[str, Any] = {"ways": "all", "queries": 10, "tasks": 10, "names": True, "seed": seed + VALIDATION_SEED}
    choosing = [task for shots in SHOTS for task in Episodes(_classes(source, "choose"), shots=shots, **valid)[0]]
    pool, support = select_part(target)
    judging = {
        shots: Episodes(pool, ways="all", shots=shots, queries="all", tasks=DRAWS, seed=0, support=support, names=True)[0]
        for shots in SHOTS
    }
    tried: dict[float, float] = {}
    answers: dict[tuple[float, int], Rights] = {}
    for strength in STRENGTHS:
        encoder = models.load("minilm", lora=8, seed=seed)
        state = {name.removeprefix("model."): value for name, value in scaled(tensors, strength).items()}
        assert not encoder.load_state_dict(state, strict=False).unexpected_keys
        encoder.requires_grad_(False)
        tried[strength] = float(np.mean([right.mean() for right in _rights(encoder, choosing, Prior.shipped(without=source))]))
        every = _rights(encoder, [task for tasks in judging.values() for task in tasks], Prior.shipped(without=target))
        answers |= {(strength, shots): every[i * DRAWS : (i + 1) * DRAWS] for i, shots in enumerate(SHOTS)}
    row: dict[str, Any] = {"teaches": source, "judges": target, "seed": seed, "chosen": best(tried)}
    row["choosing"] = {f"{strength:g}": round(100 * score, 2) for strength, score in tried.items()}
    for shots, tasks in judging.items():
        row[f"{shots} shots"] = {f"{s:g}": _gain(tasks, answers[0, shots], answers[s, shots]) for s in STRENGTHS[1:]}
    tasks = [task for its in judging.values() for task in its]
    both = {s: [right for shots in SHOTS for right in answers[s, shots]] for s in STRENGTHS}
    row["both"] = {f"{s:g}": _gain(tasks, both[0], both[s]) for s in STRENGTHS[1:]}
    return row


def _rights(encoder: Encoder, tasks: list[Task], prior: Prior) -> Rights:
    """Whether each query of each task is answered rightly by the prior head on this encoder."""
    head = PriorHead(encoder, prior=prior)
    sentences = [sentence for task in tasks for batch in (task.support, task.query) for sentence in batch.inputs]
    with encoder.remember(encoder.memory(sentences)):
        answers = [head.adapt(task.support).predict(task.query.inputs) for task in tasks]
    return [np.array(answer) == np.array(task.query.targets) for answer, task in zip(answers, tasks, strict=True)]


def _gain(tasks: list[Task], plain: Rights, adapted: Rights) -> str:
    found = weigh([1], tasks, {0: plain, 1: adapted})
    low, high = (f"{100 * end:+.2f}" for end in found["ci95"])
    return f"{100 * found['plain']:.2f} to {100 * found['adapted']:.2f}: {100 * found['gain']:+.2f} ({low} to {high})"


def _classes(name: str, part: str) -> Any:
    """The train split's sentences of the classes that teach, or of those that choose."""
    return named(name).select(split="train").divide(fractions=PARTS, seed=0)[part]


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [0, 1, 2])
