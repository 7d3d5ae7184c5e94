"""`documents`: what a folder or file holds, whose domain it is, and every bad input with what is wrong, where and the remedy."""

import gzip
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.blocks import LEAST, cut, halves
from quickstudy.tasks.documents import Document, documents

_DATA = Path(os.environ.get("QUICKSTUDY_DATA", Path(__file__).parents[3] / "shared" / "data")) / "domain_text"
needs_data = pytest.mark.skipif(not _DATA.is_dir(), reason="the data folder (QUICKSTUDY_DATA) has no domain_text")


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def lines(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def pdf(*pages: str) -> bytes:
    """A file of so many pages, each with a line of text, or none."""
    contents = [f"BT /F1 12 Tf 9 9 Td ({page}) Tj ET" if page else "" for page in pages]
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, content in enumerate(contents):
        its = f"/Contents {5 + 2 * i} 0 R /Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 99 99]"
        objects += [f"<< /Type /Page /Parent 2 0 R {its} >>", f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"]
    whole, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(whole))
        whole += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size, start = len(objects) + 1, len(whole)
    end = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return f"{whole}xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def test_a_folder_is_read_with_all_below_it(tmp_path):
    mine = write(
        tmp_path / "mine",
        {
            "top.TXT": "at the top\n",
            "README.md": "about the texts",
            "law/a.md": "# A\n\nlaw",
            "law/deep/b.txt": b"\xef\xbb\xbfwindows\r\nlines\r\n",
            "law/readme": "no suffix",
            "news.jsonl": lines({"text": "one"}, {"text": "two"}),
            "deep/old.jsonl.gz": gzip.compress(lines({"text": "three", "doc": "x"}).encode()),
            "picture.png": b"\x89PNG\0",
            "law/c.csv": "text,label\n",
            "table.txt.gz": b"\0",
            ".hidden.txt": "\0",
            ".git/config.txt": "\0",
        },
    )
    assert documents(mine) == [
        Document("three", "x", "old"),
        Document("# A\n\nlaw", "law/a.md", "law"),
        Document("windows\nlines\n", "law/deep/b.txt", "law"),
        Document("one", "news.jsonl, line 1", "news"),
        Document("two", "news.jsonl, line 2", "news"),
        Document("at the top\n", "top.TXT", "mine"),
    ]


def test_records_are_grouped_by_doc_in_order_and_have_a_part(tmp_path):
    rows = [
        {"text": "a1", "doc": "a", "split": "train"},
        {"text": "b1", "doc": 7, "split": "validation"},
        {"text": "a2", "doc": "a", "split": "train"},
        {"text": "alone", "doc": None, "split": None},
        {"text": "b2", "doc": 7, "split": "valid"},
        {"text": "c", "doc": "", "split": "test"},
    ]
    write(tmp_path, {"d.ndjson": lines(*rows)})
    assert documents(tmp_path / "d.ndjson") == [
        Document("a1\n\na2", "a", "d", "train"),
        Document("b1\n\nb2", "7", "d", "valid"),
        Document("alone", "d.ndjson, line 4", "d"),
        Document("c", "d.ndjson, line 6", "d", "test"),
    ]


def test_several_sources_and_the_domain_of_a_file(tmp_path, monkeypatch):
    write(tmp_path, {"notes/a.txt": "a", "notes/b.txt": "b", "x.jsonl": lines({"body": "x"}), "README.md": "read it"})
    given_already = Document("d", "d", "own")
    sources = [tmp_path / "notes" / "b.txt", str(tmp_path / "notes"), given_already, tmp_path / "x.jsonl"]
    assert [(each.text, each.domain) for each in documents(sources, text="body")] == [
        ("d", "own"),
        ("b", "notes"),
        ("a", "notes"),
        ("x", "x"),
    ]
    assert documents(given_already) == [given_already]
    assert [each.text for each in documents(tmp_path / "README.md")] == ["read it"]
    monkeypatch.chdir(tmp_path / "notes")
    assert {each.domain for each in documents(".")} == {each.domain for each in documents("a.txt")} == {"notes"}


def test_pages_of_a_pdf(tmp_path):
    pytest.importorskip("pypdf")
    write(tmp_path, {"law/two.pdf": pdf("first page", "", "third page")})
    assert documents(tmp_path) == [Document("first page\n\nthird page", "law/two.pdf", "law")]


def test_pdf_without_text_damaged_or_without_the_package(tmp_path, monkeypatch):
    pytest.importorskip("pypdf")
    write(tmp_path, {"scan.pdf": pdf("", ""), "broken.pdf": b"%PDF-1.4\nnothing", "good.pdf": pdf("text")})
    with pytest.raises(QuickstudyError, match=r"scan\.pdf has 2 pages and no text \(a scan\?\); run text recognition over it"):
        documents(tmp_path / "scan.pdf")
    with pytest.raises(QuickstudyError, match=r"broken\.pdf cannot be read as PDF \(.*\); save it anew"):
        documents(tmp_path / "broken.pdf")
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(QuickstudyError, match=r'good\.pdf needs the pypdf package; pip install "quickstudy\[pdf\]"'):
        documents(tmp_path / "good.pdf")


GOOD = lines({"text": "good"})
BAD = {
    "empty folder": ({}, r"mine is empty; put texts there that end in \.txt, \.md, \.pdf, \.jsonl"),
    "hidden alone": ({".a.txt": "x"}, r"mine is empty"),
    "no such kind": ({"a.csv": "x", "README.md": "x"}, r"mine holds no file of a kind that is read; put texts there"),
    "empty file": ({"a.txt": ""}, r"a\.txt is empty; write its text, or remove the file"),
    "blank file": ({"b.md": " \n\n"}, r"b\.md is blank; write its text"),
    "empty records": ({"a.jsonl": "\n"}, r"a\.jsonl is empty; each row needs a text$"),
    "blank record": ({"a.jsonl": GOOD + lines({"text": " "})}, r"a\.jsonl, line 2: the text is blank"),
    "binary": ({"a.txt": b"ab\0c"}, r"a\.txt looks binary \(a NUL at byte 2\); save it as plain text"),
    "encodings": ({"a.txt": "schön", "b.txt": "schön".encode("latin-1")}, r"b\.txt is not UTF-8 at byte 3; save it as UTF-8"),
    "utf-16": ({"a.txt": "ab".encode("utf-16")}, r"a\.txt is UTF-16, not UTF-8"),
    "broken record": ({"a.jsonl": GOOD + '{"text": \n'}, r"a\.jsonl, line 2, column \d+: broken JSON"),
    "list": ({"a.jsonl": '["x"]\n'}, r"a\.jsonl, line 1: a JSON list where an object is due"),
    "column": ({"a.jsonl": lines({"body": "x"})}, r"line 1: no column 'text' \(found: 'body'\); say which holds .* with --text$"),
    "text of lists": ({"a.jsonl": lines({"text": ["x"]})}, r"a\.jsonl, line 1: the text is a list"),
    "doc": ({"a.jsonl": lines({"text": "x", "doc": 1.5})}, r"line 1: doc is a float; name each document by a text or a number"),
    "split": ({"a.jsonl": lines({"text": "x", "split": "dev2"})}, r"line 1: split is 'dev2'; write one of train, valid, test"),
    "split list": ({"a.jsonl": lines({"text": "x", "split": ["a"]})}, r"line 1: split is \['a'\]; write one of"),
    "two splits": (
        {"a.jsonl": lines(*({"text": "x", "doc": "d", "split": part} for part in ("train", "test")))},
        r"line 2: document 'd' is in 'train' and 'test'; give all of its lines one split",
    ),
    "two of a name": ({"x/a.jsonl": GOOD, "y/a.jsonl": GOOD}, r"x/a\.jsonl and .*y/a\.jsonl would both be the domain 'a'"),
    "no gzip": ({"a.jsonl.gz": GOOD}, r"a\.jsonl\.gz is no whole gzip file \(.*\); copy it again, or unpack it"),
    "half a gzip": ({"a.jsonl.gz": gzip.compress(GOOD.encode() * 99)[:-9]}, r"a\.jsonl\.gz is no whole gzip file"),
    "binary gzip": ({"a.jsonl.gz": gzip.compress(b"x\0")}, r"a\.jsonl\.gz looks binary \(a NUL at byte 1\)"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_one_clear_sentence(tmp_path, what):
    files, said = BAD[what]
    (tmp_path / "mine").mkdir()
    with pytest.raises(QuickstudyError, match=said) as caught:
        documents(write(tmp_path / "mine", files))
    assert "\n" not in str(caught.value)


def test_sources_that_are_none(tmp_path):
    with pytest.raises(QuickstudyError, match=r"none\.txt does not exist; check the name"):
        documents(tmp_path / "none.txt")
    with pytest.raises(QuickstudyError, match="the list of sources is empty"):
        documents([])
    with pytest.raises(QuickstudyError, match="a int among the sources; give files and folders"):
        documents(["a.txt", 3])  # pyright: ignore[reportArgumentType]
    write(tmp_path, {"a.csv": "x"})
    with pytest.raises(QuickstudyError, match=r"a\.csv ends in none of \.txt, \.md, .*; save its text as one of these"):
        documents(tmp_path / "a.csv")


@given(st.integers(0, 400), st.integers(LEAST, 50))
def test_every_token_is_predicted_once(count, block):
    tokens = np.arange(count)
    blocks = cut(tokens, block)
    predicted = [token for each in blocks for token in each[1:]]
    assert predicted == list(range(1, len(predicted) + 1))
    left = max(count - 1, 0) - len(predicted)
    assert 0 <= left < LEAST
    assert left == 0 or len(predicted) > 0
    assert all(len(each) == block + 1 for each in blocks[:-1])
    assert all(LEAST < len(each) <= block + 1 for each in blocks[1:])
    assert bool(blocks) == (count > 1)


@given(st.integers(0, 400), st.integers(LEAST, 50))
def test_halves_share_no_token(count, block):
    both = halves(np.arange(count), block)
    assert bool(both) == (count >= block + 1 + LEAST + 1)
    if both:
        first, rest = ([token for each in blocks for token in each.tolist()] for blocks in both)
        assert max(first) < min(rest)
        assert abs(len(both[0]) - len(both[1])) <= 1
        assert count - 1 - max(rest) < LEAST


@needs_data
def test_all_domains_that_are_there():
    found = documents(_DATA)
    counts = Counter(each.domain for each in found)
    assert len(counts) == 17
    assert (counts["medical_medquad"], counts["zh_news_titles"], counts["fiction_gutenberg"]) == (540, 19_802, 92)
    assert {each.part for each in found} == {"train", "valid", "test"}
    passages = next(each for each in found if each.name == "3_GHR_QA/0000163").text.split("\n\n")
    assert len(passages) >= 5
    assert passages[0].startswith("Celiac disease is a condition")
