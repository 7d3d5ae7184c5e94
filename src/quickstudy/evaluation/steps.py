"""What a task's score is after each inner step: the curve over k that one learning of the task gives."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from quickstudy.inner.diverged import learning
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.device import device_of
from quickstudy.models.functional import seeded
from quickstudy.tasks.task import Task


def scores_after(learner: GradientLearner, task: Task, steps: Sequence[int]) -> dict[int, float]:
    """The headline score of a task after so many inner steps each, from one way of as many as the most.

    Args:
        steps: numbers of steps, such as `[0, 1, 2, 4, 8]`.
    """
    task = task.to(device_of(learner.model))
    (support,), classes = learner.numbered(task.support)
    with seeded(support.seed, learner.model), learning(learner.model, support.seed):
        with torch.no_grad():
            phi = learner.start(support)
        path = learner._loop.learn(phi, learner.inner_batches(support, max(steps)), record=True)
    phis = [*(step.phi for step in path.steps), path.phi]
    judged = {k: task.score(learner._adapted(phis[k], support, classes)) for k in sorted(set(steps))}
    return {k: next(iter(scores.values())) for k, scores in judged.items()}
