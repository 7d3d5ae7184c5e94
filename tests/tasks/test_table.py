"""`Table` and the reading of files: every bad input names what is wrong, where and the remedy; a good one beside it."""

import sys
from types import SimpleNamespace

import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.reading import rows
from quickstudy.tasks.table import Table

GOOD = b"text,label\nwhere is my card,arrival\nit was eaten,swallowed\n"


def _file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


GOOD_FILES = {
    "plain.csv": GOOD,
    "bom.csv": b"\xef\xbb\xbf" + GOOD,
    "windows.csv": GOOD.replace(b"\n", b"\r\n"),
    "no_last_newline.csv": GOOD.rstrip(),
    "blank_lines.csv": b"\n" + GOOD.replace(b"\n", b"\n\n  \n,\n"),
    "semicolons.csv": GOOD.replace(b",", b";"),
    "more_columns.csv": b"id, label ,text\n1, arrival ,where is my card\n2,swallowed,it was eaten\n",
    "trailing_commas.csv": GOOD.replace(b"\n", b",,\n").replace(b"text,label,,", b"text,label"),
    "tabs.tsv": GOOD.replace(b",", b"\t"),
    "tabs.txt": GOOD.replace(b",", b"\t"),
    "lines.jsonl": b'{"text": "where is my card", "label": "arrival"}\n\n{"label": " swallowed", "text": "it was eaten"}',
    "lines.json": b'{"text": "where is my card", "label": "arrival"}\n{"label": "swallowed", "text": "it was eaten"}\n',
    "UPPER.CSV": GOOD,
}


@pytest.mark.parametrize("name", GOOD_FILES)
def test_good_files_read_alike(tmp_path, name):
    table = Table.read(_file(tmp_path, name, GOOD_FILES[name]))
    assert table == Table(["where is my card", "it was eaten"], ["arrival", "swallowed"], name)


def test_texts_stay_as_they_are_and_line_numbers_are_physical(tmp_path):
    path = _file(tmp_path, "a.csv", '\ntext,label\n"two\nlines, one ""text""",a\n\n  spaced  , b \nschön;,ü\n'.encode())
    assert list(rows(path)) == [(3, 'two\nlines, one "text"', "a"), (6, "  spaced  ", "b"), (7, "schön;", "ü")]


def test_columns_by_name_and_numbers_as_labels(tmp_path):
    path = _file(tmp_path, "a.jsonl", b'{"q": "one", "y": 1}\n{"q": 2, "y": 1.5}\n{"q": "three", "y": true}\n')
    table = Table.read(str(path), text="q", label="y")
    assert (table.texts, table.labels) == (["one", "2", "three"], ["1", "1.5", "True"])


