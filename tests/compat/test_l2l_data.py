"""Tasksets: which examples a task has, that it stays the same, and what is said of those that cannot be drawn."""

from __future__ import annotations

import pickle
import random
from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import quickstudy.compat.learn2learn as l2l
from quickstudy import QuickstudyError
from quickstudy.compat.learn2learn.data import transforms as steps

LABELS = [7, 3, 3, 7, 5, 5, 3, 7, 5, 9, 9, 9]


def dataset() -> l2l.data.MetaDataset:
    return l2l.data.MetaDataset(TensorDataset(torch.arange(12.0)[:, None], torch.tensor(LABELS)))


class Words(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[float, str]:
        return float(index), "abab"[index]


def few_shot(data: l2l.data.MetaDataset, n: int = 2, k: int = 2) -> list:
    return [steps.FusedNWaysKShots(data, n, k), steps.LoadData(data), steps.RemapLabels(data), steps.ConsecutiveLabels(data)]


def test_a_dataset_knows_the_places_of_its_labels():
    data = dataset()
    assert data.labels == [7, 3, 5, 9]
    assert data.labels_to_indices[3] == [1, 2, 6]
    assert data.indices_to_labels == dict(enumerate(LABELS))
    words = l2l.data.MetaDataset(Words())
    assert words.labels_to_indices == {"a": [0, 2], "b": [1, 3]}
    given = l2l.data.MetaDataset(Words(), labels_to_indices={"a": [0, 2]})
    assert given.indices_to_labels == {0: "a", 2: "a"}
    with pytest.raises(QuickstudyError, match="not list"):
        l2l.data.MetaDataset([1, 2])
    with pytest.raises(QuickstudyError, match=r"example 0 has a label of shape \(2,\)"):
        l2l.data.MetaDataset(TensorDataset(torch.ones(3, 1), torch.ones(3, 2)))


def test_a_filter_keeps_labels_and_a_union_tells_equal_ones_apart():
    data = dataset()
    part = l2l.data.FilteredMetaDataset(data, [5, 7])
    assert part.labels == [5, 7]
    assert [part[i][0].item() for i in range(len(part))] == [4, 5, 8, 0, 3, 7]
    assert part.labels_to_indices == {5: [0, 1, 2], 7: [3, 4, 5]}
    union = l2l.data.UnionMetaDataset([part, Words()])
    assert (len(union), union.labels) == (10, [0, 1, 2, 3])
    assert union[3][0].item() == 0
    assert union[3][1] == 1
    assert union[7] == [1.0, 3]
    with pytest.raises(IndexError, match="none at 10"):
        union[10]
    with pytest.raises(QuickstudyError, match="label 4"):
        l2l.data.FilteredMetaDataset(data, [4])


def test_a_task_stays_the_same_and_the_seed_says_which_it_is():
    data = dataset()
    drawn = []
    for _ in range(2):
        random.seed(3)
        tasks = l2l.data.Taskset(data, few_shot(data), num_tasks=5)
        drawn.append([tasks[i] for i in (3, 0, 3)])
        assert [label.tolist() for _, label in tasks] == [tasks[i][1].tolist() for i in range(5)]
        assert len(list(zip(tasks, tasks, strict=True))) == 5  # two at once
        with pytest.raises(IndexError, match="none at 5"):
            tasks[5]
    (first, other, again), (same, *_) = drawn
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[0], same[0])
    assert not torch.equal(first[0], other[0])
    with pytest.raises(QuickstudyError, match="num_tasks=0"):
        l2l.data.Taskset(data, num_tasks=0)
    assert l2l.data.TaskDataset is l2l.data.Taskset


def test_tasks_without_an_end_differ():
    data = dataset()
    tasks = l2l.data.Taskset(data, few_shot(data))
    assert len(tasks) == 1
    assert len({tuple(inputs.flatten().tolist()) for inputs, _ in (tasks.sample() for _ in range(20))}) > 5
    assert len(tasks.sampled_descriptions) == 0
    assert len([task for task, _ in zip(tasks, range(3), strict=False)]) == 3


