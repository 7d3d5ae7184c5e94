"""Images as labelled tables: folders, npz files, the named sets; and what is said of those that are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quickstudy import Episodes, QuickstudyError, Sinusoids, Table
from quickstudy.evaluation.leakage import leak_sentence, leakage
from quickstudy.tasks.checkup import checkup
from quickstudy.tasks.named import folds, named, select_part
from quickstudy.tasks.pictures import Pictures

_DATA = Path(os.environ.get("QUICKSTUDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
SETS = {"omniglot": "omniglot", "tiny_imagenet": "tiny_imagenet_fewshot"}


def fill(folder: Path, *names: str) -> Path:
    """Writes a different image for each name, below the folder."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 10 * number, np.uint8)).save(folder / name)
    return folder


def test_a_folder_of_folders(tmp_path):
    folder = fill(tmp_path / "pets", "dog/2.png", "dog/1.JPG", "cat/a.webp", ".hidden/x.png", "dog/.thumb.png")
    (folder / "cat" / "notes.txt").write_text("mine")
    table = Table.read(folder)
    assert table.reads == "image"
    assert table.name == "pets"
    assert table.labels == ["cat", "dog", "dog"]
    assert [Path(text).name for text in table.texts] == ["a.webp", "1.JPG", "2.png"]
    assert Pictures(4)(table.texts).shape == (3, 3, 4, 4)
    assert table.select(classes=["dog"]).reads == "image"


@pytest.mark.parametrize(
    ("labels", "names", "found"),
    [
        (np.array([1, 0, 1]), np.array(["cat", "dog"]), ["dog", "cat", "dog"]),
        (np.array([1, 0, 1]), None, ["1", "0", "1"]),
        (np.array(["dog", "cat", "dog"]), None, ["dog", "cat", "dog"]),
    ],
)
def test_an_npz(tmp_path, labels, names, found):
    arrays = {"images": np.zeros((3, 4, 4), np.uint8), "labels": labels} | ({} if names is None else {"class_names": names})
    np.savez(tmp_path / "set.npz", **arrays)
    table = Table.read(str(tmp_path / "set.npz"))
    assert (table.labels, table.texts[2], table.reads) == (found, f"{tmp_path}/set.npz#2", "image")


BAD = {
    "empty": ([], "empty is a folder; name a CSV, TSV or JSONL file in it, or one whose subfolders hold the images"),
    "flat": (["1.png"], "flat holds 1 image and no subfolders; put the images of each label into a subfolder"),
    "mixed": (["1.png", "dog/1.png"], "mixed holds 1 image beside its subfolders, such as 1.png"),
    "deep": (["train/dog/1.png"], "deep/train has its images in subfolders of its own; if those are the labels"),
    "odd": (["dog/1.png", "cat/1.heic"], "odd/cat holds no image, only .heic"),
    "half": (["dog/1.png", "cat/"], "half/cat is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_folder_that_is_no_table(tmp_path, name):
    files, message = BAD[name]
    folder = fill(tmp_path / name, *(file for file in files if file.endswith(".png")))
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        if file.endswith("/"):
            (folder / file).mkdir()
        elif file.endswith(".heic"):
            (folder / file).touch()
    folder.mkdir(exist_ok=True)
    with pytest.raises(QuickstudyError, match=message):
        Table.read(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "one label for each of the 2 images .found: none"),
        ({"labels": np.zeros(3)}, "one label for each of the 2 images .found: 3"),
        ({"labels": np.array([0, 2]), "class_names": np.array(["a", "b"])}, "must number `class_names`, from 0 to 1"),
        ({"labels": np.array(["a", " "])}, "image 1 has a blank label"),
    ],
)
def test_an_npz_that_is_no_table(tmp_path, arrays, message):
    np.savez(tmp_path / "set.npz", images=np.zeros((2, 4, 4), np.uint8), **arrays)
    with pytest.raises(QuickstudyError, match=message):
        Table.read(tmp_path / "set.npz")
    with pytest.raises(QuickstudyError, match="does not exist"):
        Table.read(tmp_path / "absent.npz")


