"""The rate and the number of steps of the baselines that fine-tune, chosen on helpdesk's validation classes.

python benchmarks/fine_tuning.py [LoRA all head]     (MiniLM, Adam; 5 ways, 10 queries, seed 0; one thread, half an hour)

LoRA is of rank 8; "all" moves every weight, "head" the head alone. One path of steps for each task and rate, judged on the
way. Of 5 shots, each step of which takes four times as long, there are fewer tasks, and the high rates of LoRA, which have
arrived by then, stop at 20 steps; of all weights, each step of which takes four times as long again, there are 10.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from quickstudy import Centroid, Episodes, FineTune, LogisticProbe, Task, models
from quickstudy.inner.rules import Adam
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.baselines.fine_tune import CHOSEN
from quickstudy.learners.gradient import HEAD
from quickstudy.models.heads import LinearHead
from quickstudy.tasks.named import select_part

RATES = {"LoRA": (3e-4, 1e-3, 3e-3, 1e-2), "all": (3e-5, 1e-4, 3e-4), "head": (1e-3, 1e-2, 1e-1)}
STEPS = (10, 20, 50)
TASKS = {1: 10, 5: 6}


class Watched(Adam):
    """Adam, and the parameters after some of its steps."""

    def __init__(self, lr: float):
        super().__init__(lr)
        self.seen, self.begun = {}, time.process_time()

    def update(self, step, phi, state, gradient):
        phi, state = super().update(step, phi, state, gradient)
        if step + 1 in STEPS:
            self.seen[step + 1] = phi, time.process_time() - self.begun
        return phi, state


def main(moving: list[str]) -> None:
    torch.set_num_threads(1)
    pool, _ = select_part("helpdesk", split="valid", fold=1)
    plain, adapters = models.load("minilm"), models.load("minilm", lora=8)
    for shots, count in TASKS.items():
        tasks = Episodes(pool, ways=5, shots=shots, queries=10, tasks=count, seed=0)[0]
        with plain.remember(plain.memory(pool.texts)):
            for learner in (Centroid(plain), LogisticProbe(plain)):
                accuracy = mean([accuracy_of(task, learner.adapt(task.support)) for task in tasks])
                show(shots=shots, learner=learner.title, tasks=count, accuracy=accuracy)
            for moved in moving:
                model = adapters if moved == "LoRA" else plain
                for lr in RATES[moved]:
                    steps = 10 if moved == "all" else 20 if moved == "LoRA" and shots > 1 and lr > 1e-3 else 50
                    learner = FineTune(model, lr, steps=steps, space=CHOSEN[moved]["space"])
                    for row in judged(learner, tasks):
                        show(shots=shots, moved=moved, lr=lr, **row)


def judged(learner: FineTune, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
    """Accuracy and processor seconds a task, for each number of steps."""
    accuracies, seconds = defaultdict(list), defaultdict(list)
    for task in tasks:
        for at, (accuracy, spent) in judged_on_the_way(learner, task).items():
            accuracies[at].append(accuracy)
            seconds[at].append(spent)
    for at, values in accuracies.items():
        spent = round(sum(seconds[at]) / len(tasks), 1)
        yield {"steps": at, "tasks": len(tasks), "accuracy": mean(values), "cpu_seconds_per_task": spent}


def judged_on_the_way(learner: FineTune, task: Task) -> dict[int, tuple[float, float]]:
    """Accuracy and processor seconds after each number of steps."""
    learner.rule = watched = Watched(learner.rule.lr)
    end = learner.adapt(task.support)
    found = {}
    for at, (phi, spent) in watched.seen.items():
        body = {name: value for name, value in phi.items() if name not in HEAD}
        head = LinearHead(phi[HEAD[0]], phi[HEAD[1]])
        found[at] = accuracy_of(task, Adapted(end.model, end.call, phi=body, head=head, classes=end.classes)), spent
    return found


def accuracy_of(task: Task, adapted: Adapted) -> float:
    return task.score(adapted)["accuracy"]


def mean(values: list[float]) -> float:
    return round(100 * sum(values) / len(values), 1)


def show(**row) -> None:
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(RATES))
