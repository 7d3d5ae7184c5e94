"""`copies`, `overlap` and `diversity`: texts whose overlap is known, and samples of known distributions."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.documents import documents
from quickstudy.tasks.leaks import leaks, words
from quickstudy.tasks.task import Task
from quickstudy.tasks.text_overlap import Diversity, copies, diversity, overlap

_DATA = Path(os.environ.get("QUICKSTUDY_DATA", Path(__file__).parents[3] / "shared" / "data")) / "domain_text"
needs_data = pytest.mark.skipif(not _DATA.is_dir(), reason="the data folder (QUICKSTUDY_DATA) has no domain_text")
LONG = "the quick brown fox jumps over the lazy dog and then it runs back to where it came from at once"


def batch(*blocks: list[int]) -> Batch:
    whole = [torch.tensor(block) for block in blocks]
    return Batch([tokens[:-1] for tokens in whole], [tokens[1:] for tokens in whole])


def task(support: list[list[int]], query: list[list[int]]) -> Task:
    return Task(batch(*support), batch(*query))


@pytest.mark.parametrize(
    ("one", "two", "copied"),
    [
        ("Where is my card?", "where  is my card", True),
        ("don’t", "Don't.", True),
        (LONG, LONG.replace("lazy", "idle").replace("at once", "in once"), True),
        (LONG, LONG.replace("quick", "slow").replace("lazy", "idle").replace("once", "last"), False),
        (LONG, " ".join(reversed(LONG.split())), True),
        (LONG, LONG + " or so", True),
        (LONG, LONG + " or very much later", False),
        ("the the the the the the the the", "the the the the", False),
        ("快递包裹什么时候才能寄送到我家里来", "快递包裹什么时候才能寄送到他家里去", True),
        ("快递包裹什么时候才能寄送到我家里来", "足球联赛什么时候才能进行到我家里来", False),
        ("yes", "no", False),
    ],
)
def test_what_is_a_copy(one, two, copied):
    assert copies(["something else entirely, not at all alike", one, two]) == ({2} if copied else set())
    assert copies([two, "something else entirely", one]) == ({2} if copied else set())


def test_of_each_text_the_first_is_kept():
    longer = [LONG, LONG.replace("lazy", "idle"), LONG.upper(), LONG.replace("lazy", "idle").replace("fox", "wolf")]
    assert copies(longer) == {1, 2, 3}
    assert copies(["same"] * 2000) == set(range(1, 2000))
    assert copies([]) == copies(["one"]) == set()


def test_many_that_are_alike_are_compared_with_the_first(monkeypatch):
    calls, intersect = [], np.intersect1d
    monkeypatch.setattr(np, "intersect1d", lambda *a, **k: calls.append(a) or intersect(*a, **k))
    assert copies([f"{LONG} {word}" for word in LONG.split()] + ["quite another text, of as many words"]) == set(range(1, 21))
    assert len(calls) < 60  # 210 pairs


def test_books_that_are_alike_take_no_hours():
    draw = random.Random(0)
    book = [f"w{int(draw.paretovariate(1)) % 5000}" for _ in range(60_000)]
    edition = [word if draw.random() > 0.02 else "changed" for word in book]
    other = [f"w{int(draw.paretovariate(1)) % 5000 + 9}" for _ in range(60_000)]
    assert copies([" ".join(book), " ".join(other), " ".join(edition)]) == {2}


@needs_data
@pytest.mark.parametrize("domain", ["medical_medquad", "zh_news_titles"])
def test_no_copy_of_the_leak_check_is_missed(domain):
    texts = [each.text for each in documents(_DATA / f"{domain}.jsonl.gz")]
    texts = [text for text in texts if 8 <= len(words(text)) < 400][:1500]
    planted = [f"{text[: len(text) // 2]}x{text[len(text) // 2 + 1 :]}" for text in texts[:100]]
    found = copies([*texts, *planted])
    assert set(range(len(texts), len(texts) + 100)) <= found
    kept = [text for place, text in enumerate(texts) if place not in found]
    assert len(kept) > 0.8 * len(texts)
    assert leaks({str(place): [text] for place, text in enumerate(kept)}) == []


def test_overlap_counts_the_query_s_ngrams():
    # The pairs 1 2 and 4 5 are in the support; 5 7 would be, if pairs went from block to block.
    one = task([[1, 2, 9, 4, 5], [7, 8]], [[1, 2, 3, 4, 5], [5, 7]])
    assert overlap([one], n=2) == pytest.approx(2 / 5)
    assert overlap([one], n=1) == pytest.approx(6 / 7)
    none, all_of_it = task([[1, 2, 3]], [[4, 5, 6]]), task([[1, 2, 3]], [[1, 2, 3]])
    assert overlap([none], 3) == 0.0
    assert overlap([all_of_it], 3) == 1.0
    assert overlap([none, all_of_it, all_of_it, task([[1, 2, 3]], [[1, 2]])], 3) == pytest.approx(2 / 3)
    assert overlap([task([list(range(20))], [list(range(5, 25))])]) == pytest.approx(8 / 13)


def test_overlap_of_the_support_with_itself_counts_repeats():
    assert overlap([task([[1, 1, 1, 2]], [[1, 1, 1, 3]])], 2) == pytest.approx(2 / 3)


def samples(count: int, of: list[np.ndarray], seed: int = 0) -> list[Task]:
    """Tasks whose tokens are drawn from these distributions in turn."""
    draw = np.random.default_rng(seed)

    def block(shares):
        return draw.choice(len(shares), size=400, p=shares).tolist()

    return [task([block(of[i % len(of)])], [block(of[i % len(of)])]) for i in range(count)]


def test_diversity_of_known_distributions():
    left, right = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.5, 0.5])
    apart = diversity(samples(2, [left, right]))
    assert apart.between == pytest.approx(1.0)
    assert apart.within < 0.01
    alike = diversity(samples(40, [np.full(300, 1 / 300)]))
    assert alike.between == pytest.approx(alike.within, rel=0.05)
    assert alike.within > 0.1  # 400 tokens of 300 kinds: chance alone
    # Half of the mass is shared: H(1/4, 1/2, 1/4) - 1 = 0.5 bits.
    exact = diversity([task([[0, 1]], [[0, 1]]), task([[1, 2]], [[2, 1]])])
    assert (exact.between, exact.within) == (pytest.approx(0.5), 0.0)


def test_pairs_are_drawn_where_there_are_many():
    tasks = samples(60, [np.array([0.9, 0.1, 0, 0]), np.array([0.1, 0.6, 0.3, 0]), np.array([0, 0, 0.2, 0.8])])
    one, two, other = diversity(tasks), diversity(tasks), diversity(tasks, seed=1)
    assert one == two
    assert one.between != other.between
    assert one.between == pytest.approx(other.between, rel=0.2)
    assert one.within == other.within
    assert diversity(tasks[:30]) == diversity(tasks[:30], seed=1)  # 435 pairs are all compared


def test_the_sentence_says_both_numbers_and_the_ratio():
    assert Diversity(0.6, 0.4).sentence() == (
        "supports of different tasks differ by 0.600 bits, support and query of the same task by 0.400: "
        "1.50 times as much, so tasks differ in more than chance."
    )
    assert Diversity(0.42, 0.4).sentence().endswith("1.05 times as much, so tasks are hardly told apart by their words.")
    assert Diversity(0.42, 0.0).sentence().endswith("0.420 bits, support and query of the same task not at all.")


def test_what_is_refused():
    good = task([[1, 2, 3]], [[4, 5, 6]])
    labelled = Task(Batch(["a", "b"], ["x", "y"]), Batch(["c"], ["x"]))
    curves = Task(*(Batch(torch.zeros(3, 1), torch.zeros(3, 1)) for _ in range(2)))
    with pytest.raises(QuickstudyError, match=r"n=0: an n-gram has at least one token"):
        overlap([good], 0)
    for tasks in ([], [good]):
        with pytest.raises(QuickstudyError, match=r"overlap: no query has 8 tokens in a row; give tasks of longer blocks"):
            overlap(tasks)
        with pytest.raises(QuickstudyError, match=rf"diversity: {len(tasks)} tasks; give at least two, to be compared"):
            diversity(tasks)
    for other in (labelled, curves):
        with pytest.raises(QuickstudyError, match=r"these are no tasks of text \(blocks of tokens\); give some"):
            overlap([other])
        with pytest.raises(QuickstudyError, match=r"these are no tasks of text"):
            diversity([other, other])
