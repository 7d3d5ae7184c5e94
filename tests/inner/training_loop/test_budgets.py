"""Rules that spend a budget spend all of it, on the right ones."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.inner.training_loop import SelectionEnvironment, TrainingEnvironment
from quickstudy.inner.training_loop.budgets import alone, greedy, in_hindsight, on_best, spend, successive_halving, uniform


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(candidates=4, **settings):
    labels = torch.arange(4).repeat(60)
    inputs = 2 * torch.randn(4, 5, generator=seeded(1))[labels] + torch.randn(240, 5, generator=seeded(2))
    sizes = {"classes": 3, "rows": (40, 60), "validation": 30, "hidden": 8, "batch": 8, "steps": 2, "horizon": 8}
    return SelectionEnvironment(TrainingEnvironment(inputs, labels, **{**sizes, **settings}), candidates)


def spent_on(budget, curves, decisions):
    """Who was trained, `(decisions, trials)`, by losses after so many decisions for each, `(trials, candidates, most)`."""
    spent = torch.zeros(curves.shape[:2], dtype=torch.long)
    chosen = []
    for _ in range(decisions):
        chosen.append(budget(spent, curves.gather(2, spent[..., None]).squeeze(2)))
        spent = spent.scatter_add(1, chosen[-1][:, None], torch.ones_like(spent))
    return torch.stack(chosen), spent


def falling(*heights, most=30):
    """Losses that fall towards these heights, and never cross."""
    return torch.tensor(heights)[..., None] + 1 / (1 + torch.arange(most + 1.0))


@pytest.mark.parametrize(
    ("candidates", "decisions", "shares"),
    [
        (4, 8, [3, 3, 1, 1]),
        (4, 16, [6, 6, 2, 2]),
        (4, 18, [8, 6, 2, 2]),  # two are left over
        (8, 24, [7, 7, 3, 3, 1, 1, 1, 1]),
        (3, 12, [8, 2, 2]),
        (5, 20, [13, 4, 1, 1, 1]),
        (2, 7, [4, 3]),
    ],
)
def test_successive_halving_spends_the_whole_budget_on_the_better_half(candidates, decisions, shares):
    order = torch.stack([torch.randperm(candidates, generator=seeded(trial)) for trial in range(6)])
    curves = falling(*[[float(rank) for rank in row] for row in order.tolist()])
    _, spent = spent_on(successive_halving(candidates, decisions), curves, decisions)
    assert spent.gather(1, order.argsort(1)).tolist() == [shares] * 6


def test_successive_halving_halves_by_the_losses_at_the_end_of_a_round():
    """The last two begin worse than the others and are ahead from the second decision on; a leader of later is out by then."""
    curves = torch.tensor([[[5.0, 4, 3, 3, 3], [5, 4, 4, 0, 0], [9, 8, 2, 2, 2], [9, 8, 1, 5, 5]]])
    curves = torch.cat([curves, curves[..., -1:].expand(1, 4, 8)], dim=2)
    chosen, spent = spent_on(successive_halving(4, 16), curves, 16)
    assert spent.tolist() == [[2, 2, 6, 6]]
    assert chosen[:8, 0].sort().values.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert chosen[8:, 0].tolist() == [3] * 4 + [2] * 4  # the better one first, and each without a break


def test_too_few_decisions_are_refused():
    with pytest.raises(QuickstudyError, match="7 decisions are too few to halve 4 candidates 2 times; give at least 8"):
        successive_halving(4, 7)


def test_uniform_takes_turns_and_greedy_stays_with_the_best_of_a_first_try():
    curves = falling([3.0, 1, 2], [0, 4, 4])
    assert spent_on(uniform, curves, 7)[0].T.tolist() == [[0, 1, 2, 0, 1, 2, 0]] * 2
    assert spent_on(greedy, curves, 6)[0].T.tolist() == [[0, 1, 2, 1, 1, 1], [0, 1, 2, 0, 0, 0]]
    overtaken = torch.tensor([[[9.0, 1, 4, 4], [9, 3, 2, 2]]])
    assert spent_on(greedy, overtaken, 4)[0][:, 0].tolist() == [0, 1, 0, 1]


def test_what_is_spent_is_what_the_environment_pays():
    environment = small()
    tasks = environment.draw(6, seeded())
    found = spend(environment, tasks, uniform, seeded(3))
    generator = seeded(3)
    state, _ = environment.reset(tasks, generator)
    for actions, losses in zip(found.chosen, found.losses, strict=True):
        state, *_ = environment.step(tasks, state, actions, generator)
        assert_close(losses, state.least.exp())
    assert_close(found.accuracy, environment.accuracy(tasks, state))
    assert found.chosen.T.tolist() == [[0, 1, 2, 3] * 2] * 6


def test_hindsight_is_the_best_of_those_that_got_all():
    environment = small(first_rate=(0.01, 1.0))
    tasks = environment.draw(12, seeded())
    each = [spend(environment, tasks, alone(number), seeded(3)) for number in range(4)]
    found = in_hindsight(environment, tasks, seeded(3))
    assert torch.equal(found.losses[-1], torch.stack([its.losses[-1] for its in each]).amin(0))
    best = found.chosen[0]
    assert (found.chosen == best).all()
    assert len(best.unique()) > 1
    again = spend(environment, tasks, alone(best), seeded(3))
    assert torch.equal(again.losses, found.losses)
    assert torch.equal(again.accuracy, found.accuracy)


def test_the_best_in_the_end_is_the_one_that_made_the_last_step_down():
    chosen = torch.tensor([[0, 1], [1, 1], [0, 0], [2, 0]])
    losses = torch.tensor([[3.0, 2.0], [2, 1], [1, 1], [1, 1]])
    assert on_best(chosen, losses).T.tolist() == [[True, False, True, False], [True, True, False, False]]
