from __future__ import annotations

from collections import UserDict
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from quickstudy import Batch, QuickstudyError, Task
from quickstudy.tasks.targets import as_tensor, classes_of, numbered

TREE = {
    "ids": torch.arange(8).reshape(4, 2),
    "pair": (["a", "b", "c", "d"], [torch.ones(n) for n in (1, 2, 3, 4)]),
    "nothing": None,
}
BATCH = Batch(TREE, ["w", "x", "y", "z"], seed=3)


def test_the_length_is_that_of_every_part():
    assert len(BATCH) == 4
    assert len(Batch(["a", "b"])) == 2
    assert len(Batch([], [])) == 0
    assert len(Batch(None, torch.zeros(3))) == 3


def test_take_picks_from_every_part_in_the_order_asked_for():
    taken = BATCH.take([3, 0, 3])
    assert taken.inputs["ids"].tolist() == [[6, 7], [0, 1], [6, 7]]
    assert taken.inputs["pair"][0] == ["d", "a", "d"]
    assert [len(row) for row in taken.inputs["pair"][1]] == [4, 1, 4]
    assert taken.inputs["nothing"] is None
    assert taken.targets == ["z", "w", "z"]
    assert taken.seed == 3


@pytest.mark.parametrize("indices", [range(1, 3), torch.tensor([1, 2]), np.array([1, 2]), (1, 2)], ids=str)
def test_indices_may_be_any_sequence(indices):
    assert BATCH.take(indices).targets == ["x", "y"]
    assert BATCH.take(indices).inputs["ids"].tolist() == [[2, 3], [4, 5]]


def test_taking_nothing_leaves_an_empty_batch():
    assert len(BATCH.take([])) == 0
    assert BATCH.take([]).inputs["ids"].shape == (0, 2)


def test_arrays_and_other_mappings_serve_as_well():
    batch = Batch(UserDict(x=np.arange(6).reshape(3, 2)), torch.arange(3))
    assert batch.take([2]).inputs["x"].tolist() == [[4, 5]]


def test_to_moves_every_tensor_and_nothing_else():
    moved = BATCH.to("meta")
    assert moved.inputs["ids"].device.type == "meta"
    assert {row.device.type for row in moved.inputs["pair"][1]} == {"meta"}
    assert moved.inputs["pair"][0] is not BATCH.inputs["ids"]
    assert moved.inputs["pair"][0] == ["a", "b", "c", "d"]
    assert (moved.targets, moved.seed) == (BATCH.targets, 3)
    assert BATCH.inputs["ids"].device.type == "cpu"


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 4), (2, [2, 2]), (3, [3, 1]), (4, [4]), (9, [4]), (None, [4])])
def test_parts_are_consecutive_and_complete(size, lengths):
    parts = list(BATCH.split(size))
    assert [len(part) for part in parts] == lengths
    assert [label for part in parts for label in part.targets] == BATCH.targets


def test_minibatches_use_every_example_before_any_comes_again():
    batch = Batch(torch.arange(6), torch.arange(6), seed=1)
    order = torch.cat([part.targets for part in batch.minibatches(5, 3)])
    assert len(order) == 15
    assert sorted(order[:6].tolist()) == sorted(order[6:12].tolist()) == list(range(6))


def test_minibatches_come_from_the_seed():
    def order(seed: int) -> list[int]:
        return torch.cat([part.targets for part in Batch(torch.arange(9), torch.arange(9), seed=seed).minibatches(3, 3)]).tolist()

    torch.manual_seed(0)
    first = order(1)
    torch.manual_seed(5)
    assert order(1) == first
    assert order(2) != first


@pytest.mark.parametrize("size", [None, 4, 10])
def test_minibatches_of_everything_are_the_batch_itself(size):
    assert all(part is BATCH for part in BATCH.minibatches(3, size))


@pytest.mark.parametrize(
    ("inputs", "targets", "said"),
    [
        (torch.zeros(3, 2), torch.zeros(4), r"\[3, 4\]"),
        ({"a": torch.zeros(3), "b": torch.zeros(2)}, ["x"] * 3, r"\[2, 3\]"),
        ((["a"], ["b", "c"]), None, r"\[1, 2\]"),
        (torch.zeros(()), None, "without dimensions"),
    ],
)
def test_parts_of_different_lengths_are_refused_in_words(inputs, targets, said):
    with pytest.raises(QuickstudyError, match=said):
        Batch(inputs, targets)


