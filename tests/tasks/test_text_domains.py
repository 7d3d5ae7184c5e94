"""`TextDomains`: what a task may hold, what it may not, and every bad input."""

import os
import pickle
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.blocks import LEAST
from quickstudy.tasks.documents import Document
from quickstudy.tasks.episodes import Episodes, fingerprint
from quickstudy.tasks.text_domains import TextDomains, refuse_shared, shared_documents

_DATA = Path(os.environ.get("QUICKSTUDY_DATA", Path(__file__).parents[3] / "shared" / "data")) / "domain_text"
WORDS = [f"w{i}" for i in range(3000)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; there is one for the start of a text too, which must not be put there."""
    known = Tokenizer(models.WordLevel({"[UNK]": 0, **{word: i + 1 for i, word in enumerate(WORDS)}}, unk_token="[UNK]"))
    known.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=known, unk_token="[UNK]", bos_token="[UNK]")


def numbered(lengths: list[int], domain: str = "d", start: int = 0, part: str | None = None) -> list[Document]:
    """Documents of these lengths in words, no word twice, so that a token says where it comes from."""
    found = []
    for row, length in enumerate(lengths):
        found.append(Document(" ".join(WORDS[start : start + length]), f"{domain}{row}", domain, part))
        start += length
    assert start <= len(WORDS)
    return found


def home(documents: list[Document]) -> dict[int, str]:
    """Token -> the document that holds it."""
    return {WORDS.index(word) + 1: each.name for each in documents for word in each.text.split()}


def tokens(batch) -> set[int]:
    return {token for its in (*batch.inputs, *batch.targets) for token in its.tolist()}


LENGTHS = [40, 9, 60, 30, 12, 25, 33, 50, 10, 70]


@pytest.mark.parametrize("by", ["topic", "domain"])
def test_a_task_is_blocks_of_documents_that_are_on_one_side(tokenizer, by):
    documents = numbered(LENGTHS)
    where = home(documents)
    source = TextDomains(documents, tokenizer, block=16, by=by, size=4)
    sides = set()
    for seed in range(40):
        support, query = source.draw(np.random.default_rng(seed), 3, 5)
        for batch in (support, query):
            for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
                assert inputs.dtype == targets.dtype == torch.int64
                assert 8 <= len(inputs) == len(targets) <= 16
                assert torch.equal(inputs[1:], targets[:-1])
                assert torch.equal(targets, inputs + 1)  # words stand in the order of their numbers
                assert len({where[token] for token in inputs.tolist() + targets.tolist()}) == 1
        assert 1 <= len(support) <= 3
        assert 1 <= len(query) <= 5
        one, two = ({where[token] for token in tokens(batch)} for batch in (support, query))
        assert one.isdisjoint(two)
        sides.add((frozenset(one), frozenset(two)))
    assert len(sides) > 15


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(2, 60), min_size=2, max_size=12), shots=st.integers(1, 9), queries=st.integers(1, 9))
def test_documents_are_taken_once_before_any_is_taken_again(tokenizer, lengths, shots, queries):
    documents = numbered([*lengths, 9])
    where, source = home(documents), TextDomains(documents, tokenizer, block=8, by="domain")
    support, query = source.draw(np.random.default_rng(len(lengths)), shots, queries)
    blocks = {its.name: len(cut) for its, cut in zip(source.documents, source.groups[0].blocks, strict=True)}
    assert set(blocks) == {each.name for each in documents}
    names = [Counter(where[int(its[0])] for its in batch.inputs) for batch in (support, query)]
    assert names[0].keys().isdisjoint(names[1])
    for batch, wanted, taken in ((support, shots, names[0]), (query, queries, names[1])):
        assert len({tuple(its.tolist()) for its in batch.inputs}) == len(batch) <= wanted
        assert len(batch) >= 1
        for name, count in taken.items():  # a document that has a block left gives as many as any other, or one less
            assert count == blocks[name] or count >= max(taken.values()) - 1
        if len(batch) < wanted:
            assert all(count == blocks[name] for name, count in taken.items())


def test_every_token_is_in_a_block_once(tokenizer):
    documents = numbered(LENGTHS)
    source = TextDomains(documents, tokenizer, block=16, by="domain")
    found = Counter(token for blocks in source.groups[0].blocks for block in blocks for token in block[1:].tolist())
    assert set(found.values()) == {1}
    first = {WORDS.index(each.text.split()[0]) + 1 for each in documents}
    missing = Counter(home(documents)[token] for token in set(range(1, sum(LENGTHS) + 1)) - found.keys() - first)
    # 40 words are 39 predicted ones, 16 + 16 + 7, and a rest of fewer than 8 goes.
    assert missing == {
        name: rest for name, rest in {f"d{i}": (n - 1) % 16 for i, n in enumerate(LENGTHS)}.items() if 0 < rest < 8
    }
    assert source.tokens == sum(LENGTHS) - len(LENGTHS) - sum(missing.values())


def test_a_document_is_divided_into_what_comes_first_and_what_comes_after(tokenizer):
    documents = numbered([202, 25, 90, 26])
    where, source = home(documents), TextDomains(documents, tokenizer, block=16, by="document")
    assert [[each.name for each in group.documents] for group in source.groups] == [["d0"], ["d2"], ["d3"]]
    starts = set()
    for seed in range(40):
        support, query = source.draw(np.random.default_rng(seed), 2, 3)
        assert len({where[token] for token in tokens(support) | tokens(query)}) == 1
        assert max(tokens(support)) < min(tokens(query))
        assert all(int(a[-1]) == int(b[0]) for a, b in zip(query.targets, query.inputs[1:], strict=False))
        starts.add(int(query.inputs[0][0]))
    assert len(starts) > 4
    support, query = source.each(99, 99)[0].support, source.each(99, 99)[0].query
    assert tokens(support) | tokens(query) == set(range(1, 203))
    assert len(support) == 6


def test_domains_are_as_likely_whatever_they_hold(tokenizer):
    documents = numbered([10] * 40, "large") + numbered([10] * 2, "small", 400)
    where, source = home(documents), TextDomains(documents, tokenizer, by="topic", size=2)
    drawn = Counter()
    for seed in range(400):
        support, _ = source.draw(np.random.default_rng(seed), 1, 1)
        drawn[where[int(support.inputs[0][0])].rstrip("0123456789")] += 1
    assert 150 < drawn["small"] < 250  # four standard deviations are 40
    assert len(source) == len(source.groups) == 21


def test_a_task_depends_on_the_generator_alone(tokenizer):
    documents = numbered(LENGTHS) + numbered(LENGTHS, "e", 400)

    def episodes(seed):
        return Episodes(TextDomains(documents, tokenizer, block=16, size=3), shots=(1, 3), queries=4, tasks=3, seed=seed)

    one, two = episodes(1), episodes(1)
    two[7]
    assert fingerprint(one[3]) == fingerprint(two[3]) != fingerprint(episodes(2)[3])
    loader = iter(DataLoader(pickle.loads(pickle.dumps(one)), batch_size=None))
    assert [fingerprint(next(loader)) for _ in range(2)] == [fingerprint(one[i]) for i in range(2)]


def test_each_gives_fixed_tasks_of_every_group(tokenizer):
    documents = numbered([20] * 30) + numbered([20] * 12, "e", 600)
    where = home(documents)
    source = TextDomains(documents, tokenizer, block=8, size=4)
    tasks = source.each(3, 3)
    assert len(tasks) == len(source)
    for task, group in zip(tasks, source.groups, strict=True):
        assert {where[token] for token in tokens(task.support) | tokens(task.query)} <= {each.name for each in group.documents}
    seen = Counter(name for task in tasks for name in {where[token] for token in tokens(task.support) | tokens(task.query)})
    assert set(seen.values()) == {1}
    assert (
        fingerprint(tasks)
        == fingerprint(source.each(3, 3))
        != fingerprint(TextDomains(documents, tokenizer, block=8, size=4, seed=1).each(3, 3))
    )
    assert fingerprint(source.only(["e"]).each(3, 3)) == fingerprint(tasks[-3:])
    more = source.each(3, 3, per=2)
    assert [fingerprint([task]) for task in more[::2]] == [fingerprint([task]) for task in tasks]
    assert len({fingerprint([task]) for task in more}) == len({task.seed for task in more}) == 2 * len(source)
    assert all(task.support.seed == task.seed for task in more)


def test_only_some_domains_and_one_part(tokenizer):
    documents = numbered([20] * 8, "law", part="train") + numbered([20] * 4, "law", 160, "test") + numbered([20] * 3, "news", 240)
    source = TextDomains(documents, tokenizer, block=8, size=2)
    assert source.domains == ["law", "news"]
    less = source.only({"law"}, part="test")
    assert (less.domains, less.documents, len(less)) == (["law"], documents[8:12], 2)
    assert {each.name for each in source.only(["law"]).documents} == {each.name for each in documents[:12]}
    assert less.only(["law"]).part == "test"
    assert len(source) == 7
    with pytest.raises(QuickstudyError, match=r"no domain 'lav' \(known: law, news\); did you mean 'law'\?"):
        source.only(["lav"])
    with pytest.raises(QuickstudyError, match=r"no domain 'x' \(known: law\); give one of these"):
        less.only("x")
    with pytest.raises(QuickstudyError, match=r"no domain '' \(known: law, news\)"):
        source.only([])
    with pytest.raises(QuickstudyError, match=r"domain 'law' has no part 'valid'; it has test, train"):
        source.only(["law"], part="dev")
    with pytest.raises(QuickstudyError, match=r"domain 'news' has no part 'test'; its documents have none"):
        source.only(["law", "news"], part="test")
    with pytest.raises(QuickstudyError, match=r"domain 'law' has no part 'train'; it has test"):
        less.only(["law"], part="train")


def test_copies_are_left_out(tokenizer):
    originals = numbered([30] * 6)
    changed = [
        Document(each.text.replace(each.text.split()[4], "w2999"), f"near{i}", "d") for i, each in enumerate(originals[:3])
    ]
    shouted = [Document(each.text.upper() + " !", f"exact{i}", "d") for i, each in enumerate(originals)]
    elsewhere = [Document(each.text, each.name, "other") for each in originals]
    source = TextDomains([*originals, *changed, *shouted, *elsewhere], tokenizer, size=2)
    assert source.copies == 9
    assert source.only(["other"]).copies == 0
    assert sorted(each.name for each in source.documents if each.domain == "d") == [f"d{i}" for i in range(6)]
    first = TextDomains([*changed, *originals], tokenizer, by="domain").documents
    assert [each.name for each in first] == ["near0", "near1", "near2", "d3", "d4", "d5"]


def test_tokenized_once_and_only_where_it_is_needed(tokenizer):
    calls = []

    def counting(texts, **settings):
        calls.append(len(texts))
        assert settings == {"add_special_tokens": False}
        return tokenizer(texts, **settings)

    source = TextDomains(numbered([20] * 4, "a") + numbered([20] * 5, "b", 80, "test"), counting, size=2)
    one = source.only(["b"])
    assert calls == []
    one.each(1, 1)
    one.only(["b"], part="test").each(1, 1)
    assert calls == [5]
    source.draw(np.random.default_rng(0), 1, 1)
    assert calls == [5, 4]


def test_train_and_test_share_nothing(tokenizer):
    documents = numbered([20] * 4, "a", 0, "train") + numbered([20] * 4, "a", 80, "test") + numbered([20] * 4, "b", 160)
    source = TextDomains(documents, tokenizer, size=2)
    refuse_shared(source.only(["a"]), source.only(["b"]))
    refuse_shared(source.only(["a"], part="train"), source.only(["a"], part="test"))
    for train, test in ((source, source.only(["a"])), (source.only(["a"], part="test"),) * 2):
        with pytest.raises(QuickstudyError, match=r"domain 'a' is in the training data and in the test data; take other"):
            refuse_shared(train, test)
    copied = TextDomains([*numbered([20] * 3, "c", 300), Document(documents[1].text, "x", "c")], tokenizer, size=4)
    assert [(leak.part, leak.index, leak.kind) for leak in shared_documents(source.only(["a"]), copied)] == [("test", 3, "exact")]
    found = shared_documents(source.only(["a"]), copied)[0]
    assert source.only(["a"]).documents[found.other_index].text == copied.documents[found.index].text
    assert shared_documents(source.only(["a"]), source.only(["b"])) == []


def test_what_there_is(tokenizer):
    source = TextDomains(numbered([20] * 4, "a") + numbered([33] * 4, "b", 80) * 2, tokenizer, size=2, block=16)
    assert source.describe().split("\n") == [
        "domains: 2, a task is one topic, 4 copies left out",
        "a: 4 documents, 2 groups, 4 blocks, 64 tokens to predict",
        "b: 4 documents, 2 groups, 8 blocks, 128 tokens to predict",
    ]
    assert source.tokens == 192


BAD = {
    "no documents": ([], {}, r"the list of sources is empty; give a folder"),
    "block": (numbered([20] * 2), {"block": 7}, r"block=7: a block predicts at least 8 tokens; give more, such as 128"),
    "size": (numbered([20] * 2), {"size": 1}, r"size=1: a topic is divided into support and query; give at least 2"),
    "by": (numbered([20] * 2), {"by": "subject"}, r"by='subject': no such kind of task; give one of topic, domain, document"),
    "short": (numbered([LEAST] * 5), {}, r"domain 'd' has no text of more than 8 tokens that is no copy; add some, or leave"),
    "one": (numbered([50]), {}, r"domain 'd' has a single document .*; add documents, leave it out .*, or give by='document'"),
    "copies of one": (numbered([50]) * 3, {"by": "domain"}, r"domain 'd' has a single document \(copies do not count\)"),
    "one word besides": (numbered([50, 1]), {}, r"domain 'd' has a single document"),
    "no long one": (numbered([20] * 9), {"by": "document"}, r"domain 'd' has no document of two blocks of 128 tokens"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_one_clear_sentence(tokenizer, what):
    documents, changes, said = BAD[what]
    with pytest.raises(QuickstudyError, match=said) as caught:
        TextDomains(documents, tokenizer, **changes).draw(np.random.default_rng(0), 1, 1)
    assert "\n" not in str(caught.value)


def test_the_part_is_named_where_it_is_too_small(tokenizer):
    documents = numbered([20] * 4, "d", 0, "train") + numbered([20], "d", 80, "test")
    with pytest.raises(QuickstudyError, match=r"domain 'd', part 'test', has a single document"):
        len(TextDomains(documents, tokenizer).only(["d"], part="test"))


@pytest.mark.parametrize("by", ["topic", "document"])
def test_no_side_is_empty(tokenizer, by):
    source = TextDomains(numbered([40] * 3), tokenizer, block=8, by=by)
    for shots, queries in ((0, 1), (1, 0)):
        with pytest.raises(QuickstudyError, match=rf"shots={shots}, queries={queries}: a task of 'd' needs at least 1 of each"):
            source.draw(np.random.default_rng(0), shots, queries)
    for shots, queries in ((1, 99), (99, 1), (99, 99)):
        assert min(map(len, source.draw(np.random.default_rng(0), shots, queries))) >= 1


def test_a_folder_is_a_source(tmp_path, tokenizer):
    draw = random.Random(0)
    for domain in ("law", "news"):
        (tmp_path / domain).mkdir()
        for i in range(4):
            (tmp_path / domain / f"{i}.txt").write_text(" ".join(draw.choices(WORDS, k=30)))
    assert TextDomains(tmp_path, tokenizer, size=2).domains == TextDomains([str(tmp_path)], tokenizer).domains == ["law", "news"]
    assert len(TextDomains(str(tmp_path), tokenizer, size=2)) == 4


@pytest.mark.skipif(not _DATA.is_dir(), reason="the data folder (QUICKSTUDY_DATA) has no domain_text")
def test_real_documents(tokenizer):
    source = TextDomains([_DATA / f"medical_{name}.jsonl.gz" for name in ("pubmedqa", "medquad")], tokenizer)
    per_domain = Counter(group.domain for group in source.groups)
    assert per_domain == {"medical_pubmedqa": 999 // 16, "medical_medquad": (540 - source.copies) // 16}
    assert all(16 <= len(group.documents) < 32 for group in source.groups)
    assert 10 <= source.copies == 540 - len(source.only(["medical_medquad"]).documents)
    train, test = source.only(source.domains, part="train"), source.only(source.domains, part="test")
    refuse_shared(train, test)
    assert not {each.name for each in train.documents} & {each.name for each in test.documents}
