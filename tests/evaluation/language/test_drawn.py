"""Tasks are spread over domains, and share nothing."""

from __future__ import annotations

import pytest

from quickstudy import QuickstudyError
from quickstudy.evaluation.language.drawn import own_domains


def test_the_domains_take_turns_and_no_task_shares_a_document(text):
    asked = text("cards", "waits", "money", count=7)
    assert asked.domains == ["cards", "waits", "money", "cards", "waits", "money", "cards"]
    blocks = [tuple(block.tolist()) for task in asked.tasks for batch in (task.support, task.query) for block in batch.inputs]
    assert len(blocks) == len(set(blocks)) == 7 * 4
    assert asked.settings == {"shots": 2, "queries": 2, "seed": 0}


def test_where_there_are_fewer_topics_there_are_fewer_tasks(text):
    assert text("cards", "waits", count=20).domains == ["cards", "waits"] * 3


def test_the_seed_decides_which(text):
    seen = {tuple(asked.tasks[0].support.inputs[0].tolist()) for asked in (text("cards", count=1, seed=s) for s in range(8))}
    assert len(seen) > 1
    first, again = (text("cards", "waits", seed=3).tasks for _ in range(2))
    assert all(a.support.inputs[0].equal(b.support.inputs[0]) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(("count", "size"), [(1, 4), (4, 4), (24, 2), (100, 2), (16, 3)])
def test_topics_of_ones_own_text_are_as_large_as_the_tasks_leave_them(folder, llama, count, size):
    assert own_domains("texts", llama.tokenizer, count, 4, block=16).size == size


def test_nothing_to_read_is_refused(folder, llama):
    (folder / "empty").mkdir()
    with pytest.raises(QuickstudyError, match="empty is empty"):
        own_domains("empty", llama.tokenizer, 2, 4)
