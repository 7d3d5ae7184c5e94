"""Embeddings on disk: exact, one model's never another's, and no error whatever happens to the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import torch
from test_sentence_encoder import tiny
from torch import nn

from quickstudy.models import cache
from quickstudy.models.cache import Cache, cache_file, fingerprint
from quickstudy.models.sentence_encoder import SentenceEncoder


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    return tmp_path / "embeddings.sqlite"


def frozen(**settings) -> SentenceEncoder:
    encoder = tiny(**settings)
    encoder.requires_grad_(False)
    return encoder


def vectors(count: int, start: int = 0) -> dict[str, torch.Tensor]:
    return {f"sentence {i}": torch.randn(6, generator=torch.Generator().manual_seed(i)) for i in range(start, start + count)}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def test_what_is_put_comes_back_to_the_bit(place):
    kept = vectors(1200) | {"": torch.zeros(6), "Ich möchte 🙂": torch.ones(6), "half \ud83d": torch.full((6,), 1e-38)}
    Cache(b"model", place).put(kept)
    assert same(Cache(b"model", place).get([*kept, "never seen"]), kept)
    assert Cache(b"model", place).get([]) == {}


def test_another_model_s_entries_are_others(place):
    one, two = {"hello": torch.zeros(6)}, {"hello": torch.ones(6)}
    Cache(b"one", place).put(one)
    assert Cache(b"two", place).get(["hello"]) == {}
    Cache(b"two", place).put(two)
    assert same(Cache(b"one", place).get(["hello"]), one)
    assert same(Cache(b"two", place).get(["hello"]), two)


def test_a_fingerprint_is_of_the_weights_and_the_settings():
    torch.manual_seed(0)
    module = nn.Linear(2, 2)
    before = fingerprint(module, "mean")
    assert fingerprint(module, "mean") == before
    assert fingerprint(module, "cls") != before
    with torch.no_grad():
        module.weight[0, 0] += 1e-6
    assert fingerprint(module, "mean") != before
    assert fingerprint(nn.Linear(2, 2, dtype=torch.bfloat16)) != before  # any kind of number can be hashed


def test_the_file_holds_no_text(place):
    Cache(b"model", place).put({"a secret sentence": torch.zeros(6)})
    assert b"secret" not in place.read_bytes()


def test_the_newest_are_kept(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 4)
    kept = Cache(b"model", place)
    kept.put(vectors(3))
    kept.put(vectors(1))  # the first again, so it is new
    kept.put(vectors(2, start=3))
    assert set(kept.get(vectors(9).keys())) == {"sentence 0", "sentence 2", "sentence 3", "sentence 4"}


def test_an_encoder_finds_what_it_computed_in_an_earlier_life(place):
    sentences = ["one", "two", "three"]
    expected = frozen().memory(sentences)
    later = frozen()
    assert same(later.memory([*sentences, "one"]), expected)
    assert later.module.calls == 0
    later.memory(["one", "four"])
    assert later.module.calls == 1


@pytest.mark.parametrize("settings", [{"pooling": "max"}, {"normalize": True}, {"max_length": 2}, {"prompt": "q: "}], ids=str)
def test_an_encoder_that_reads_in_another_way_computes(place, settings):
    frozen().memory(["one"])
    other = frozen(**settings)
    found = other.memory(["one"])
    assert other.module.calls == 1
    assert torch.equal(found["one"], other.embed(["one"])[0])


def test_an_encoder_that_can_still_change_is_not_kept(place):
    encoder = tiny()
    encoder.memory(["one"])
    assert not place.exists()
    encoder.requires_grad_(False)
    encoder.memory(["one"])
    assert place.exists()


def test_it_can_be_switched_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICKSTUDY_CACHE", "off")
    assert cache_file() is None
    frozen().memory(["one"])
    again = frozen()
    again.memory(["one"])
    assert again.module.calls == 1
    assert not list(tmp_path.iterdir())


def test_by_default_it_is_in_the_user_s_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("QUICKSTUDY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "quickstudy" / "embeddings.sqlite"


def test_a_damaged_file_is_as_good_as_none(place):
    place.write_bytes(b"this is no database" * 100)
    encoder = frozen()
    assert same(encoder.memory(["one"]), {"one": encoder.embed(["one"])[0]})


def test_a_file_damaged_in_the_middle_is_as_good_as_none(place):
    Cache(b"model", place).put(vectors(3000))
    content = bytearray(place.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    place.write_bytes(content)
    assert Cache(b"model", place).get(["sentence 1"]) == {}
    Cache(b"model", place).put(vectors(3))


def test_another_program_s_table_of_that_name_is_as_good_as_none(place):
    with sqlite3.connect(place) as database:
        database.execute("CREATE TABLE embeddings (something TEXT)")
    encoder = frozen()
    assert same(encoder.memory(["one"]), {"one": encoder.embed(["one"])[0]})


def test_a_folder_that_cannot_be_made_is_as_good_as_none(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "file" / "below"))
    encoder = frozen()
    assert same(encoder.memory(["one"]), {"one": encoder.embed(["one"])[0]})


def test_a_folder_that_is_read_only_is_as_good_as_none(tmp_path, monkeypatch):
    def refuse(*where, **settings):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    monkeypatch.setattr(sqlite3, "connect", refuse)
    encoder = frozen()
    assert same(encoder.memory(["one"]), {"one": encoder.embed(["one"])[0]})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_numbers_come_back_in_the_encoder_s_precision_and_single_at_least(place, dtype):
    expected = frozen().to(dtype).memory(["one"])
    found = frozen().to(dtype).memory(["one", "two"])
    assert {vector.dtype for vector in found.values()} == {torch.promote_types(dtype, torch.float32)}
    assert torch.equal(found["one"], expected["one"])
