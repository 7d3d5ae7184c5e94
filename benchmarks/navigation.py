"""How fast agents find a hidden goal in the plane, and how fast the plane is.

python benchmarks/navigation.py RUN [RUN ...]      (runs of recipes/robots/navigation-*.yaml; with none, the speed alone)

In 100 tasks that no training has seen (those of the first run's recipe, then goals farther and farther away) a learner that takes
inner steps plays 20 episodes after 0, 1, 2 and 3 of them, each on 20 further episodes; one that learns in its memory plays four
episodes, one after the other. Prints a JSON line for each run and place: mean returns of an episode with 95% intervals over
tasks, and what the run has more than the first one on the same tasks (paired).

Speed is that of steps in `Points`, 400 trials at once, and in Gymnasium's `SyncVectorEnv` around the same dynamics in NumPy.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch

from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap
from quickstudy.evaluation.trials.record import Recording
from quickstudy.learners.agents.maml_rl import MAMLRL
from quickstudy.runs.build import TEST_SEED, trials_of
from quickstudy.runs.opening import open_run
from quickstudy.tasks.environments import Points
from quickstudy.tasks.environments.points import NEAR, STRIDE
from quickstudy.tasks.trials import Trials

GOALS, EPISODES, STEPS = 100, 20, 3
RINGS = [(tenths / 10, (tenths + 1) / 10) for tenths in range(5, 10)]
SIDE_BY_SIDE = 400


def returns(learner: Any, trials: Trials) -> list[list[float]]:
    """The mean return of an episode after 0, 1, 2 and 3 steps, or of the first, second, third and fourth, for each task."""
    if not isinstance(learner, MAMLRL):
        recording = Recording(learner.adapt(replace(trials, explored=0).support))
        replace(trials, explored=0, episodes=1 + STEPS).score(recording)
        return recording.record.by_episode.tolist()
    found = []
    for steps in range(1 + STEPS):
        learner.adapt_steps, its = steps, replace(trials, explored=EPISODES * steps, episodes=EPISODES)
        found.append([sum_ / EPISODES for sum_ in its.score(learner.adapt(its.support))["return"]])
    return found


def rounded(mean: float, interval: list[float] | None) -> list[float]:
    return [round(each, 2) for each in (mean, *(interval or []))]


def compare(runs: list[str]) -> None:
    opened = [open_run(run) for run in runs]
    recipe, _ = opened[0]
    unseen = trials_of(recipe, GOALS, seed=TEST_SEED)
    assert isinstance(unseen.environment, Points)
    places = {"unseen goals": unseen} | {
        f"goals from {near} to {far}": Trials.draw(replace(unseen.environment, goals=(near, far)), GOALS, seed=7)
        for near, far in RINGS
    }
    for place, trials in places.items():
        first = None
        for run, (its, learner) in zip(runs, opened, strict=True):
            of = its.data.trials.environment("test")  # type: ignore[union-attr]
            found = returns(learner, replace(trials, environment=replace(of, goals=trials.environment.goals)))  # type: ignore[attr-defined]
            row: dict[str, Any] = {"place": place, "run": run.rsplit("/", 1)[-1]}
            row["returns"] = [rounded(*mean_interval(each)) for each in found]
            if first is not None:
                row["more than the first"] = [rounded(*paired_bootstrap(*pair)) for pair in zip(found, first, strict=True)]
            first = first or found
            print(json.dumps(row), flush=True)


class Point(gymnasium.Env):
    """The dynamics of one trial of `Points`."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.goal, self.place = self.np_random.uniform(-0.5, 0.5, 2).astype(np.float32), np.zeros(2, np.float32)
        return self.place, {}

    def step(self, action):
        self.place = self.place + np.float32(STRIDE) * np.clip(action, -1, 1)
        off = self.place - self.goal
        return self.place, -float(np.sqrt(off @ off)), bool((np.abs(off) < NEAR).all()), False, {}


def speed(rounds: int = 5, steps: int = 100) -> None:
    """Steps a processor second, medians over the rounds, and the median of their ratios."""
    torch.set_num_threads(1)
    environment, chance = Points(), torch.Generator().manual_seed(0)
    tasks = environment.draw(SIDE_BY_SIDE, chance)
    actions = torch.randn(steps, SIDE_BY_SIDE, 2, generator=chance)
    vector = gymnasium.vector.SyncVectorEnv([Point] * SIDE_BY_SIDE)
    given = actions.numpy()

    def ours() -> None:
        state, _ = environment.reset(tasks, chance)
        for each in actions:
            state, *_ = environment.step(tasks, state, each, chance)

    def theirs() -> None:
        vector.reset(seed=0)
        for each in given:
            vector.step(each)

    found = []
    for _ in range(rounds):
        seconds = []
        for play in (ours, theirs):
            begun = time.process_time()
            play()
            seconds.append(time.process_time() - begun)
        found.append(seconds)
    mine, peers = (round(steps * SIDE_BY_SIDE / statistics.median(column)) for column in zip(*found, strict=True))
    ratio = round(statistics.median(peer / own for own, peer in found), 1)
    print(json.dumps({"trials": SIDE_BY_SIDE, "Points": mine, "SyncVectorEnv": peers, "ratio": ratio}))


if __name__ == "__main__":
    if sys.argv[1:]:
        compare(sys.argv[1:])
    speed()
