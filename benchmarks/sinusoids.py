"""How far the adapted error falls on fresh sinusoids: the documentation's training loop, 1,200 steps of 8 tasks.

python benchmarks/sinusoids.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice

import torch

from quickstudy import MAML, Episodes, Learner, Reptile, Sinusoids
from quickstudy.models.networks import mlp

STEPS = 1200
LEARNERS: dict[str, Callable[[torch.nn.Module], Learner]] = {
    "maml": lambda model: MAML(model),
    "first order": lambda model: MAML(model, gradient="first_order"),
    "reptile": lambda model: Reptile(model),
    "joint": lambda model: MAML(model, inner_steps=0),
}


def main() -> None:
    torch.set_num_threads(1)
    fresh = Episodes(Sinusoids(), shots=10, queries=10, tasks=60, seed=99)[0]
    for name, make in LEARNERS.items():
        model = mlp([1, 40, 40, 1], seed=0)
        learner, judge = make(model), MAML(model)
        before = error(judge, fresh)
        optimizer = torch.optim.Adam(learner.parameters(), lr=learner.outer_lr)
        for tasks in islice(Episodes(Sinusoids(), shots=10, queries=10, tasks=8, seed=1), STEPS):
            optimizer.zero_grad()
            loss = learner(tasks)
            loss.backward()
            optimizer.step()
        print(json.dumps({"learner": name, "fold": round(before / error(judge, fresh), 2)}), flush=True)


def error(learner: Learner, tasks: list) -> float:
    return sum(task.score(learner.adapt(task.support))["squared_error"] for task in tasks) / len(tasks)


if __name__ == "__main__":
    main()
