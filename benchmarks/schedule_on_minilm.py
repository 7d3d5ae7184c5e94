"""The learned schedule carried, untouched, from small classifiers to LoRA on MiniLM: beside a tuned cosine and kept rates.

python benchmarks/schedule_on_minilm.py [STRATEGY]      (a run of recipes/rl/learned-rate.yaml; by default the one that ships)

A training: 10 intents of clinc150, 30 sentences each, LoRA of rank 8 on all layers and a linear head, AdamW, 120 steps of 16;
judged on 20 other sentences each. The cosine (10 steps of warm-up) gets the best peak of a grid on two trainings of others;
the schedule begins at each rate of the grid in turn. Prints a JSON line for each training.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from quickstudy import LearnedSchedule, models
from quickstudy.tasks.named import select_part

GRID, STEPS, BATCH, WAYS, ROWS, HELD_OUT, TUNED_ON, JUDGED_ON = (3e-4, 1e-3, 3e-3, 1e-2), 120, 16, 10, 30, 20, 2, 3


def training(part: str, number: int):
    """Sentences and classes, to learn from and to be judged on."""
    table = select_part("clinc150", split=part, fold=1)[0]
    chosen = np.random.default_rng(number).permutation(len(table.classes))[:WAYS]
    rows = [table.rows_of(table.classes[at])[: ROWS + HELD_OUT] for at in chosen]
    learn = [(table.texts[row], label) for label, its in enumerate(rows) for row in its[:ROWS]]
    judge = [(table.texts[row], label) for label, its in enumerate(rows) for row in its[ROWS:]]
    return learn, judge


def trained(learn, judge, rate: float, schedule: Callable | None) -> dict[str, float]:
    """Loss and accuracy at the end, and the last rate; `schedule` makes what has a `step(loss, validation)` of an optimizer."""
    model = models.load("minilm", lora=8, seed=0)
    head = torch.nn.Linear(model.dim, WAYS)
    torch.nn.init.zeros_(head.weight), torch.nn.init.zeros_(head.bias)
    optimizer = torch.optim.AdamW([p for p in [*model.parameters(), *head.parameters()] if p.requires_grad], lr=rate)
    its, generator = schedule(optimizer) if schedule else None, torch.Generator().manual_seed(0)

    def loss_of(rows) -> tuple[torch.Tensor, torch.Tensor]:
        logits, labels = 10 * head(model([text for text, _ in rows])), torch.tensor([label for _, label in rows])
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()

    def judged() -> tuple[float, float]:
        with torch.no_grad():
            loss, accuracy = loss_of(judge)
        return loss.item(), accuracy.item()

    for _ in range(STEPS):
        loss, _ = loss_of([learn[at] for at in torch.randint(len(learn), (BATCH,), generator=generator).tolist()])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if isinstance(its, LearnedSchedule):
            its.step(loss, judged()[0] if its.due else None)
        elif its:
            its.step()
    loss, accuracy = judged()
    return {"loss": round(loss, 4), "accuracy": round(accuracy, 4), "last rate": optimizer.param_groups[0]["lr"]}


def cosine(optimizer: torch.optim.Optimizer):
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 10) * (1 + math.cos(math.pi * step / STEPS)) / 2
    )


def main(strategy: str) -> None:
    torch.set_num_threads(1)

    def learned(optimizer: torch.optim.Optimizer) -> LearnedSchedule:
        return LearnedSchedule(optimizer, strategy, STEPS)

    tuning = {
        name: min(
            GRID, key=lambda rate: sum(math.log(trained(*training("train", at), rate, make)["loss"]) for at in range(TUNED_ON))
        )
        for name, make in (("cosine", cosine), ("constant", None))
    }
    print(json.dumps({"tuned": tuning}), flush=True)
    for at in range(JUDGED_ON):
        task = training("test", at)
        found = {f"cosine from {tuning['cosine']}": trained(*task, tuning["cosine"], cosine)}
        found[f"constant {tuning['constant']}"] = trained(*task, tuning["constant"], None)
        found |= {f"learned from {rate}": trained(*task, rate, learned) for rate in GRID}
        print(json.dumps({"training": at, **found}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "learned-rate")
