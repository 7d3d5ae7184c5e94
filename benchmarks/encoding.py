"""Seconds to encode sentences, beside sentence-transformers with its defaults, in turns in one process.

pip install sentence-transformers; python benchmarks/encoding.py     (512 questions of banking77, seven rounds, one thread)
"""

from __future__ import annotations

import json
import statistics
import time

import torch
from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]

from quickstudy import models
from quickstudy.models.loading import _source
from quickstudy.tasks.named import named

ROUNDS = 7


def main() -> None:
    torch.set_num_threads(1)
    sentences = named("banking77").texts[:512]
    ours, theirs = models.load("minilm"), SentenceTransformer(str(_source("minilm")), device="cpu")
    seconds: dict[str, list[float]] = {"quickstudy": [], "sentence-transformers": []}
    for _ in range(ROUNDS):
        for name, encode in (("quickstudy", ours.embed), ("sentence-transformers", theirs.encode)):
            begun = time.perf_counter()
            found = torch.as_tensor(encode(sentences))
            seconds[name].append(time.perf_counter() - begun)
            if name == "quickstudy":
                mine = found
            else:
                assert torch.allclose(mine, found.cpu(), atol=1e-5)
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    row = {name: round(statistics.median(values), 2) for name, values in seconds.items()}
    print(
        json.dumps(
            row
            | {
                "sentences": len(sentences),
                "times as fast, median": round(statistics.median(ratios), 2),
                "ratios": [round(r, 2) for r in ratios],
            }
        )
    )


if __name__ == "__main__":
    main()
