"""What each agent did in the trials, as curves: what a report knows beyond the returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from quickstudy.evaluation.statistics import Interval, mean_interval
from quickstudy.evaluation.trials.curves import Curve, mean_curve, on_best, regret, rewards, tried
from quickstudy.evaluation.trials.models import on_best_model
from quickstudy.evaluation.trials.paths import Ways, before_and_after
from quickstudy.evaluation.trials.record import Recording
from quickstudy.evaluation.trials.trainings import Trained, trained_by
from quickstudy.inner.training_loop import SelectionEnvironment, TrainingEnvironment
from quickstudy.learners.base import Learner
from quickstudy.tasks.environments import Bandits, Points
from quickstudy.tasks.trials import Trials


@dataclass(frozen=True, eq=False)
class Played:
    """One agent.

    Args:
        rewards: by episode; where a trial is a single one, by step.
        trials: how many it played.
        gain: what the last of these pays more than the first, and its 95% interval.
        regret, on_best, tried: of bandits, by pull. Where models are chosen, `on_best` is of those, by decision.
        trained: of trainings.
        ways: in the plane.
    """

    learner: Learner
    trials: int
    rewards: Curve
    gain: tuple[float, Interval]
    regret: Curve | None = None
    on_best: Curve | None = None
    tried: Curve | None = None
    trained: Trained | None = None
    ways: list[Ways] | None = None


class Observed:
    """An `observe` for `evaluate` of trials.

    Attributes:
        agents: in the order in which they were judged.
    """

    def __init__(self) -> None:
        self.agents: list[Played] = []

    def __call__(self, learner: Learner, trials: Trials, recording: Recording, scores: Any) -> None:
        """Notes one agent. Its record, which can be large, is not kept."""
        record, tasks = recording.record, trials.tasks
        paid = rewards(record)
        gain = mean_interval((paid[-1] - paid[0]).tolist())
        more: dict[str, Any] = {}
        if isinstance(trials.environment, Bandits):
            found = {"regret": regret, "on_best": on_best, "tried": tried}
            more = {name: mean_curve(its(record, tasks).to(torch.float64)) for name, its in found.items()}
        if isinstance(trials.environment, TrainingEnvironment):
            more = {"trained": trained_by(record, trials)}
        if isinstance(trials.environment, Points):
            more = {"ways": before_and_after(recording, trials)}
        if isinstance(trials.environment, SelectionEnvironment):
            more = {"on_best": on_best_model(record)}
        self.agents.append(Played(learner, len(trials), mean_curve(paid), gain, **more))
