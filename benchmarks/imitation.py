"""Robots that learn from one demonstration: recordings, runs, and evaluations beside the baselines; several seeds.

python benchmarks/imitation.py work --recipes reach push pick-place --seeds 0 1 2    # goes on where it was broken off
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from quickstudy.cli.main import run
from quickstudy.evaluation.statistics import mean_interval
from quickstudy.runs.recordings import read_demonstrations
from quickstudy.tasks.robots.find import find_robot

RECIPES = Path(__file__).parents[1] / "recipes" / "robots"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["reach", "push", "pick-place"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    for recipe in given.recipes:
        robot = next(name for name in ("reach-v3", "push-v3", "pick-place-v3") if name.startswith(recipe.removesuffix("-anil")))
        demonstrations = given.work / "demos" / robot
        called("robots", "record", robot, "--out", demonstrations)
        called("robots", "record", robot, "--out", demonstrations, "--part", "test", "--each", 1)
        kept = given.work / f"{robot}-repeated.json"
        if not kept.is_file():
            kept.write_text(json.dumps(repeated(robot, demonstrations)))
        print(json.dumps({"robot": robot, "repeating the demonstration": json.loads(kept.read_text())}), flush=True)
        for seed in given.seeds:
            folder = given.work / f"{recipe}-{seed}"
            changed = [f"--set=data.demonstrations={demonstrations}", f"--set=seed={seed}"]
            called("train", RECIPES / f"{recipe}.yaml", "--out", folder, "--resume", *changed)
            found = given.work / f"{recipe}-{seed}.json"
            if not found.is_file():
                called("evaluate", folder, "--baselines", "full", "--json", found)
            said(recipe, seed, json.loads(found.read_text()))


def called(*arguments: object) -> None:
    if code := run([str(each) for each in arguments]):
        raise SystemExit(code)


def repeated(name: str, demonstrations: Path) -> tuple:
    """How often the demonstrated actions do the task from another start."""
    robot, shares = find_robot(name), []
    for task in read_demonstrations(demonstrations, "test").attempts(robot):
        attempts, done = task.query.inputs, 0
        for seed in attempts.seeds:
            robot.begin(attempts.part, attempts.task, seed)
            done += any(robot.step(action.numpy())[1] for action in task.support.targets.double())
        shares.append(done / len(attempts))
    return mean_interval(shares)


def said(recipe: str, seed: int, result: dict) -> None:
    means = {row["learner"]: (row["mean"], row["ci95"]) for row in result["results"]}
    leads = {each["against"]: (each["difference"], each["ci95"]) for each in result["comparisons"]}
    expert = result["expert"]["mean"]
    print(json.dumps({"recipe": recipe, "seed": seed, "expert": expert, "success": means, "leads": leads}), flush=True)


if __name__ == "__main__":
    main()
