"""Regimes in which learning to learn could pay for a language model, each against joint training of the same operations.

python benchmarks/language_regimes.py OUT START SEED REGIME...    (goes on where it stopped; START: run of recipes/language/joint)
python benchmarks/language_regimes.py OUT                         (the table of all that OUT holds)

OPERATIONS=1e14 TASKS=100 PICKED_ON=12 python benchmarks/language_regimes.py ...         (more training, more tasks: for a GPU)
python benchmarks/language_regimes.py OUT START SEED meta:REGIME                         (one arm alone, to run side by side)

A screen: what does best here is worth three seeds and a hundred tasks. SmolLM2-135M; LoRA of rank 8 on the four top layers where
the regime does not say otherwise, from the joint start, or fresh. Both arms draw from the same tasks of 4 + 4 blocks of 128
tokens, Adam outside, and train until they have spent OPERATIONS, as torch counts those of a step. Each cell (arm, k) takes the
rate that was best on 4 tasks of another domain. A third arm is the start as it was. The test: 12 topics each of PubMedQA and
MedQuAD, or what the regime says.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from language import BLOCKS, MEMORY, TEST, TRAIN, medical_topics
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from quickstudy import MAML, AdapterGenerator, Episodes, JointTraining, Rates, Task, TokenWeights, models
from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap
from quickstudy.evaluation.steps import scores_after
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.device import chosen
from quickstudy.runs.opening import open_run
from quickstudy.tasks.documents import documents
from quickstudy.tasks.named import data_folder
from quickstudy.tasks.text_domains import TextDomains

OPERATIONS, A_STEP = float(os.environ.get("OPERATIONS", "8e12")), 2
PICKED_ON, JUDGED_ON = int(os.environ.get("PICKED_ON", "4")), int(os.environ.get("TASKS", "24"))
NEW = ("science_abstracts_inspec", "recipes", "news_ag")
"""Domains that the joint start has not seen."""
WITHOUT_CONTRACTS = tuple(name for name in TRAIN if name != "legal_contracts")
AUTHORS = ("Moby-Dick", "Pride-and-Prejudice", "Adventures-of-Huckleberry-Finn")
RATES = (5e-4, 1e-3, 2e-3, 4e-3)
UP_TO_8 = (1e-3, 2e-3, 4e-3, 8e-3)


@dataclass(frozen=True)
class Regime:
    """How to learn, from what, and what it is judged on.

    Args:
        learner: of the model, with an inner rate.
        train: domains, or novels.
        by: what a training task is.
        test: domains, or a novel.
        test_by: what a test task is.
        valid, valid_by: the domain that rates are picked on, and what its tasks are.
        steps: k, at which it is judged.
        joint_start: begins with the joint start, not with fresh adapters.
        only_rates: the start itself is not learned, and the rates are.
        rates: to pick from; one alone where rates are learned.
        outer_lr: of Adam outside, in all arms.
        lora: rank, and how many of the top layers.
    """

    learner: Callable[[Any, float], GradientLearner]
    train: tuple[str, ...] = tuple(TRAIN)
    by: str = "topic"
    test: tuple[str, ...] = tuple(TEST)
    test_by: str = "topic"
    valid: str = "news_bbc"
    valid_by: str = "topic"
    steps: Sequence[int] = (0, 1, 2)
    joint_start: bool = True
    only_rates: bool = False
    rates: Sequence[float] = RATES
    outer_lr: float = 1e-3
    lora: tuple[int, int] = (8, 4)


SMOOTH = {"name": "adam", "eps": 1e-3}
"""Exact gradients through Adam need an eps that its smallest gradients do not drown in."""


def joint(net: Any, rate: float) -> GradientLearner:
    """The same steps from the joint start."""
    return MAML(net, rate, rule="adam", gradient="first_order")


def first_order(net: Any, rate: float) -> GradientLearner:
    return MAML(net, rate, rule="adam", gradient="first_order", inner_steps=2)


def rates(net: Any, rate: float) -> GradientLearner:
    return MAML(net, Rates(rate, per="layer", steps=2), rule="adam", gradient="first_order", inner_steps=2)


def token_weights(net: Any, rate: float) -> GradientLearner:
    """Its eps is that of ordinary gradients: with a smaller one, a first step of Adam does not see how tokens are weighed."""
    return TokenWeights(net, rate, rule={"name": "adam", "eps": 0.1}, inner_steps=2)


DOCUMENTS: dict[str, Any] = {
    "train": WITHOUT_CONTRACTS, "by": "document", "test": ("medical_medquad",), "test_by": "document",
    "valid": "legal_contracts", "valid_by": "document", "rates": UP_TO_8,
}  # fmt: skip
"""Rates are picked on documents, of a domain that is left out of training."""
REGIMES = {
    "learned rates, other domains": Regime(rates, train=NEW, only_rates=True, rates=(2e-3,)),
    "news only": Regime(first_order, train=("news_ag",), joint_start=False),
    "learned token weights": Regime(token_weights, rates=(4e-3, 8e-3)),
    "generated adapters": Regime(lambda net, rate: AdapterGenerator(net, rate, rule="adam")),
    "rest of a document": Regime(first_order, by="document", test=("medical_medquad",), test_by="document"),
    "rest of a document, fresh": Regime(first_order, **DOCUMENTS, joint_start=False),
    "rest of a document, slowly": Regime(first_order, **DOCUMENTS, outer_lr=3e-4),
    "one author": Regime(
        first_order, train=AUTHORS, by="domain", test=("A-Tale-of-Two-Cities",), test_by="domain", joint_start=False
    ),
    "exact, 4 steps": Regime(lambda net, rate: MAML(net, rate, rule=SMOOTH, inner_steps=4), steps=(0, 4)),
    "8 layers, rank 16": Regime(first_order, joint_start=False, lora=(16, 8)),
    "exact, 8 steps": Regime(lambda net, rate: MAML(net, rate, rule=SMOOTH, inner_steps=8), steps=(0, 8)),
}


@cache
def model(lora: tuple[int, int], seed: int = 0) -> tuple[Any, dict[str, torch.Tensor]]:
    """One for all arms, with what its frozen layers made of the texts, and its fresh adapters."""
    rank, layers = lora
    net = models.load("smollm2", lora={"r": rank, "layers": layers}, seed=seed).to(chosen())
    net._frozen.kept.room = MEMORY
    return net, {f"model.{name}": p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}


@cache
def source(names: tuple[str, ...], by: Any, size: int) -> TextDomains:
    """Domains of text, or novels as such."""
    folder = data_folder()
    assert folder is not None
    folder /= "domain_text"
    if (folder / f"{names[0]}.jsonl.gz").is_file():
        found = documents([folder / f"{name}.jsonl.gz" for name in names])
    else:
        chapters = documents(folder / "fiction_gutenberg.jsonl.gz")
        found = [replace(it, domain=name) for name in names for it in chapters if it.name.startswith(name)]
    return TextDomains(found, model((8, 4))[0].tokenizer, by=by, size=size)


@cache
def judged_on(test: tuple[str, ...], by: str) -> list[Task]:
    if by == "topic":
        return medical_topics(model((8, 4))[0].tokenizer, JUDGED_ON // 2)
    of = source(test, by, 8)
    every = of.each(BLOCKS, BLOCKS, per=JUDGED_ON if len(of) == 1 else 1)
    return [every[i] for i in np.random.default_rng(0).permutation(len(every))[:JUDGED_ON]]


def train(learner: Any, of: TextDomains, regime: Regime, seed: int, file: Path) -> None:
    """Trains until OPERATIONS are spent."""
    only_rates, outer_lr = regime.only_rates, 2e-4 if regime.only_rates else regime.outer_lr
    learned = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    optimizer = torch.optim.Adam([p for name, p in learned.items() if not (only_rates and name.startswith("model."))])
    drawn = Episodes(of, shots=BLOCKS, queries=BLOCKS, tasks=A_STEP, seed=seed)
    steps = round(OPERATIONS / operations(learner, drawn[0]))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = outer_lr * min(1.0, (step + 1) / 5) * (1 - step / steps)
        optimizer.zero_grad()
        loss = learner(drawn[step])
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"  step {step} of {steps}, loss {loss.item():.3f}", flush=True)
    save_file({name: p.detach().clone() for name, p in learned.items()}, file, {"tasks": str(steps * A_STEP)})


def operations(learner: Any, tasks: Sequence[Task]) -> int:
    """Floating-point operations of an outer step, but for the frozen layers, through which all tasks of both arms go once."""
    learner(tasks)
    with FlopCounterMode(display=False) as counter:
        learner(tasks).backward()
    return counter.get_total_flops()


def run(name: str, arm: str, seed: int, start: Path, out: Path) -> None:
    """Trains and judges one arm of a regime."""
    regime = arm_of(name, arm)
    net, fresh = model(regime.lora, seed)
    put(dict(open_run(start)[1].named_parameters()) if regime.joint_start else fresh, joint(net, 0.0))
    file = out / f"{training_of(name, arm, seed)}.safetensors"
    print(name, arm, file.name, flush=True)
    learned, trained_on, log = {}, 0, out / "scores.jsonl"
    if arm != "start":
        if not file.is_file():
            learner = JointTraining(net) if arm == "joint" else regime.learner(net, 2e-3)
            train(learner, source(regime.train, regime.by, 16), regime, seed, file)
        learned = load_file(file)
        with safe_open(file, "pt") as opened:
            trained_on = int(opened.metadata()["tasks"])
    cell = cell_of(name, arm, seed)
    known = {(row["cell"], row["part"], row["rate"], row["task"]) for row in rows(out)}
    picked_on = Episodes(source((regime.valid,), regime.valid_by, 16), shots=BLOCKS, queries=BLOCKS, tasks=PICKED_ON)[0]

    def score(part: str, tasks: list[Task], rate: float) -> None:
        learner = regime.learner(net, rate)
        put(learned, learner)
        for number, task in enumerate(tasks):
            if (cell, part, rate, number) not in known:
                row = {"cell": cell, "part": part, "rate": rate, "task": number, "trained on": trained_on}
                with log.open("a") as lines:
                    lines.write(json.dumps(row | {"nats": scores_after(learner, task, regime.steps)}) + "\n")

    for rate in regime.rates:
        score("valid", picked_on, rate)
    for rate in sorted({picked(rows(out), cell, k) for k in regime.steps[1:]}):
        score("test", judged_on(regime.test, regime.test_by), rate)


def arm_of(name: str, arm: str) -> Regime:
    its = REGIMES[name]
    rates = its.rates if len(its.rates) == len(RATES) else RATES
    return its if arm == "meta" else replace(its, learner=joint, only_rates=False, rates=rates)


def training_of(name: str, arm: str, seed: int) -> str:
    """Joint training is the same for all regimes of the same data and place, and the start as it was for all of that place."""
    its = REGIMES[name]
    begun = [its.joint_start, its.lora]
    place = {"joint": [*its.train, its.by, its.outer_lr, *begun], "start": begun, "meta": [name]}[arm]
    return f"{arm}-{zlib.crc32(json.dumps(place).encode()):08x}-{seed}"


def cell_of(name: str, arm: str, seed: int) -> str:
    """What is judged, and on what."""
    its = REGIMES[name]
    return " ".join([training_of(name, arm, seed), *its.test, its.test_by, its.valid, str(its.steps[-1])])


def put(values: dict[str, torch.Tensor], learner: GradientLearner) -> None:
    """Gives a learner what was learned, as far as it has it."""
    with torch.no_grad():
        for name, p in learner.named_parameters():
            if name in values:
                p.copy_(values[name])


def rows(out: Path) -> list[dict[str, Any]]:
    log = out / "scores.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def picked(found: list[dict[str, Any]], cell: str, k: int) -> float:
    """The rate that was best on the tasks it is picked on, after k steps."""
    by_rate = defaultdict(list)
    for row in found:
        if (row["cell"], row["part"]) == (cell, "valid"):
            by_rate[row["rate"]].append(row["nats"][str(k)])
    return min(by_rate, key=lambda rate: float(np.mean(by_rate[rate])))


def table(out: Path) -> None:
    """Means by regime and k, with the paired difference from joint training and from the start as it was; by seed, and of the
    means over the seeds."""
    found = rows(out)
    lines = [(regime, steps, arm) for regime in REGIMES for steps in REGIMES[regime].steps for arm in ("joint", "start")]
    for name, k, other in lines:
        by_seed = {seed: pairs for seed in range(10) if (pairs := paired(found, name, seed, k, other))}
        for seed, pairs in by_seed.items():
            print(f"{name:30} k={k} seed {seed}, {other}: {told(pairs)}")
        if len(by_seed) > 1:
            tasks = set.intersection(*(set(pairs) for pairs in by_seed.values()))
            means = {task: tuple(np.mean([pairs[task] for pairs in by_seed.values()], axis=0)) for task in tasks}
            print(f"{name:30} k={k}, all {len(by_seed)}, {other}: {told(means)}")


def paired(found: list[dict[str, Any]], name: str, seed: int, k: int, other: str) -> dict[int, tuple[float, ...]]:
    """Task -> the regime's nats and the other's (and how many tasks each was trained on), for those that both have."""
    cells = {}
    for arm in ("meta", other):
        cell = cell_of(name, arm, seed)
        of_arm = [row for row in found if (row["cell"], row["part"]) == (cell, "test")]
        rate = picked(found, cell, k or REGIMES[name].steps[1]) if of_arm else None
        cells[arm] = {row["task"]: row for row in of_arm if row["rate"] == rate}
    both = sorted(set(cells["meta"]) & set(cells[other]))
    kept = [[cells[arm][task] for arm in ("meta", other)] for task in both]
    return {
        task: (*(row["nats"][str(k)] for row in its), *(row["trained on"] for row in its))
        for task, its in zip(both, kept, strict=True)
    }


def told(pairs: dict[int, tuple[float, ...]]) -> str:
    meta, its, *counts = (list(column) for column in zip(*pairs.values(), strict=True))
    lead, interval = paired_bootstrap(meta, its)
    assert interval is not None
    return (
        f"{mean_interval(meta)[0]:.4f} against {mean_interval(its)[0]:.4f}: {lead:+.4f} [{interval[0]:+.4f}, "
        f"{interval[1]:+.4f}] on {len(pairs)} tasks, trained on {counts[0][0]:.0f} and {counts[1][0]:.0f}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        for each in sys.argv[4:] or REGIMES:
            arm, _, alone = each.rpartition(":")
            for one in [arm] if arm else ("meta", "joint", "start"):
                run(alone, one, int(sys.argv[3]), Path(sys.argv[2]), folder)
    else:
        table(Path(sys.argv[1]))
