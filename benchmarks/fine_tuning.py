"""The rate and the number of steps of the baseline that fine-tunes, chosen on helpdesk's validation classes.

python benchmarks/fine_tuning.py     (MiniLM, LoRA of rank 8, Adam; 5 ways, 10 queries, seed 0; one thread, a quarter hour)

One path of steps for each task and rate, judged on the way. Of 5 shots, each step of which takes four times as long, there
are fewer tasks, and the high rates, which have arrived by then, stop at 20 steps.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict

import torch

from quickstudy import Centroid, Episodes, FineTune, LogisticProbe, Task, models
from quickstudy.inner.rules import Adam
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.gradient import HEAD
from quickstudy.models.heads import LinearHead
from quickstudy.tasks.named import select_part

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
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


def main() -> None:
    torch.set_num_threads(1)
    pool, _ = select_part("helpdesk", split="valid", fold=1)
    plain, model = models.load("minilm"), models.load("minilm", lora=8)
    for shots, count in TASKS.items():
        tasks = Episodes(pool, ways=5, shots=shots, queries=10, tasks=count, seed=0)[0]
        with plain.remember(plain.memory(pool.texts)):
            for learner in (Centroid(plain), LogisticProbe(plain)):
                accuracy = mean([accuracy_of(task, learner.adapt(task.support)) for task in tasks])
                show(shots=shots, learner=type(learner).__name__, tasks=count, accuracy=accuracy)
        for lr in RATES:
            steps = 20 if shots > 1 and lr > 1e-3 else 50
            accuracies, seconds = defaultdict(list), defaultdict(list)
            for task in tasks:
                for at, (accuracy, spent) in judged_on_the_way(FineTune(model, lr, steps=steps), task).items():
                    accuracies[at].append(accuracy)
                    seconds[at].append(spent)
            for at, values in accuracies.items():
                row = {"lr": lr, "steps": at, "tasks": count, "accuracy": mean(values)}
                show(shots=shots, **row, cpu_seconds_per_task=round(sum(seconds[at]) / count, 1))


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
    main()
