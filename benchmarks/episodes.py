"""Seconds to evaluate 1,000 five-way episodes with Centroid and Prototypical, after each sentence was embedded once.

python benchmarks/episodes.py     (banking77, fold 1, 1 shot, 5 queries; QUICKSTUDY_DATA)
"""

from __future__ import annotations

import json
import time

import torch

from quickstudy import Centroid, Episodes, Prototypical, models
from quickstudy.evaluation.evaluate import evaluate
from quickstudy.tasks.named import select_part


def main() -> None:
    torch.set_num_threads(1)
    pool, _ = select_part("banking77", split="test", fold=1)
    encoder = models.load("minilm")
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    begun = time.perf_counter()
    tasks = Episodes(pool, ways=5, shots=1, queries=5, tasks=1000, seed=0)[0]
    drawn = time.perf_counter() - begun
    sentences = sorted({s for task in tasks for batch in (task.support, task.query) for s in batch.inputs})
    encoder.module.register_forward_hook(count)
    begun = time.perf_counter()
    with encoder.remember(encoder.memory(sentences)):
        embedded, embedding_calls = time.perf_counter() - begun, calls
        for learner in (Centroid(encoder), Prototypical(encoder)):
            begun = time.perf_counter()
            result = evaluate(learner, tasks)
            row = {
                "learner": type(learner).__name__,
                "tasks": len(tasks),
                "accuracy": round(result["results"][0]["mean"], 4),
                "seconds_after_embedding": round(time.perf_counter() - begun, 2),
                "seconds_drawing_tasks": round(drawn, 2),
                "seconds_embedding": round(embedded, 1),
                "sentences": len(sentences),
                "model_calls_after_embedding": calls - embedding_calls,
            }
            print(json.dumps(row))


if __name__ == "__main__":
    main()
