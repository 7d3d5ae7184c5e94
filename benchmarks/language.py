"""Which start adapts fastest to a new domain of text: SmolLM2-135M, learned on other domains, judged on medical topics.

python benchmarks/language.py OUT SEED METHOD...     (goes on where it stopped; OUT collects one line a task and cell)
python benchmarks/language.py OUT                    (the table of all that OUT holds)
TOPICS=12 RATES=0.002,0.004 STEPS=0,1,2 python benchmarks/language.py ...   (fewer topics of each set, a quarter as many to pick)

A method is one of METHODS, or the folder of a run, such as that of recipes/language/joint.yaml. LoRA of rank 8 on the four top
layers, but for the ADAPTERS. All that learn a start: the same 100 training tasks (4 + 4 blocks of 128 tokens from topics of seven
domains whose licence lets a start be shipped), seen twice, Adam outside. Each cell (method, k) takes the rate that was best on 12
tasks of three other domains, from the same grid for all. The test: 50 disjoint topics each of PubMedQA and MedQuAD.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from quickstudy import MAML, Episodes, FineTune, JointTraining, Rates, Reptile, Task, models
from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap
from quickstudy.evaluation.steps import scores_after
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.device import chosen as on
from quickstudy.models.device import device_of
from quickstudy.models.loading import tokenizer
from quickstudy.runs.opening import open_run
from quickstudy.tasks.documents import documents
from quickstudy.tasks.named import data_folder
from quickstudy.tasks.text_domains import TextDomains

TRAIN = [
    "encyclopedia_wikitext2", "fiction_gutenberg", "finance_reports", "legal_contracts",
    "reviews_movie", "software_manual", "source_code_python",
]  # fmt: skip
VALID, TEST = ["science_abstracts_inspec", "news_bbc", "recipes"], ["medical_pubmedqa", "medical_medquad"]
BLOCKS, STEPS = 4, [*map(int, os.environ.get("STEPS", "0,1,2,4").split(","))]
TOPICS, RATES = int(os.environ.get("TOPICS", "50")), [*map(float, os.environ.get("RATES", "1e-3,2e-3,4e-3,8e-3").split(","))]
FAR, FULL_RATES = [0, 1, 2, 4, 8, 16, 32], [2e-5, 5e-5, 1e-4, 2e-4]
"""How far fine-tuning is followed, for what it can reach at all; the rates of fine-tuning all weights."""
TASKS, PASSES, A_STEP = 100, 2, 2
ADAPTERS: dict[str, Any] = {"fresh_all": 8, "full": None, "in_context": None}
"""Where they are not of rank 8 on the four top layers: on all of them, or none."""
MEMORY = 2**30
"""Bytes of what the frozen layers give, kept over all methods of a process."""


def maml(net: torch.nn.Module, **settings: Any) -> GradientLearner:
    return MAML(net, 1e-3, 1e-3, rule="adam", **settings)


METHODS: dict[str, Callable[[torch.nn.Module], GradientLearner]] = {
    "fresh": lambda net: FineTune(net, steps=1),
    "fresh_all": lambda net: FineTune(net, steps=1),
    "full": lambda net: FineTune(net, steps=1, space="."),
    "joint": lambda net: JointTraining(net, outer_lr=1e-3),
    "reptile": lambda net: Reptile(net, 1e-3, 0.5, inner_steps=2, rule="adam"),
    "first_order": lambda net: maml(net, inner_steps=1, gradient="first_order"),
    "exact": lambda net: maml(net, inner_steps=1),
    "exact_2": lambda net: maml(net, inner_steps=2),
    "rates": lambda net: MAML(net, Rates(1e-3, per="layer", steps=2), 1e-3, rule="adam", inner_steps=2),
}


def text(names: list[str], tokenizer: Any, size: int) -> TextDomains:
    folder = data_folder()
    assert folder is not None
    return TextDomains(documents([folder / "domain_text" / f"{name}.jsonl.gz" for name in names]), tokenizer, size=size)


def medical_topics(tokenizer: Any, topics: int) -> list[Task]:
    chosen = []
    for name in TEST:
        every = text([name], tokenizer, 8).each(BLOCKS, BLOCKS)
        chosen += [every[i] for i in np.random.default_rng(0).permutation(len(every))[:topics]]
    return chosen


def trained(method: str, net: Any, tasks: list[Task], seed: int, out: Path) -> GradientLearner:
    """The learner after training, from the folder where it has been before."""
    if Path(method).is_dir():
        return FineTune(net, steps=1)
    learner, file = METHODS[method](net), out / f"{method}-{seed}.safetensors"
    if method in ("fresh", "fresh_all", "full"):
        return learner
    learned = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    if file.is_file():
        with torch.no_grad():
            for name, value in load_file(file).items():
                learned[name].copy_(value)
        return learner
    sgd = isinstance(learner, Reptile)
    optimizer = (torch.optim.SGD if sgd else torch.optim.Adam)(learner.parameters(), lr=learner.outer_lr)
    order = [i for turn in range(PASSES) for i in np.random.default_rng((seed, turn)).permutation(len(tasks))]
    steps, begun = len(order) // A_STEP, time.process_time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learner.outer_lr * min(1.0, (step + 1) / 5) * (1 - step / steps)
        optimizer.zero_grad()
        loss = learner([tasks[i] for i in order[A_STEP * step : A_STEP * (step + 1)]])
        loss.backward()
        optimizer.step()
        if step % 5 == 0:
            seconds = round(time.process_time() - begun)
            print(f"{method} {seed}: step {step} of {steps}, loss {loss.item():.3f}, {seconds} s", flush=True)
    save_file({name: p.detach().clone() for name, p in learned.items()}, file)
    seconds = round(time.process_time() - begun)
    with (out / "costs.jsonl").open("a") as log:
        log.write(json.dumps({"method": method, "seed": seed, "processor seconds": seconds, "tasks": len(order)}) + "\n")
    return learner


def adapting(learner: GradientLearner, method: str, rate: float, net: Any) -> GradientLearner:
    """Adam from the learned start, at this rate; learned rates are taken times it."""
    if method != "rates":
        return MAML(net, rate, rule="adam", gradient="first_order", space="." if method == "full" else "trainable")
    return learner


def judge(method: str, seed: int, net: Any, learner: GradientLearner, tasks: dict[str, list[Task]], out: Path) -> None:
    log = out / "scores.jsonl"
    known = {(r["method"], r["seed"], r["part"], r["rate"], r["task"]) for r in rows(out)}
    steps = steps_of(method)

    def score(part: str, rate: float) -> None:
        its = adapting(learner, method, rate, net)
        for number, task in enumerate(tasks[part]):
            if (method, seed, part, rate, number) not in known:
                scores = scores_after(its, task, steps)
                row = {"method": method, "seed": seed, "part": part, "rate": rate, "task": number, "nats": scores}
                with log.open("a") as file:
                    file.write(json.dumps(row) + "\n")

    for rate in {"rates": [1.0], "full": FULL_RATES}.get(method, RATES):
        score("valid", rate)
    for rate in sorted({chosen(rows(out), method, seed, k) for k in steps[1:]}):
        score("test", rate)


def steps_of(method: str) -> list[int]:
    return FAR if method == "fresh" else STEPS[:3] if method == "rates" else STEPS


def in_context(net: Any, tasks: list[Task], out: Path) -> None:
    """The support before each query block, and no step: k = 0."""
    learner, known = InContext(net), {(r["method"], r["task"]) for r in rows(out)}
    for number, task in enumerate(tasks):
        if ("in_context", number) not in known:
            task = task.to(device_of(net))
            nats = next(iter(task.score(learner.adapt(task.support)).values()))
            row = {"method": "in_context", "seed": 0, "part": "test", "rate": 0.0, "task": number, "nats": {"0": nats}}
            with (out / "scores.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")


@cache
def loaded(adapters: str, seed: int) -> tuple[Any, dict[str, torch.Tensor]]:
    """One model for all methods with the same adapters, with what its frozen layers made of the texts; its fresh adapters."""
    net = models.load("smollm2", lora=json.loads(adapters), seed=seed).to(on())
    net._frozen.kept.room = MEMORY
    return net, {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}


def untrained(method: str, seed: int) -> Any:
    net, start = loaded(json.dumps(ADAPTERS.get(method, {"r": 8, "layers": 4})), seed)
    own = dict(net.named_parameters())
    with torch.no_grad():
        for name, value in start.items():
            own[name].copy_(value)
    return net


def rows(out: Path) -> list[dict[str, Any]]:
    log = out / "scores.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def chosen(found: list[dict[str, Any]], method: str, seed: int, k: int) -> float:
    """The rate that was best on the validation tasks after k steps."""
    if method == "in_context":
        return 0.0
    by_rate = defaultdict(list)
    for row in found:
        if (row["method"], row["seed"], row["part"]) == (method, seed, "valid"):
            by_rate[row["rate"]].append(row["nats"][str(k)])
    return min(by_rate, key=lambda rate: float(np.mean(by_rate[rate])))


def table(out: Path) -> None:
    """Means by method, set and k, with the paired difference from fresh adapters and from joint training."""
    found = rows(out)
    cells = {}
    for method, seed in dict.fromkeys((row["method"], row["seed"]) for row in found if row["part"] == "test"):
        for k in [0] if method == "in_context" else steps_of(method):
            rate = chosen(found, method, seed, max(k, 1))
            of_cell = [r for r in found if (r["method"], r["seed"], r["part"], r["rate"]) == (method, seed, "test", rate)]
            cells[method, seed, k] = {row["task"]: row["nats"][str(k)] for row in of_cell}
    for name, inside in (("PubMedQA", range(TOPICS)), ("MedQuAD", range(TOPICS, 2 * TOPICS)), ("both", range(2 * TOPICS))):
        print(f"\n{name}")
        for (method, seed, k), nats in cells.items():
            values = [nats[i] for i in inside if i in nats]
            if len(values) < 2:
                continue
            line = f"{method:12} seed {seed} k={k}: {mean_interval(values)[0]:.4f} ({len(values)})"
            for other in ("fresh", "joint"):
                theirs = cells.get((other, 0 if other == "fresh" else seed, k))
                both = [i for i in inside if theirs and i in nats and i in theirs]
                if theirs and method != other and len(both) > 1:
                    lead, interval = paired_bootstrap([nats[i] for i in both], [theirs[i] for i in both])
                    assert interval is not None
                    line += f" | - {other}: {lead:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}]"
            print(line)


def main(out: Path, seed: int, methods: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    words = tokenizer("smollm2")
    drawn = Episodes(text(TRAIN, words, 16), shots=BLOCKS, queries=BLOCKS, tasks=TASKS)[0]
    valid = Episodes(text(VALID, words, 16), shots=BLOCKS, queries=BLOCKS, tasks=TOPICS // 4)[0]
    tasks = {"valid": valid, "test": medical_topics(words, TOPICS)}
    for method in methods:
        net = open_run(method)[1].model.to(on()) if Path(method).is_dir() else untrained(method, seed)
        if method == "in_context":
            in_context(net, tasks["test"], out)
        else:
            judge(Path(method).name, seed, net, trained(method, net, drawn, seed, out), tasks, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    else:
        table(Path(sys.argv[1]))
