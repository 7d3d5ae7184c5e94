"""Kills trainings with `kill -9` at random moments, resumes them, and compares the end with a run that was never killed.

    python benchmarks/kills.py --trials 20 --kills 1 --seed 0

A trial starts a training in a process of its own, kills it a random moment (0 to 0.1 s) after a random step, starts it
again with resume, and so on for `--kills` kills, then lets it end. A checkpoint comes after every step, so that some kills
hit a file while it is being written. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
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
TRAIN = """\
import sys
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train
train(Recipe.read(sys.argv[1]), sys.argv[2], resume=True)
"""


def start(recipe: Path, out: Path) -> subprocess.Popen:
    """A training in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", TRAIN, str(recipe), str(out)])


def digest(run: Path) -> str:
    """SHA-256 of all that must not depend on kills, and of nothing else."""
    whole = hashlib.sha256()
    for file in sorted([*run.glob("learner/*"), *run.glob("checkpoint/*"), run / "metrics.jsonl", run / "recipe.yaml"]):
        whole.update(str(file.relative_to(run)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def steps_done(run: Path) -> int:
    """Lines of the metrics that tell of a step."""
    metrics = run / "metrics.jsonl"
    return metrics.read_bytes().count(b'"loss"') if metrics.exists() else 0


def kill_after(process: subprocess.Popen, run: Path, step: int, seconds: float) -> None:
    """Kills a training some seconds after it has done so many steps."""
    while steps_done(run) < step and process.poll() is None:
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.wait()


def main() -> None:
    """Runs the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=1, help="kills in each trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", type=Path, help="another recipe than the small one in this file")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        recipe = options.recipe or Path(folder, "recipe.yaml")
        if not options.recipe:
            recipe.write_text(RECIPE)
        whole = Path(folder, "whole")
        if start(recipe, whole).wait():
            sys.exit("the uninterrupted training failed")
        expected, steps = digest(whole), steps_done(whole)
        identical, killed_at, leftovers = 0, [], 0
        for trial in range(options.trials):
            run = Path(folder, f"trial{trial}")
            for step in sorted(generator.randrange(steps) for _ in range(options.kills)):
                kill_after(start(recipe, run), run, max(step, steps_done(run) + 1), generator.uniform(0, 0.1))
                killed_at.append(steps_done(run))
                leftovers += len(list(run.rglob(".*.part")))
            ended = start(recipe, run).wait() == 0
            identical += ended and digest(run) == expected
        result = {
            "trials": options.trials,
            "identical": identical,
            "kills": len(killed_at),
            "kills_while_writing_a_file": leftovers,
            "steps": steps,
            "steps_done_when_killed": killed_at,
            "seed": options.seed,
        }
        print(json.dumps(result))
        sys.exit(identical != options.trials)


if __name__ == "__main__":
    main()
