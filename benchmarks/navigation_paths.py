"""The ways of a point to its goal after 0, 1, 2 and 3 inner steps, in six tasks that no training has seen.

python benchmarks/navigation_paths.py RUN OUT.svg      # docs/results/navigation.svg
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from quickstudy.evaluation.report.svg import tag
from quickstudy.evaluation.trials.draw_paths import HEIGHT, paths
from quickstudy.evaluation.trials.paths import TASKS, ways
from quickstudy.evaluation.trials.record import Recording
from quickstudy.learners.agents.maml_rl import MAMLRL
from quickstudy.runs.build import TEST_SEED, trials_of
from quickstudy.runs.opening import open_run

EPISODES, STEPS = 20, 3
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56504c")
STYLE = (
    "text { font: 13px system-ui, sans-serif; fill: #222; text-anchor: middle; } .ground { fill: none; stroke: #ccc; } "
    ".series { fill: none; stroke: currentColor; stroke-width: 1.6; } "
    ".hollow { fill: white; stroke: currentColor; stroke-width: 2; } "
    ".band { fill: currentColor; opacity: 0.16; } .start { stroke: #222; } "
)


def main(run: str, out: Path) -> None:
    recipe, learner = open_run(run)
    assert isinstance(learner, MAMLRL)
    unseen, stages = trials_of(recipe, TASKS, seed=TEST_SEED), []
    for steps in range(1 + STEPS):
        learner.adapt_steps, trials = steps, replace(unseen, explored=EPISODES * steps, episodes=1)
        recording = Recording(learner.adapt(trials.support))
        trials.score(recording)
        stages.append(ways(f"{steps} step{'s' * (steps != 1)}", recording.record, trials))
    drawn = paths(stages, key="paths", title="Ways to a hidden goal after 0, 1, 2 and 3 steps of the policy gradient")
    style = tag("style", STYLE + ":root { " + " ".join(f"--c{at}: {its};" for at, its in enumerate(COLOURS)) + " }")
    size = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 1080 {HEIGHT + 40}"}
    body = tag("rect", width="100%", height="100%", fill="white") + tag("g", drawn, transform="translate(0 32)")
    out.write_text(tag("svg", style + body, **size) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
