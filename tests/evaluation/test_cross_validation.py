"""Cross-validation on a support: who is held out, from whom, and in which order the answers come."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from quickstudy import Batch
from quickstudy.evaluation.cross_validation import FOLDS, cross_validate, fold_numbers
from quickstudy.evaluation.held_out import Estimate, held_out_accuracy
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.tasks.names import with_names


class Recorder(Learner):
    """Writes down what it learned from and was asked, and answers with the label that a sentence starts with.

    Args:
        knows: the classes that it puts before others, in that order; those in `forgets` it leaves out.
    """

    def __init__(self, knows: tuple[str, ...] = (), forgets: tuple[str, ...] = ()):
        super().__init__()
        self.knows, self.forgets = knows, forgets
        self.learned: list[list[str]] = []
        self.asked: list[list[str]] = []

    def adapt(self, support: Batch) -> Adapted:
        self.learned.append(list(support.inputs))
        self.asked.append([])
        classes = [name for name in dict.fromkeys([*self.knows, *support.targets]) if name not in self.forgets]

        def call(phi, sentences):
            self.asked[-1].extend(sentences)
            return torch.tensor([[float(s.startswith(name)) + i / 100 for i, name in enumerate(classes)] for s in sentences])

        return Adapted(nn.Identity(), call, classes=classes)


def support(**counts: int) -> Batch:
    rows = [(f"{label} {i}", label) for label, count in counts.items() for i in range(count)]
    order = np.random.default_rng(0).permutation(len(rows))
    return Batch([rows[i][0] for i in order], [rows[i][1] for i in order])


@pytest.mark.parametrize("counts", [{"a": 7, "b": 5}, {"a": 2, "b": 2}, {"a": 3, "b": 1, "c": 40}, {"a": 1, "b": 2}], ids=str)
def test_each_is_held_out_once_and_never_its_own_teacher(counts):
    batch, learner = support(**counts), Recorder()
    found = cross_validate(learner, batch, list(counts))
    assert found is not None
    asked = Counter(sentence for fold in learner.asked for sentence in fold)
    assert asked == {text: 1 for text, label in zip(batch.inputs, batch.targets, strict=True) if counts[label] > 1}
    for learned, its_asked in zip(learner.learned, learner.asked, strict=True):
        assert sorted(learned + its_asked) == sorted(batch.inputs)
        assert {sentence.split()[0] for sentence in learned} == set(counts)  # every class can be learned in every fold
    assert len(learner.learned) == found.folds == min(FOLDS, max(counts.values()))
    assert [batch.inputs[row] for row in found.rows] == [s for s in batch.inputs if s in asked]


def test_the_fold_of_each_row_is_the_one_it_was_asked_in():
    batch, learner = support(a=6, b=9), Recorder()
    found = cross_validate(learner, batch, ["a", "b"])
    for row, fold in zip(found.rows, found.fold, strict=True):
        assert batch.inputs[row] in learner.asked[fold]


def test_class_names_are_always_there_to_learn_from():
    batch, learner = with_names(support(a_b=4, c=3)), Recorder()
    found = cross_validate(learner, batch, ["a_b", "c"])
    assert len(found.rows) == 7
    assert all({"a b", "c"} <= set(learned) for learned in learner.learned)
    assert not {"a b", "c"} & {sentence for asked in learner.asked for sentence in asked}


def test_a_name_is_no_second_example():
    batch = with_names(support(a=1, b=1))
    assert fold_numbers(batch) == ([], pytest.approx(np.zeros(0)), 0)
    assert cross_validate(Recorder(), batch, ["a", "b"]) is None


@pytest.mark.parametrize("counts", [{"a": 1, "b": 1}, {"a": 9}], ids=str)
def test_where_nothing_can_be_held_out_there_is_no_answer(counts):
    learner = Recorder()
    assert cross_validate(learner, support(**counts), list(counts)) is None
    assert not learner.learned


def test_columns_are_in_the_order_asked_for_whatever_the_learner_s():
    batch = support(a=4, b=4, c=4)
    found = cross_validate(Recorder(knows=("c", "a", "b")), batch, ["b", "c", "a"])
    assert found.right.all()
    assert found.targets.tolist() == [["b", "c", "a"].index(batch.targets[row]) for row in found.rows]


def test_a_class_that_a_fold_does_not_know_is_never_its_answer():
    batch = support(a=4, b=4, c=4)
    found = cross_validate(Recorder(forgets=("b",)), batch, ["b", "c", "a"])
    assert torch.isneginf(found.logits[:, 0]).all()
    assert torch.isfinite(found.logits[:, 1:]).all()
    assert found.right.tolist() == [batch.targets[row] != "b" for row in found.rows]


def test_numbers_are_labels_too():
    inputs = torch.eye(2).repeat(4, 1)

    class Same(Learner):
        def adapt(self, support):
            return Adapted(nn.Identity(), lambda phi, rows: rows, classes=[3, 7])

    found = cross_validate(Same(), Batch(inputs, torch.tensor([3, 7] * 4)), [7, 3])
    assert found.targets.tolist() == [1, 0] * 4
    assert found.right.all()


def test_it_says_how_far_it_is():
    told = []
    cross_validate(Recorder(), support(a=3, b=3), ["a", "b"], report=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_same_seed_divides_alike():
    batch = support(a=10, b=10)
    assert fold_numbers(batch, seed=1)[1].tolist() == fold_numbers(batch, seed=1)[1].tolist()
    assert fold_numbers(batch, seed=1)[1].tolist() != fold_numbers(batch, seed=2)[1].tolist()


def test_the_estimate_says_what_it_could_not_check():
    estimate = held_out_accuracy(Recorder(), support(a=4, b=4, lonely=1))
    assert (estimate.correct, estimate.judged, estimate.folds, list(estimate.unchecked)) == (8, 8, 4, ["lonely"])
    assert "Not checked, with a single example: lonely." in estimate.sentence()
    assert "Not checked" not in held_out_accuracy(Recorder(), support(a=4, b=4)).sentence()
    nothing = held_out_accuracy(Recorder(), support(a=1, b=1))
    assert (nothing.accuracy, nothing.interval) == (None, None)
    assert "could not be measured" in nothing.sentence()


@pytest.mark.parametrize(("correct", "judged", "folds"), [(38, 40, 5), (40, 40, 5), (0, 8, 2), (1, 2, 2), (700, 900, 5)])
def test_the_interval_is_the_exact_one_and_allows_for_what_was_left_out(correct, judged, folds):
    exact = stats.binomtest(correct, judged).proportion_ci(0.95, method="exact")
    low, high = Estimate(correct, judged, folds, []).interval
    assert 0 <= exact.low - low < 0.01 + 1e-9
    upper = 1 - (1 - exact.high) * (folds - 1) / folds
    assert 0 <= high - upper < 0.01 + 1e-9
    assert [100 * low, 100 * high] == pytest.approx([round(100 * low), round(100 * high)])
    assert 0 <= low < high <= 1


def test_the_ends_that_are_printed_are_those_of_the_interval():
    assert "95% (83 to 100), measured by 5-fold" in Estimate(38, 40, 5, []).sentence()


def test_a_class_beside_names_alone_is_checked_and_they_are_not():
    batch = Batch(["a 0", "a 1", "b c", "d"], ["a", "a", "b_c", "d"])
    assert fold_numbers(batch)[0] == [0, 1]
    estimate = held_out_accuracy(Recorder(), batch)
    assert (estimate.judged, list(estimate.unchecked)) == (2, ["b_c", "d"])
