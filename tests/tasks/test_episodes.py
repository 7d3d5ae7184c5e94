from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import islice

import pytest
from torch.utils.data import DataLoader

from quickstudy import Batch, Episodes, QuickstudyError, Sinusoids, Table, Task
from quickstudy.tasks.episodes import fingerprint

CLASSES = ["card_lost", "top-up", "refund", "pin", "fees"]


def table(rows: int = 6, classes: list[str] = CLASSES, name: str = "mine") -> Table:
    labels = [label for label in classes for _ in range(rows)]
    return Table([f"{label} {name} {i % rows}" for i, label in enumerate(labels)], labels, name)


def episodes(**settings) -> Episodes:
    return Episodes(table(), **{"ways": 3, "shots": 2, "queries": 2, "tasks": 2, "seed": 1, **settings})


def shots(task: Task) -> Counter:
    return Counter(task.support.targets)


def hashes(lists) -> list[str]:
    return [fingerprint(tasks) for tasks in lists]


def test_a_list_is_the_same_by_index_and_by_iteration():
    source = episodes()
    assert hashes(islice(source, 5)) == [fingerprint(source[i]) for i in range(5)]
    assert fingerprint(source[3]) == fingerprint(episodes()[3])
    assert len(set(hashes(islice(source, 20)))) == 20


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_the_same_lists_in_the_same_order(workers):
    loader = DataLoader(episodes(), batch_size=None, num_workers=workers)
    assert hashes(islice(loader, 6)) == hashes(islice(episodes(), 6))


def test_another_seed_gives_other_tasks():
    assert fingerprint(episodes(seed=2)[0]) != fingerprint(episodes()[0])


def test_no_task_of_a_run_comes_twice():
    assert len({task.seed for tasks in islice(episodes(), 50) for task in tasks}) == 100


def test_numbers_are_those_asked_for():
    for task in episodes()[0]:
        assert sorted(shots(task).values()) == sorted(Counter(task.query.targets).values()) == [2, 2, 2]
        assert set(task.support.targets) == set(task.query.targets)


def test_support_and_query_share_no_example():
    for task in episodes(ways="all", shots=3, queries="all", tasks=10)[0]:
        assert not set(task.support.inputs) & set(task.query.inputs)
        assert len(task.support) + len(task.query) == 30


def test_the_order_of_classes_is_drawn():
    assert len({tuple(dict.fromkeys(task.support.targets)) for task in episodes(ways="all", tasks=30)[0]}) > 20


def test_every_text_keeps_its_label():
    for task in episodes(ways="all", queries="all")[0]:
        for batch in (task.support, task.query):
            assert all(text.startswith(label) for text, label in zip(batch.inputs, batch.targets, strict=True))


def test_all_ways_are_all_classes():
    assert set(episodes(ways="all")[0][0].support.targets) == set(CLASSES)


def test_ways_from_a_range():
    ways = Counter(len(shots(task)) for task in episodes(ways=(2, 4), tasks=60)[0])
    assert set(ways) == {2, 3, 4}
    assert min(ways.values()) > 8


def test_shots_from_a_range_are_drawn_for_each_class():
    tasks = episodes(shots=(1, 3), tasks=40)[0]
    assert {count for task in tasks for count in shots(task).values()} == {1, 2, 3}
    assert any(len(set(shots(task).values())) > 1 for task in tasks)


def test_a_class_with_fewer_examples_left_gives_those():
    task = episodes(shots=4, queries=5)[0][0]
    assert set(Counter(task.query.targets).values()) == {2}


def test_a_name_is_one_more_example():
    plain, named = episodes(ways="all")[0][0], episodes(ways="all", names=True)[0][0]
    assert set(shots(named).values()) == {3}
    assert set(named.support.inputs) - set(plain.support.inputs) == {"card lost", "top up", "refund", "pin", "fees"}
    assert named.query == plain.query
    assert set(named.query.inputs).isdisjoint(named.support.inputs)


def test_shots_may_come_from_another_table():
    task = episodes(support=table(name="other"), ways="all", queries="all", shots=3)[0][0]
    assert all("other" in text for text in task.support.inputs)
    assert sorted(task.query.inputs) == sorted(table().texts)
    assert set(shots(task).values()) == {3}