def test_a_class_with_one_image_is_named(tmp_path):
    table = Table.read(fill(tmp_path / "pets", "dog/1.png", "dog/2.png", "cat/1.png"))
    with pytest.raises(QuickstudyError, match="label 'cat' has 1 image, 1 shots and 1 query need 2"):
        Episodes(table, ways=2, shots=1)


def test_a_checkup_and_a_leak_check_look_at_the_images(tmp_path):
    folder = fill(tmp_path / "pets", "dog/1.png", "dog/2.png", "cat/1.png")
    (folder / "cat" / "copy.png").write_bytes((folder / "dog" / "1.png").read_bytes())
    table = Table.read(folder)
    found = checkup(table)
    assert [labels for _, labels in found.contradictions] == [["cat", "dog"]]
    assert found.text().startswith("pets: 4 images, 2 labels\nimages a label")
    assert "word" not in found.text()
    leaks = leakage(table.select(classes=["dog"]).texts, table.select(classes=["cat"]).texts, reads="image")
    assert (leaks["exact"], leaks["near"], leaks["sentences"]) == (1, 0, 2)
    assert leak_sentence(leaks).startswith("Leak check: of the 2 images here, 1 are byte by byte copies")


def test_episodes_make_pixels_of_references(tmp_path):
    table = Table.read(fill(tmp_path / "pets", *(f"{label}/{i}.png" for label in "abc" for i in range(4))))
    settings = {"ways": 2, "shots": 1, "queries": 2, "seed": 3}
    (plain,), pictures = Episodes(table, **settings)[0], Pictures(4)
    (task,) = Episodes(table, **settings, inputs=pictures)[0]
    assert torch.equal(task.support.inputs, pictures(plain.support.inputs))
    assert torch.equal(task.query.inputs, pictures(plain.query.inputs))
    assert (task.query.targets, task.seed) == (plain.query.targets, plain.seed)
    with pytest.raises(QuickstudyError, match="pets holds images, and a name is no image"):
        Episodes(table, **settings, names=True)
    with pytest.raises(QuickstudyError, match="Sinusoids makes what a model takes itself"):
        Episodes(Sinusoids(), inputs=pictures)


def test_the_named_sets_in_small(tmp_path, monkeypatch):
    (tmp_path / "omniglot").mkdir()
    names = np.array(["A/1", "A/2", "B/1"])
    images = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((6, 28, 28), np.uint8)
    np.savez(tmp_path / "omniglot" / "omniglot28.npz", images=images, labels=np.arange(6) // 2, class_names=names)
    (tmp_path / "omniglot" / "vinyals_split.json").write_text('{"train": ["A/1"], "val": ["A/2"], "test": ["B/1"]}')
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path))
    table = named("omniglot")
    assert (len(table), len(table.classes)) == (24, 12)
    assert table.texts[0] == "omniglot/omniglot28.npz#0"  # the same on every machine
    assert table.counts["B/1@90"] == 2
    assert folds("omniglot") == [{"train": _turns("A/1"), "valid": _turns("A/2"), "test": _turns("B/1")}]
    pool, support = select_part("omniglot", split="val")
    assert pool is support
    assert pool.classes == sorted(_turns("A/2"))
    assert Pictures(28, 1)(pool.texts).shape == (8, 1, 28, 28)


def _turns(character: str) -> list[str]:
    return [character, *(f"{character}@{turn}" for turn in (90, 180, 270))]


@pytest.mark.parametrize(
    ("name", "sizes", "rows"),
    [
        ("omniglot", {"train": 4112, "valid": 688, "test": 1692}, 129_840),
        ("tiny_imagenet", {"train": 100, "valid": 20, "test": 40}, 12_600),
    ],
)
def test_the_named_sets(name, sizes, rows, monkeypatch):
    if not (_DATA / SETS[name]).is_dir():
        pytest.skip(f"the data folder (QUICKSTUDY_DATA) has no {SETS[name]}")
    monkeypatch.setenv("QUICKSTUDY_DATA", str(_DATA))
    table, (fold,) = named(name), folds(name)
    assert len(table) == rows
    assert {part: len(labels) for part, labels in fold.items()} == sizes
    assert sorted(label for labels in fold.values() for label in labels) == table.classes
    few = Pictures(28, 1)(table.texts[:: len(table) // 7])
    assert 0.9 < few.amax() <= 1