BAD_FILES = [
    ("a.csv", b"", ["a.csv is empty", "each row needs a text and a label"]),
    ("a.csv", b" \n\n", ["a.csv is empty"]),
    ("a.jsonl", b"\n", ["a.jsonl is empty"]),
    ("a.csv", b"text,label\n\n", ["a header and no rows"]),
    ("a.csv", b"Text,intent\nhi,b\n", ["line 1", "no column 'text'", "'Text', 'intent'", "--text and --label"]),
    ("a.csv", b"Text,other,label\nhi there,b c,d\n", ["'Text' and 'other' could each be the sentences: say which with --text"]),
    ("a.csv", b"Text,code,label\nhi there,b,c\n", ["no column 'text'", "'Text', 'code', 'label'); say which are yours"]),
    ("a.csv", b'Text,other,label\n"hi there,b c,d\n', ["no column 'text'", "say which are yours with --text and --label"]),
    ("a.jsonl", b'{"q": "a b", "a": "c d", "label": "e"}\n', ["line 1", "'q' and 'a' could each be the sentences"]),
    ("a.csv", b"text,intent\n", ["no column 'label'", "found: 'text', 'intent'", "--label"]),
    ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": "a"}\n', ["line 2", "no column 'label'", "found: 'text'"]),
    ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": "a", \n', ["line 2, column 14", "broken JSON", "one object a line"]),
    ("a.json", b'[\n{"text": "a", "label": "b"}]\n', ["line 1", "broken JSON", "one object a line"]),
    ("a.jsonl", b'["a", "b"]\n', ["line 1", "a JSON list", "one object a line"]),
    ("a.jsonl", b"[" * 200_000, ["line 1", "too deep"]),
    ("a.jsonl", b'{"text": ["a"], "label": "b"}\n', ["line 1", "the text is a list"]),
    ("a.jsonl", b'{"text": "\\ud83d", "label": "b"}\n', ["line 1", "half a character at position 0", "escapes"]),
    ("a.csv", GOOD + b"caf\xe9,b\n", ["not UTF-8 at byte 62", "save it as UTF-8"]),
    ("a.csv", b"\xef\xbb\xbf" + GOOD + b"caf\xe9,b\n", ["not UTF-8 at byte 65"]),
    ("a.csv", GOOD.decode().encode("utf-16"), ["UTF-16", "byte 0", "save it as UTF-8"]),
    ("a.csv", b"PK\x03\x04\x00\x00", ["looks binary", "a NUL at byte 4", "CSV, TSV or JSONL"]),
    ("a.csv", GOOD * 500 + b"x\x00", ["looks binary", f"a NUL at byte {len(GOOD) * 500 + 1}"]),
    ("a.csv", b"text,label\nhi,a\n  ,b\n", ["line 3", "the text is blank", "remove the row"]),
    ("a.jsonl", b'{"text": null, "label": "b"}\n', ["line 1", "the text is blank"]),
    ("a.csv", b"text,label\nhi, \n", ["line 2", "the label is missing", "remove the row"]),
    ("a.csv", b"text,label\n\nhi,NaN\n", ["line 3", "the label is missing ('NaN')"]),
    ("a.csv", b"text,label\nhi,null\n", ["line 2", "the label is missing ('null')"]),
    ("a.jsonl", b'{"text": "hi", "label": NaN}\n', ["line 1", "the label is missing"]),
    ("a.jsonl", b'{"text": "hi", "label": null}\n', ["line 1", "the label is missing"]),
    ("a.csv", b"text,label\nhi, there,a\n", ["line 2", "too many columns (3; the header has 2)", "double quotes"]),
    ("a.csv", b"text,label\nhi\n", ["line 2", "too few columns (1; the header has 2)", "give a text and a label"]),
    ("a.csv", b'text,label\nhi,a\n"open,b\nmore,a\n', ["line 3", "double quotes"]),
    ("a.xlsx", GOOD, ["a.xlsx ends in none of", ".csv, .tsv, .txt, .jsonl"]),
]


@pytest.mark.parametrize(("name", "content", "said"), BAD_FILES)
def test_bad_files_get_one_clear_sentence(tmp_path, name, content, said):
    with pytest.raises(QuickstudyError) as caught:
        Table.read(_file(tmp_path, name, content))
    message = str(caught.value)
    assert "\n" not in message
    assert name in message
    for part in said:
        assert part in message


def test_missing_file_folder_and_unreadable(tmp_path):
    with pytest.raises(QuickstudyError, match="does not exist; check the name"):
        Table.read(tmp_path / "none.csv")
    with pytest.raises(QuickstudyError, match="is a folder; name a CSV"):
        Table.read(tmp_path)
    with pytest.raises(QuickstudyError, match="no table in a value of type int; give a file"):
        Table.read(3)


def test_reading_streams(tmp_path):
    good_then_bad = rows(_file(tmp_path, "a.csv", GOOD + b"caf\xe9,b\n"))
    assert [line for line, _, _ in (next(good_then_bad), next(good_then_bad))] == [2, 3]


def test_data_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"q": ["a", " b "], "y": [0, 1]})
    assert Table.read(frame, text="q", label="y") == Table(["a", " b "], ["0", "1"], "data frame")
    with pytest.raises(QuickstudyError, match=r"data frame: no column 'text' \(found: 'q', 'y'\)"):
        Table.read(frame)
    for bad in (None, float("nan"), pandas.NA):
        with pytest.raises(QuickstudyError, match=r"data frame, row 1 \(from 0\): the label is missing"):
            Table.read(pandas.DataFrame({"text": ["a", "b"], "label": ["x", bad]}))
        with pytest.raises(QuickstudyError, match=r"row 1 \(from 0\): the text is blank"):
            Table.read(pandas.DataFrame({"text": ["a", bad], "label": ["x", "y"]}))
    with pytest.raises(QuickstudyError, match="data frame has no rows"):
        Table.read(frame[:0], text="q", label="y")


class _HubData:
    """Looks like `datasets.Dataset`: columns by name, labels numbered, their names in the features."""

    def __init__(self, labels):
        self.columns_, self.column_names = {"text": ["a", "b"], "label": labels}, ["text", "label", "audio"]
        self.features = {"label": SimpleNamespace(names=["no", "yes"])}

    def __getitem__(self, column):
        return self.columns_[column]


