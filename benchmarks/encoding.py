"""Seconds to encode sentences, beside sentence-transformers with its defaults, in turns in one process.

pip install sentence-transformers; python benchmarks/encoding.py     (questions of banking77, five rounds, one thread)

512, which are always encoded in float32, and 2,000, which are encoded in bfloat16 where the processor multiplies it by itself.
Each round tokenizes anew, and nothing is kept on disk.
"""

from __future__ import annotations

import json
import os
import statistics
import time

import torch
import torch.nn.functional as F
from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]

from quickstudy import models
from quickstudy.models.hub import source_of
from quickstudy.models.precision import AGREE, MANY
from quickstudy.tasks.named import named

ROUNDS = 5
COUNTS = (512, 2000)


def main() -> None:
    torch.set_num_threads(1)
    os.environ["QUICKSTUDY_CACHE"] = "off"
    theirs = SentenceTransformer(str(source_of("minilm")), device="cpu")
    for count in COUNTS:
        ours = models.load("minilm")
        sentences = list(dict.fromkeys(named("banking77").texts))[:count]
        ours.memory(sentences[:MANY])  # the choice of the precision, once a process
        seconds: dict[str, list[float]] = {"quickstudy": [], "sentence-transformers": []}
        cosines = []
        for _ in range(ROUNDS):
            ours._tokens.clear()
            begun = time.perf_counter()
            memory = ours.memory(sentences)
            seconds["quickstudy"].append(time.perf_counter() - begun)
            begun = time.perf_counter()
            found = torch.as_tensor(theirs.encode(sentences))
            seconds["sentence-transformers"].append(time.perf_counter() - begun)
            cosines.append(F.cosine_similarity(torch.stack([memory[s] for s in sentences]), found).mean().item())
        assert min(cosines) >= AGREE, cosines
        ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
        row = {name: round(statistics.median(values), 2) for name, values in seconds.items()} | {
            "sentences": count,
            "bfloat16": bool(ours._half_pays) and count >= MANY,
            "times as fast, median": round(statistics.median(ratios), 2),
            "ratios": [round(r, 2) for r in ratios],
            "mean cosine": round(statistics.mean(cosines), 5),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
