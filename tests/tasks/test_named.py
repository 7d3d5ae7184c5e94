"""Sets known by name, their splits and published folds."""

import json
import os
from pathlib import Path

import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.named import folds, known, named, select_part
from quickstudy.tasks.table import Table

_DATA = Path(os.environ.get("QUICKSTUDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (_DATA / "banking77").is_dir(), reason="the data folder (QUICKSTUDY_DATA) is not here")


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_DATA", str(_DATA))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A data folder with a reuters_fewshot of four rows and a tnews with splits; a file that is not whole yet."""
    (tmp_path / "reuters_fewshot").mkdir()
    (tmp_path / "fewclue").mkdir()
    rows = [{"text": f"news {i}", "label": i % 2} for i in range(4)]
    (tmp_path / "reuters_fewshot" / "reuters.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "reuters_fewshot" / "fewshot_class_splits.json").write_text('[{"train": [0], "valid": [], "test": [1]}]')
    rows = [{"text": f"news {i}", "label": "x", "split": split} for i, split in enumerate(["train", "dev", "test"])]
    (tmp_path / "fewclue" / "tnews.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path))
    return tmp_path


def test_helpdesk_is_built_in(monkeypatch, tmp_path):
    monkeypatch.delenv("QUICKSTUDY_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert known() == ["helpdesk"]
    table = Table.read("helpdesk")
    assert (len(table), len(table.classes), set(table.counts.values()), table.splits) == (600, 40, {15}, None)
    (groups,) = folds("helpdesk")
    assert sorted(label for part in groups.values() for label in part) == table.classes
    pool, support = select_part("helpdesk", split="test", fold=1)
    assert pool == support
    assert pool.classes == sorted(groups["test"])
    assert select_part("helpdesk", split="test") == (table, table)


def test_small_folder(small):
    assert known() == ["helpdesk", "reuters_fewshot", "tnews"]
    assert named("reuters") == Table([f"news {i}" for i in range(4)], ["0", "1", "0", "1"], "reuters_fewshot")
    assert folds("reuters") == [{"train": ["0"], "valid": [], "test": ["1"]}]
    assert select_part("reuters", split="test", fold=1)[0].texts == ["news 1", "news 3"]
    pool, support = select_part("tnews", split="dev")
    assert (pool.texts, support.texts) == (["news 1"], ["news 0"])


def test_errors(small, monkeypatch, tmp_path):
    with pytest.raises(QuickstudyError, match=r"no set 'banking' \(known: helpdesk, reuters_fewshot, tnews\); give one"):
        named("banking")
    with pytest.raises(QuickstudyError, match="known: helpdesk, reuters_fewshot, tnews"):
        Table.read("banking")
    with pytest.raises(QuickstudyError, match=r"tnews has no published folds .*divide its classes by seed"):
        folds("tnews")
    for fold in (0, 2):
        with pytest.raises(QuickstudyError, match=f"reuters has no fold {fold}; it has only fold 1"):
            select_part("reuters", split="test", fold=fold)
    with pytest.raises(QuickstudyError, match="fold 1 of reuters has no part 'best'; it has train, valid, test"):
        select_part("reuters", split="best", fold=1)
    with pytest.raises(QuickstudyError, match="tnews has no split 'best'; it has 'test', 'train', 'valid'"):
        select_part("tnews", split="best")
    (small / "reuters_fewshot" / "fewshot_class_splits.json").write_text("[")
    with pytest.raises(QuickstudyError, match="cannot read the folds"):
        folds("reuters")
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path / "gone"))
    with pytest.raises(QuickstudyError, match=r"gone is not there, so set QUICKSTUDY_DATA"):
        named("banking77")
    monkeypatch.delenv("QUICKSTUDY_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QuickstudyError, match=r"known: helpdesk\); no data folder was found, so set QUICKSTUDY_DATA"):
        Table.read("banking77")


def test_a_file_wins_over_nothing_and_a_folder_is_named(small, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QuickstudyError, match="fewclue is a folder"):
        Table.read("fewclue")
    (tmp_path / "mine.csv").write_text("text,label\na,b\n")
    assert len(Table.read("mine.csv")) == 1


@needs_data
@pytest.mark.parametrize(
    ("name", "rows", "classes", "splits", "published"),
    [
        ("banking77", 13083, 77, {"train": 10003, "test": 3080}, [25, 25, 27]),
        ("clinc150", 22500, 150, {"train": 15000, "valid": 3000, "test": 4500}, [50, 50, 50]),
        ("reuters", 595, 31, None, [15, 5, 11]),
        ("amazon", 4800, 16, None, None),
        ("tnews", 4293, 15, {"train": 1185, "valid": 1098, "test": 2010}, None),
        ("csldcp", 5888, 67, {"train": 2036, "valid": 2068, "test": 1784}, None),
    ],
)
def test_sets_are_whole(data, name, rows, classes, splits, published):
    table = named(name)
    assert (len(table), len(table.classes)) == (rows, classes)
    assert (table.splits and {split: table.splits.count(split) for split in set(table.splits)}) == splits
    if published is None:
        with pytest.raises(QuickstudyError, match="no published folds"):
            folds(name)
        return
    assert len(folds(name)) == 5
    for fold in folds(name):
        assert [len(fold[part]) for part in ("train", "valid", "test")] == published
        assert sorted(label for part in fold.values() for label in part) == table.classes


@needs_data
def test_parts_of_banking77(data):
    pool, support = select_part("banking77", split="test", fold=1)
    assert pool == support
    assert (len(pool.classes), set(pool.splits)) == (27, {"train", "test"})
    pool, support = select_part("banking77", split="test")
    assert (len(pool), len(support), pool.classes) == (3080, 10003, support.classes)
    with pytest.raises(QuickstudyError, match="banking77 has no fold 6; it has folds 1 to 5"):
        select_part("banking77", split="test", fold=6)
