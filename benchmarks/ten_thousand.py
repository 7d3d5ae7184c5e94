"""Seconds that `quickstudy predict` takes on a file of 10,000 different questions, with nothing on disk before.

python benchmarks/ten_thousand.py     (half of them from banking77, half from clinc150; 8 labels with 5 sentences each)
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from quickstudy import Episodes
from quickstudy.tasks.named import named

COUNT = 10_000


def main() -> None:
    table = named("banking77")
    support = Episodes(table, ways=8, shots=5, queries=1, tasks=1, seed=0)[0][0].support
    each = [list(dict.fromkeys(" ".join(s.split()) for s in named(name).texts)) for name in ("banking77", "clinc150")]
    sentences = [sentence for texts in each for sentence in texts[: COUNT // 2]]
    assert len(set(sentences)) == COUNT
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with (place / "support.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *zip(support.inputs, support.targets, strict=True)])
        (place / "asked.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
        environment = os.environ | {"QUICKSTUDY_CACHE": str(place / "cache")}
        quickstudy = [sys.executable, "-m", "quickstudy"]
        adapt = [*quickstudy, "adapt", "--support", "support.csv", "--out", "clf"]
        subprocess.run(adapt, cwd=place, env=environment, check=True, capture_output=True)
        begun, spent = time.perf_counter(), _spent()
        answered = subprocess.run(
            [*quickstudy, "predict", "clf", "--file", "asked.txt"], cwd=place, env=environment, check=True, capture_output=True
        )
        seconds, spent = time.perf_counter() - begun, _spent() - spent
    assert answered.stdout.count(b"\n") == COUNT
    threads = environment.get("OMP_NUM_THREADS")
    row = {"sentences": COUNT, "threads": threads, "seconds": round(seconds, 1), "processor seconds": round(spent, 1)}
    print(json.dumps(row))


def _spent() -> float:
    """Processor seconds of the processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
