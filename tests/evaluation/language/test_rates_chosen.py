"""Which rate each method takes after how many steps."""

from __future__ import annotations

import numpy as np
import pytest

from quickstudy import FineTune, ZeroStep
from quickstudy.evaluation.language.method import Method
from quickstudy.evaluation.language.plan import Plan, planned

NATS = {
    0.5: {0: 3.0, 1: 2.9, 2: 2.7, 5: 2.0},
    1.0: {0: 3.0, 1: 2.8, 2: 2.75, 5: 2.2},
    2.0: {0: 3.0, 1: np.inf, 2: 2.9, 5: 1.9},
}


class Told(Method):
    """Knows its nats without a model: a number for each factor and number of steps."""

    def nats(self, tasks, steps, factor, told=lambda: None):
        for _ in tasks:
            told()
        return np.array([[NATS[factor][k] + 0.1 * i for k in steps] for i in range(len(tasks))])


@pytest.fixture
def method(llama):
    return Told("m", FineTune(llama), "", factors=[0.5, 1.0, 2.0])


def test_each_number_of_steps_has_the_rate_that_is_best_there(method):
    plan = planned(method, [0, 1, 2, 5], ["a", "b"])  # type: ignore[list-item]
    assert plan == Plan({0: (0, 1.0), 1: (1, 1.0), 2: (2, 0.5), 5: (5, 2.0)}, 3)


def test_without_validation_tasks_or_steps_there_is_nothing_to_choose(method, llama):
    assert planned(method, [0, 2], []) == Plan({0: (0, 1.0), 2: (2, 1.0)})
    assert planned(method, [0], ["a"]) == Plan({0: (0, 1.0)})  # type: ignore[list-item]
    assert planned(Method("m", ZeroStep(llama), ""), [0, 2], ["a"]) == Plan({0: (0, 1.0), 2: (0, 1.0)})  # type: ignore[list-item]


def test_a_ceiling_takes_its_best_number_of_steps_whatever_is_shown(llama):
    method = Told("m", FineTune(llama), "", factors=[0.5, 1.0, 2.0], ceiling=(1, 2, 5))
    assert planned(method, [0, 1], ["a"]) == Plan({0: (5, 2.0), 1: (5, 2.0)}, 3)  # type: ignore[list-item]
    assert planned(method, [0, 1], []) == Plan({0: (5, 1.0), 1: (5, 1.0)})


def test_numbers_come_from_one_way_for_each_factor(method):
    said = []
    plan = Plan({0: (0, 1.0), 1: (1, 1.0), 2: (2, 0.5)}, 3)
    found = plan.nats(method, ["a", "b"], "tasks", lambda *what: said.append(what))  # type: ignore[list-item]
    assert found.tolist() == pytest.approx(np.array([[3.0, 2.8, 2.7], [3.1, 2.9, 2.8]]))
    assert said == [("m: tasks", done, 4) for done in (1, 2, 3, 4)]
