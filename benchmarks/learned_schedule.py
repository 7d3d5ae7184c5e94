"""What `LearnedSchedule` adds to the steps of a training: MiniLM with a head on the 150 intents of clinc150, all weights, AdamW.

python benchmarks/learned_schedule.py [STEPS] [EVERY]     (40 steps in turns with and without, a decision every 10; one thread)

A minibatch is 32 sentences. Medians of a step without a schedule, with one where nothing is decided, and with one where a
decision is made; "ratio" is over the steps from one decision to the next. The policy is not trained: its time is the same.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy import LearnedSchedule, Strategy, models
from quickstudy.models.policy import RecurrentPolicy
from quickstudy.tasks.environments.environment import Interface
from quickstudy.tasks.environments.spaces import Discrete
from quickstudy.tasks.named import named

BATCH = 32


def main(steps: int = 40, every: int = 10) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table, encoder = named("clinc150"), models.load("minilm")
    classes = {label: number for number, label in enumerate(table.classes)}
    head = nn.Linear(encoder.dim, len(classes))
    moved = [*encoder.module.parameters(), *head.parameters()]
    for each in moved:
        each.requires_grad_()
    plain, scheduled = (torch.optim.AdamW(moved, 2e-5) for _ in range(2))
    policy = Strategy(RecurrentPolicy(Interface(8, Discrete(5))))
    policy.model.actor.bias.data[2] = 1.0  # keeps the rate
    schedule = LearnedSchedule(scheduled, policy, steps + 2, every=every)
    seconds: dict[str, list[float]] = {"without": [], "with": [], "deciding": []}

    def step(optimizer: torch.optim.Optimizer, rows: list[int], follow: bool) -> float:
        texts, labels = [table.texts[row] for row in rows], torch.tensor([classes[table.labels[row]] for row in rows])
        begun = time.perf_counter()
        loss = F.cross_entropy(head(encoder(texts)), labels)
        loss.backward()
        optimizer.step()
        if follow:
            schedule.step(loss)
        optimizer.zero_grad()
        return time.perf_counter() - begun

    for at in range(steps + 1):
        rows = torch.randint(len(table.texts), (BATCH,)).tolist()
        [encoder.tokenize(table.texts[row]) for row in rows]
        name = "deciding" if schedule.due else "with"
        pair = (("without", plain), (name, scheduled))
        for name, optimizer in pair if at % 2 else pair[::-1]:
            taken = step(optimizer, rows, optimizer is scheduled)
            if at:  # the first one allocates
                seconds[name].append(taken)
    found = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = ((every - 1) * found["with"] + found["deciding"]) / every / found["without"]
    row = {"steps": steps, "every": every} | {name: round(value, 4) for name, value in found.items()}
    print(json.dumps(row | {"parameters": sum(map(torch.Tensor.numel, moved)), "ratio": round(ratio, 4)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