def test_hub_data_sets(monkeypatch):
    assert Table.read(_HubData([1, 0])).labels == ["yes", "no"]
    with pytest.raises(QuickstudyError, match=r"row 1 .*label is missing"):
        Table.read(_HubData([1, -1]))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(QuickstudyError, match=r'pip install "quickstudy\[datasets\]"'):
        Table.read("hf:banking77")

    def load_dataset(name):
        if name != "good":
            raise ConnectionError("no route\nand more")
        return {"train": _HubData([1, 0]), "validation": _HubData([0, 0])}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    table = Table.read("hf:good")
    assert (table.name, table.labels) == ("hf:good", ["yes", "no", "no", "no"])
    assert table.splits == ["train", "train", "valid", "valid"]
    with pytest.raises(QuickstudyError, match=r"cannot load 'bad' from the hub \(no route\); check the name"):
        Table.read("hf:bad")


@pytest.fixture
def table():
    labels = [label for label in "abcdefgh" for _ in range(3)]
    return Table([f"sentence {i}" for i in range(24)], labels, "t.csv", ["train", "train", "test"] * 8)


def test_classes_counts_and_rows(table):
    assert table.classes == list("abcdefgh")
    assert table.counts == dict.fromkeys("abcdefgh", 3)
    assert table.rows_of("b") == [3, 4, 5]
    assert len(table) == 24
    with pytest.raises(QuickstudyError, match=r"t.csv has no class 'z'; it has 'a', 'b', 'c', 'd', 'e', \.\.\."):
        table.rows_of("z")
    with pytest.raises(QuickstudyError, match=r"columns have lengths \[2, 1\]"):
        Table(["a", "b"], ["x"])


def test_select(table):
    chosen = table.select(classes=["c", "a"], split="test")
    assert (chosen.texts, chosen.labels, chosen.splits) == (["sentence 2", "sentence 8"], ["a", "c"], ["test", "test"])
    assert table.select() == table
    with pytest.raises(QuickstudyError, match="no class 'y', 'z'"):
        table.select(classes=["a", "y", "z"])
    with pytest.raises(QuickstudyError, match="no split 'valid'; it has 'test', 'train'"):
        table.select(split="val")
    with pytest.raises(QuickstudyError, match="has no original splits"):
        Table(["a"], ["x"]).select(split="test")


def test_divide_shares_no_class(table):
    parts = table.divide(seed=3)
    assert {part: len(t.classes) for part, t in parts.items()} == {"train": 4, "valid": 2, "test": 2}
    assert sorted(label for t in parts.values() for label in t.classes) == table.classes
    assert sum(map(len, parts.values())) == len(table)
    assert parts["test"].name == "t.csv/test"
    assert table.divide(seed=3) == parts
    assert any(table.divide(seed=seed) != parts for seed in range(5))
    assert [len(t.classes) for t in table.divide(fractions={"one": 0.9, "two": 0.1}).values()] == [6, 2]
    grouped = table.divide(groups={"train": ["a", "b"], "test": ["d", "c"]})
    assert [t.classes for t in grouped.values()] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fractions": {"a": 0.5, "b": 0.6}}, "add up to 1"),
        ({"fractions": {"a": 1.5, "b": -0.5}}, "must be positive"),
        ({"fractions": dict.fromkeys("vwxyz", 0.2)}, "has 8 classes; 5 parts need two each, 10 at least"),
        ({"groups": {"a": ["a"], "b": ["b", "c"]}}, "part 'a' of t.csv has fewer than two classes; give it two"),
        ({"groups": {"x": ["a", "b"], "y": ["b", "c"]}}, "class 'b' is in 'x' and 'y'; parts must share no class"),
        ({"groups": {"x": ["a", "z"]}}, "no class 'z'"),
    ],
)
def test_divide_refuses(table, arguments, said):
    with pytest.raises(QuickstudyError, match=said):
        table.divide(**arguments)


def test_require(table):
    table.require(classes=8, per_class=3)
    with pytest.raises(QuickstudyError, match=r"label 'a' has 3 sentences, 5 shots and 1 query need 6; add some to t.csv"):
        table.require(per_class=6, why="5 shots and 1 query")
    with pytest.raises(QuickstudyError, match="label 'x' has 1 sentence and 2 are needed"):
        Table(["a", "b", "c"], ["x", "y", "y"]).require(per_class=2)
    with pytest.raises(QuickstudyError, match="has only one label, 'x'; add sentences of another"):
        Table(["a", "b"], ["x", "x"]).require()
    with pytest.raises(QuickstudyError, match="has 8 labels and 9 are needed"):
        table.require(classes=9)