def test_a_source_that_draws_its_own_tasks():
    source = Episodes(Sinusoids(), shots=5, queries=7, tasks=3, seed=2)
    assert [(len(task.support), len(task.query)) for task in source[0]] == [(5, 7)] * 3
    assert source.hash == Episodes(Sinusoids(), shots=5, queries=7, tasks=3, seed=2).hash
    assert source.hash != Episodes(Sinusoids(), shots=5, queries=7, tasks=3, seed=3).hash
    task = source[0][0]
    assert task.support.inputs.abs().max() <= 5
    assert task.support.targets.abs().max() <= 5


def test_the_hash_is_of_the_first_list_and_sees_every_change():
    first = episodes()[0]
    assert episodes().hash == fingerprint(first) == episodes().hash
    assert len(episodes().hash) == 16
    task = first[0]
    swapped = Task(task.query, task.support, seed=task.seed)
    relabelled = Task(Batch(task.support.inputs, task.support.targets[::-1]), task.query, seed=task.seed)
    reseeded = Task(task.support, task.query, seed=task.seed + 1)
    assert len({fingerprint([t]) for t in (task, swapped, relabelled, reseeded)}) == 4


def test_the_hash_is_the_same_in_every_process():
    code = (
        "from quickstudy import Episodes, Table; labels = [c for c in 'abcdef' for _ in range(4)];"
        "print(Episodes(Table([c + str(i) for i, c in enumerate(labels)], labels), ways=3, tasks=3, seed=4).hash)"
    )
    labels = [c for c in "abcdef" for _ in range(4)]
    here = Episodes(Table([c + str(i) for i, c in enumerate(labels)], labels), ways=3, tasks=3, seed=4).hash
    elsewhere = os.environ | {"PYTHONHASHSEED": "123", "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=elsewhere)
    assert answer.stdout.strip() == here


def test_the_hash_tells_a_text_from_its_label():
    query = Batch(["c"], ["x"])
    left, right = Task(Batch(["ab"], ["c"]), query), Task(Batch(["a"], ["bc"]), query)
    assert fingerprint([left]) != fingerprint([right])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ways": 6}, "ways=6, but mine has 5 classes"),
        ({"ways": (2, 6)}, r"ways=\(2, 6\), but mine has 5 classes"),
        ({"ways": 0}, "ways=0: give a number of at least 1"),
        ({"ways": (4, 2)}, r"ways=\(4, 2\)"),
        ({"shots": 0}, "shots=0: give a number of at least 1"),
        ({"shots": (0, 2)}, r"shots=\(0, 2\)"),
        ({"shots": -1}, "shots=-1"),
        ({"queries": 0}, "queries=0"),
        ({"tasks": 0}, "tasks=0"),
        ({"shots": 6}, "label 'card_lost' has 6 sentences"),
        ({"shots": (1, 6)}, "label 'card_lost' has 6 sentences"),
    ],
    ids=str,
)
def test_numbers_that_cannot_be_met_are_refused_in_words(settings, said):
    with pytest.raises(QuickstudyError, match=said):
        episodes(**settings)


def test_a_label_with_too_few_sentences_is_named():
    texts, labels = table().texts, table().labels
    with pytest.raises(QuickstudyError, match="label 'rare' has 1 sentence"):
        Episodes(Table([*texts, "once"], [*labels, "rare"], "mine"), ways=2, shots=1)
    with pytest.raises(QuickstudyError, match="label 'card_lost' has 2 sentences"):
        Episodes(table(), ways=2, shots=3, support=table(rows=2))
    with pytest.raises(QuickstudyError, match="other has no example of 'fees'"):
        Episodes(table(), ways=2, support=table(classes=CLASSES[:4], name="other"))


def test_a_single_label_is_refused_in_words():
    with pytest.raises(QuickstudyError, match="only one label, 'pin'"):
        Episodes(table(classes=["pin"]), ways=1)


def test_a_source_that_cannot_give_all_queries_says_so():
    with pytest.raises(QuickstudyError, match="queries"):
        _ = Episodes(Sinusoids(), shots=5, queries="all")[0]