def test_batches_and_tasks_do_not_change():
    with pytest.raises(FrozenInstanceError):
        BATCH.inputs = []
    with pytest.raises(FrozenInstanceError):
        Task(BATCH, BATCH).seed = 1


def test_a_task_hands_its_seed_to_its_support():
    support, query = Batch(["a"], ["x"]), Batch(["b"], ["x"])
    task = Task(support, query, seed=9)
    assert (task.support.seed, support.seed) == (9, 0)
    assert Task(support, query).seed == 0
    assert Task(support, query, 4).support.seed == 4
    assert Task(support=support, query=query, seed=9) == task


def test_a_task_moves_whole():
    task = Task(Batch(torch.zeros(2), torch.zeros(2)), Batch(torch.zeros(2), torch.zeros(2)), seed=2).to("meta")
    assert {batch.inputs.device.type for batch in (task.support, task.query)} == {"meta"}
    assert task.seed == 2


PADDED = torch.tensor([[1, 0], [2, -100], [0, -100], [0, 1]])


class Answers:
    def __init__(self, answer):
        self.predict = lambda inputs: answer


@pytest.mark.parametrize(
    ("targets", "answer", "score"),
    [
        (["a", "b", "c", "d"], ["a", "b", "d", "d"], {"accuracy": 0.75}),
        (torch.tensor([1, 0, 2, 1]), torch.tensor([1, 0, 0, 0]), {"accuracy": 0.5}),
        (PADDED, torch.tensor([[1, 0], [2, 7], [1, 7], [1, 1]]), {"accuracy": 2 / 3}),
        (torch.tensor([[1.0], [2.0], [3.0], [0.0]]), torch.tensor([[1.0], [2.0], [3.0], [2.0]]), {"squared_error": 1.0}),
        (torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([[1.0], [2.0], [3.0], [2.0]]), {"squared_error": 1.0}),
    ],
    ids=["labels", "indices", "padded", "values", "flat values"],
)
def test_a_task_judges_what_was_learned(targets, answer, score):
    batch = Batch(torch.zeros(4), targets)
    assert Task(batch, batch).score(Answers(answer)) == pytest.approx(score)


@pytest.mark.parametrize("padded", [False, True])
def test_a_task_judges_sequences_of_tokens_in_nats_a_token(padded):
    truth = [torch.randint(3, (length,), generator=torch.Generator().manual_seed(length)) for length in (2, 5, 1, 3, 4, 2)]
    truth[1][0] = -100
    scores = [torch.randn(len(sequence), 3, generator=torch.Generator().manual_seed(i)) for i, sequence in enumerate(truth)]

    class Model:
        def logits(self, inputs):
            chosen = [scores[i] for i in inputs.flatten().tolist()]
            return torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True) if padded else torch.cat(chosen)

    expected = torch.nn.functional.cross_entropy(torch.cat(scores), torch.cat(truth))
    batch = Batch(torch.arange(6), truth)
    assert Task(batch, batch).score(Model()) == {"nats_per_token": pytest.approx(expected.item())}


def test_targets_as_a_head_numbers_them():
    assert classes_of(["b", "a", "b"]) == ["b", "a"]
    assert classes_of(torch.tensor([7, 3, 7, -100])) == [3, 7]
    assert numbered(["a", "b"], ["b", "a"]).tolist() == [1, 0]
    assert numbered(torch.tensor([7, 3]), [3, 7]).tolist() == [1, 0]
    with pytest.raises(QuickstudyError, match="'c', which is none of the support's 2 classes"):
        numbered(["c"], ["a", "b"])
    with pytest.raises(QuickstudyError, match="real values"):
        classes_of(torch.tensor([0.5]))


def test_ragged_targets_are_padded_with_what_is_not_judged():
    assert as_tensor([torch.tensor([1, 2]), torch.tensor([3])]).tolist() == [[1, 2], [3, -100]]
    assert as_tensor([1, 2]).tolist() == [1, 2]
    with pytest.raises(QuickstudyError, match="ragged real targets"):
        as_tensor([torch.zeros(2), torch.zeros(1)])
