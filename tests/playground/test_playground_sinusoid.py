"""The second tab: MAML adapts, step by step."""

from __future__ import annotations

import pytest

from quickstudy import Episodes, Sinusoids
from quickstudy.playground.sinusoid import RUN, STEPS, Curves, draw
from quickstudy.playground.words import Say
from quickstudy.runs.shipped import PRIORS


@pytest.fixture(scope="module")
def curves() -> Curves:
    return Curves()


def test_what_ships_learns_curves_and_its_untrained_twin_does_not(curves):
    tasks = Episodes(Sinusoids(), shots=10, queries=50, tasks=30, seed=7)[0]
    errors = []
    for learner in curves.learners:
        learner.adapt_steps = 5
        errors.append(sum(task.score(learner.adapt(task.support))["squared_error"] for task in tasks) / len(tasks))
    assert errors[0] < 0.8
    assert errors[1] > 4 * errors[0]
    assert sum(path.stat().st_size for path in (PRIORS / RUN).rglob("*")) < 50_000


def test_a_step_more_is_a_step_nearer(curves):
    learning = curves.learn(0, 10)
    assert learning.said.shape[:2] == (2, STEPS + 1)
    assert learning.error(0, 5) < learning.error(0, 1) < learning.error(0, 0)
    assert learning.error(0, 5) < learning.error(1, 5)
    assert curves.learn(0, 10) is learning
    assert curves.learn(1, 10).truth.tolist() != learning.truth.tolist()
    more = curves.learn(0, 12).support.inputs
    assert more[:10].tolist() == learning.support.inputs.tolist()  # a point more is a point more of the same curve


def test_the_figure_is_that_of_its_step(curves):
    learning = curves.learn(0, 10)
    first, last = (draw(learning, steps, Say("en")) for steps in (0, STEPS))
    assert f"{learning.error(0, STEPS):.2f}" in last
    assert first != last
    assert first.count("<polyline") == 3
    assert first.count('class="given"') == 10
