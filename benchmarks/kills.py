"""Kills trainings, recordings and adaptations with `kill -9` at random moments, starts them again, and compares the ends.

    python benchmarks/kills.py train | record | adapt  [--trials 50] [--kills 1] [--seed 0] [--recipe FILE]

A trial is the same command, given again after each kill, in a folder of its own, with a cache of its own. A kill comes at a
random moment between the first file that the command writes and its end; a trial whose command has ended before is begun again.
train: a checkpoint comes after every step. The end is compared byte for byte with that of a command that was never killed (all
but `log.txt`, which tells the times). Prints one JSON line.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """\
learner: {name: maml, inner_lr: 0.01, outer_lr: 0.005, inner_steps: 2, rates: {per: layer}}
model: {mlp: [1, 200, 200, 1]}
data: {source: sinusoids}
episodes: {shots: 5, queries: 5, tasks: 2}
outer: {optimizer: adamw, weight_decay: 0.01, schedule: cosine, warmup: 0.1, clip: 1.0}
steps: 200
validation: {shots: 5, queries: 5, episodes: 2, every: 3}
checkpoint_every: 1
"""
OUT = "out"
COMMANDS = {
    "train": ["train", "recipe.yaml", "--out", OUT, "--resume"],
    "record": ["robots", "record", "reach-v3", "--out", OUT],
    "adapt": ["adapt", "--support", "mine.csv", "--out", OUT],
}


def start(what: str, place: Path) -> subprocess.Popen:
    """The command in a process of its own."""
    surroundings = os.environ | {"QUICKSTUDY_CACHE": str(place / "cache")}
    command = [sys.executable, "-m", "quickstudy", *COMMANDS[what]]
    return subprocess.Popen(command, cwd=place, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(what: str, place: Path) -> float:
    """Lets the command end, and gives the seconds it took."""
    begun = time.perf_counter()
    process = start(what, place)
    said = process.communicate()[1].decode()
    if process.returncode:
        sys.exit(f"{what} failed: {said}")
    return time.perf_counter() - begun


def written(place: Path) -> list[Path]:
    """The files that the command has written."""
    return [path for path in place.rglob("*") if path.is_file() and path.name not in ("recipe.yaml", "mine.csv")]


def digest(place: Path) -> str:
    """SHA-256 of the names and contents of all that must not depend on kills."""
    whole = hashlib.sha256()
    for file in sorted(path for path in (place / OUT).rglob("*") if path.is_file() and path.name != "log.txt"):
        whole.update(str(file.relative_to(place)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def kill(what: str, place: Path, within: float, generator: random.Random) -> bool:
    """Kills the command at a random moment so many seconds from its first file; False where it had ended by then."""
    there = len(written(place))
    with start(what, place) as process:
        while len(written(place)) <= there and process.poll() is None:
            time.sleep(0.002)
        try:
            process.wait(generator.uniform(0, within))
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    return False


def main() -> None:
    """Runs the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--kills", type=int, default=1, help="kills in each trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", type=Path, help="train: another recipe than the small one in this file")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    recipe = options.recipe.read_text() if options.recipe else RECIPE
    with tempfile.TemporaryDirectory() as folder:
        expected, within = uninterrupted(options.what, new_place(Path(folder, "whole"), recipe))
        identical = kills = tries = halves = 0
        for trial in range(options.trials):
            place, killed = new_place(Path(folder, f"trial{trial}"), recipe), 0
            while killed < options.kills:
                tries += 1
                if kill(options.what, place, within / options.kills, generator):
                    killed += 1
                else:
                    place, killed = new_place(place, recipe), 0
            kills += killed
            halves += any(".part" in str(path) for path in written(place))
            if not (options.what == "adapt" and (place / OUT).exists()):
                finish(options.what, place)
            identical += digest(place) == expected
            print(f"trial {trial}: {identical} identical", file=sys.stderr, flush=True)
    print(
        json.dumps(
            {
                "what": options.what,
                "trials": options.trials,
                "identical": identical,
                "kills": kills,
                "commands_started": tries,
                "trials_killed_while_writing_a_file": halves,
                "seed": options.seed,
            }
        )
    )
    sys.exit(identical != options.trials)


def new_place(place: Path, recipe: str) -> Path:
    """An empty folder with what the command reads: 8 labels of 5 sentences, a recipe."""
    from quickstudy import Episodes, Table

    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "recipe.yaml").write_text(recipe)
    (task,) = Episodes(Table.read("helpdesk"), ways=8, shots=5, queries=1, seed=0)[0]
    with open(place / "mine.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(task.support.inputs, task.support.targets, strict=True)])
    return place


def uninterrupted(what: str, place: Path) -> tuple[str, float]:
    """How it ends, and the seconds from its first file on."""
    process, begun = start(what, place), None
    while process.poll() is None:
        if begun is None and written(place):
            begun = time.perf_counter()
        time.sleep(0.002)
    if process.returncode or begun is None:
        sys.exit(f"the uninterrupted {what} failed")
    return digest(place), time.perf_counter() - begun


if __name__ == "__main__":
    main()
