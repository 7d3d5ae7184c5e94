"""Ways in the plane, as they are drawn."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch.testing import assert_close

from quickstudy.evaluation.trials.draw_paths import paths
from quickstudy.evaluation.trials.paths import TASKS, before_and_after, ways
from quickstudy.evaluation.trials.record import Recording
from quickstudy.learners.agents.maml_rl import MAMLRL
from quickstudy.learners.agents.random_agent import RandomAgent
from quickstudy.models.policy import Policy
from quickstudy.tasks.environments import Points
from quickstudy.tasks.trials import Trials


def test_a_way_is_where_the_actions_lead_until_the_goal():
    trials = Trials.draw(Points(horizon=4), 3, episodes=2)
    goal = torch.tensor([[0.2, 0.0], [0.4, 0.4], [0.1, 0.1]])
    trials = replace(trials, tasks={"goal": goal, "obstacles": torch.zeros(3, 0, 2)})
    recording = Recording(RandomAgent(trials.environment).adapt(trials.support))
    recording._its.agent.choose = lambda memory, seen: (torch.tensor([[3.0, 0.0]]).expand(3, 2), memory)  # type: ignore[method-assign]
    trials.score(recording)
    found = ways("last", recording.record, trials)
    assert [len(way.places) for way in found.each] == [3, 5, 5]
    assert_close(found.each[0].places, torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.2, 0.0]]))
    assert_close(found.each[1].places[-1], torch.tensor([0.4, 0.0]))
    assert_close(torch.tensor(found.paid), recording.record.by_episode[1].mean())


def test_before_is_without_what_was_learned():
    trials = Trials.draw(Points(horizon=6, obstacles=1), 9, episodes=2, explored=4, seed=3)
    learner = MAMLRL(Policy(trials.environment, 4), 0.0)
    recording = Recording(learner.adapt(trials.support))
    trials.score(recording)
    before, after = before_and_after(recording, trials)
    assert len(before.each) == len(after.each) == TASKS
    with torch.no_grad():
        for value in recording.memory.phi.values():
            value.fill_(100.0)  # what was learned
    assert_close(before_and_after(recording, trials)[0].each[2].places, before.each[2].places)


def test_the_figure_has_every_way_in_every_square():
    trials = Trials.draw(Points(horizon=6, obstacles=2), 4, seed=3)
    recording = Recording(RandomAgent(trials.environment).adapt(trials.support))
    trials.score(recording)
    stage = ways("one & only", recording.record, trials)
    drawn = paths([stage, stage, stage], key="k", title="Ways")
    assert drawn.count("<polyline") == 3 * 4
    assert drawn.count('class="band"') == 3 * 4 * 2
    assert "one &amp; only: −" in drawn
    numbers = [float(each) for points in re.findall(r'points="([^"]*)"', drawn) for each in re.split("[ ,]", points)]
    assert max(map(abs, numbers)) <= 130
