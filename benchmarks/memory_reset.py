"""What an agent that learns in its memory is worth without it: reset before each step, on bandits or whatever its run is of.

python benchmarks/memory_reset.py RUN [TRIALS]
"""

from __future__ import annotations

import json
import sys
from typing import Any

from quickstudy.evaluation.statistics import mean_interval
from quickstudy.learners.agents.acting import Acting
from quickstudy.runs.build import TEST_SEED, trials_of
from quickstudy.runs.opening import open_run


class Forgetful(Acting):
    """Begins anew at each step."""

    def __init__(self, agent: Any, memory: Any):
        super().__init__(agent, memory)
        self.fresh = memory

    def act(self, seen: Any) -> Any:
        self.memory = self.fresh
        return super().act(seen)

    def again(self) -> Forgetful:
        return Forgetful(self.agent, self.fresh)


def main(run: str, trials: int) -> None:
    recipe, learner = open_run(run)
    drawn = trials_of(recipe, trials, seed=TEST_SEED)
    found = {}
    for name, make in (("with its memory", Acting), ("reset before each step", Forgetful)):
        agent = make(learner, learner.begin(drawn.support))  # type: ignore[arg-type, attr-defined]
        mean, interval = mean_interval(next(iter(drawn.score(agent).values())))
        found[name] = [round(mean, 2), *(round(end, 2) for end in interval or [])]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
