"""Memory and seconds to read a table of a million rows.

python benchmarks/million.py     (made-up sentences of ten words, 500 labels, seed 0; about 68 MB on disk)
"""

from __future__ import annotations

import json
import random
import resource
import tempfile
import time
from pathlib import Path

from quickstudy import Table

ROWS = 1_000_000


def main() -> None:
    words, generator = [f"word{i}" for i in range(5000)], random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "million.csv"
        with file.open("w", encoding="utf-8") as out:
            out.write("text,label\n")
            for row in range(ROWS):
                out.write(f"{' '.join(generator.choices(words, k=8))} {row},label_{row % 500}\n")
        before, begun = _resident(), time.perf_counter()
        table = Table.read(file)
        classes = len(table.classes)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        row = {"rows": len(table), "labels": classes, "file MB": round(file.stat().st_size / 1e6)}
        row |= {"grown by MB": round((_resident() - before) / 1e6), "at most MB": round((peak - before) / 1e6)}
        print(json.dumps(row | {"seconds": round(time.perf_counter() - begun, 1)}))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