@pytest.mark.parametrize("first", [True, False])
def test_ways_and_shots(first):
    data = dataset()
    before = [] if first else [steps.FilterLabels(data, [3, 5, 7])]
    transforms = [*before, steps.FusedNWaysKShots(data, n=2, k=3, filter_labels=[3, 5, 7]), steps.LoadData(data)]
    for inputs, labels in l2l.data.Taskset(data, transforms, num_tasks=30):
        assert sorted(Counter(labels.tolist()).values()) == [3, 3]
        assert 9 not in labels
        assert [LABELS[int(i)] for i in inputs] == labels.tolist()
        assert len(set(inputs.flatten().tolist())) == 6
    unfused = [
        *before,
        steps.NWays(data, 2),
        steps.KShots(data, 5, replacement=True),
        steps.LoadData(data),
        steps.RemapLabels(data),
    ]
    for inputs, labels in l2l.data.Taskset(data, unfused, num_tasks=30):
        assert Counter(labels.tolist()) == {0: 5, 1: 5}
        assert len(set(inputs.flatten().tolist())) < 10


def test_labels_are_numbered_in_order_or_not_and_examples_stand_together():
    data = dataset()
    tasks = l2l.data.Taskset(data, [steps.LoadData(data), steps.RemapLabels(data, shuffle=False), steps.ConsecutiveLabels(data)])
    inputs, labels = tasks[0]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert sorted(inputs[:3].flatten().tolist()) == [1, 2, 6]
    shuffled = l2l.data.Taskset(data, [steps.LoadData(data), steps.RemapLabels(data)])
    assert len({tuple(shuffled.sample()[1].tolist()) for _ in range(20)}) > 5


def test_what_cannot_be_drawn_is_said():
    data = dataset()
    with pytest.raises(QuickstudyError, match="n=5, but there are 4 labels"):
        l2l.data.Taskset(data, [steps.NWays(data, 5)]).sample()
    with pytest.raises(QuickstudyError, match="k=4, but there are 3 examples of the label 7"):
        l2l.data.Taskset(data, [steps.FilterLabels(data, [7]), steps.KShots(data, 4)]).sample()
    with pytest.raises(QuickstudyError, match="put LoadData before it"):
        l2l.data.Taskset(data, [steps.RemapLabels(data), steps.LoadData(data)]).sample()


def test_a_function_is_a_transform_and_the_tasks_go_through_a_loader():
    data = dataset()
    transforms = [*few_shot(data), lambda description: description[:3]]
    loader = DataLoader(l2l.data.Taskset(data, transforms, num_tasks=4), batch_size=2)
    assert [inputs.shape for inputs, _ in loader] == [(2, 3, 1)] * 2
    kept = l2l.data.Taskset(data, few_shot(data), num_tasks=2)
    task = kept[1]
    assert torch.equal(pickle.loads(pickle.dumps(kept))[1][0], task[0])  # as workers get it


def test_a_task_in_two_parts():
    labels = torch.tensor([4, 2, 4, 2, 4, 2])
    (support, support_labels), (query, query_labels) = l2l.data.partition_task(torch.arange(6.0), labels, shots=2)
    assert support.tolist() == [1, 3, 0, 2]
    assert (support_labels.tolist(), query_labels.tolist()) == ([2, 2, 4, 4], [2, 4])
    assert query.tolist() == [5, 4]
    with pytest.raises(QuickstudyError, match="shots=4, but each label has 3"):
        l2l.data.partition_task(torch.arange(6.0), labels, shots=4)
    with pytest.raises(QuickstudyError, match="a label has 2 examples, another 3"):
        l2l.data.partition_task(torch.arange(5.0), labels[:5])
    with pytest.raises(QuickstudyError, match="5 examples and 6 labels"):
        l2l.data.partition_task(torch.arange(5.0), labels)


def test_an_iterator_without_an_end_and_a_dataset_in_memory():
    repeated = l2l.data.InfiniteIterator([1, 2])
    assert [next(repeated) for _ in range(5)] == [1, 2, 1, 2, 1]
    with pytest.raises(QuickstudyError, match="nothing to repeat"):
        next(l2l.data.InfiniteIterator([]))
    held = l2l.data.OnDeviceDataset(dataset(), device="cpu", transform=lambda x: x + 1)
    assert held[3][0].item() == 4
    assert l2l.data.MetaDataset(held).indices_to_labels == dict(enumerate(LABELS))
