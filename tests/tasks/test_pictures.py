"""References to images become pixels: the right ones, upright, turned, scaled, and in words where that cannot be."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.image_files import Place, contents
from quickstudy.tasks.pictures import Pictures

CORNER = np.zeros((4, 4, 3), np.uint8)
CORNER[0, 0] = 255, 0, 51
"""Black, with a coloured corner above on the left."""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path


def png(path: Path | str, array: np.ndarray = CORNER, **settings) -> str:
    Image.fromarray(array).save(path, **settings)
    return str(path)


def npz(path: Path | str, **arrays) -> str:
    np.savez(path, **arrays)
    return str(path)


def lit(image: torch.Tensor) -> list[int]:
    """Row and column of the corner that is not black, of an image of one row of corners."""
    return (image[0] > 0.5).nonzero()[0].tolist()


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("dog/1.jpg", Place("dog/1.jpg")),
        ("dog/1.jpg@90", Place("dog/1.jpg", turn=90)),
        ("set.npz#17", Place("set.npz", 17)),
        ("set.npz#17@270", Place("set.npz", 17, 270)),
        ("odd#7.jpg", Place("odd#7.jpg")),
        ("odd.jpg#7", Place("odd.jpg#7")),
        ("me@home.jpg@45", Place("me@home.jpg@45")),
        ("", Place("")),
    ],
)
def test_a_reference_says_where(reference, place):
    assert Place.parse(reference) == place


def test_pixels_are_fractions_in_their_channels(here):
    image = Pictures(4)([png("a.png")])
    assert (image.shape, image.dtype) == ((1, 3, 4, 4), torch.float32)
    torch.testing.assert_close(image[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.2]))
    assert image[0].sum() == image[0, :, 0, 0].sum()
    assert Pictures(4)([]).shape == (0, 3, 4, 4)
    grey = Pictures(4, 1)(["a.png"])
    assert grey.shape == (1, 1, 4, 4)
    assert grey[0, 0, 0, 0] == pytest.approx(0.299 + 0.114 * 0.2, abs=0.003)  # ITU-R 601, as PIL has it


@pytest.mark.parametrize(("turn", "corner"), [("", [0, 0]), ("@90", [3, 0]), ("@180", [3, 3]), ("@270", [0, 3])])
def test_turns_are_counter_clockwise(here, turn, corner):
    pictures = Pictures(4)
    assert lit(pictures([png("a.png") + turn])[0]) == corner
    assert lit(pictures([npz("b.npz", images=CORNER[None]) + "#0" + turn])[0]) == corner


def test_a_photo_stands_as_the_camera_was_held(here):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    assert lit(Pictures(4)([png("a.png", exif=exif)])[0]) == [0, 3]


def test_what_is_not_square_loses_its_ends(here):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert Pictures(10)([png("a.png", wide)]).eq(1).all()
    assert Pictures(10, 1)([png("b.png", wide.transpose(1, 0, 2))]).eq(1).all()


@pytest.mark.parametrize(
    ("array", "grey"),
    [
        (np.full((4, 4), 51, np.uint8), 0.2),
        (np.full((4, 4), 51 * 257, np.uint16), 0.2),
        (np.full((4, 4, 4), (0, 0, 0, 0), np.uint8), 1.0),  # transparent is white
        (np.full((4, 4), True), 1.0),
    ],
    ids=["grey", "16 bits", "transparent", "1 bit"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_pixel(here, array, grey, channels):
    torch.testing.assert_close(Pictures(4, channels)([png("a.png", array)]), torch.full((1, channels, 4, 4), grey))


@pytest.mark.parametrize(
    ("images", "full", "brightest"),
    [
        (np.array([0, 3, 15], np.uint8), None, [0, 0.2, 1]),  # Omniglot: 16 levels
        (np.array([0, 51, 255], np.uint8), None, [0, 0.2, 1]),
        (np.array([0, 51, 204], np.int64), None, [0, 0.2, 0.8]),  # above half of 255: so 255 is full
        (np.array([0, 0.2, 0.8], np.float32), None, [0, 0.2, 0.8]),
        (np.array([0, 1, 1], bool), None, [0, 1, 1]),
        (np.array([0, 1, 5], np.uint8), 5, [0, 0.2, 1]),
    ],
    ids=["16 levels", "bytes", "whole numbers", "fractions", "bits", "as said"],
)
def test_rows_of_an_npz_are_scaled_alike(here, images, full, brightest):
    arrays = {"images": np.broadcast_to(images[:, None, None], (3, 4, 4))} | ({"full": np.array(full)} if full else {})
    npz("set.npz", **arrays)
    found = Pictures(4, 1)([f"set.npz#{row}" for row in range(3)])
    torch.testing.assert_close(found, torch.tensor(brightest).view(3, 1, 1, 1).expand(3, 1, 4, 4).float(), atol=1e-6, rtol=0)
    assert Pictures(2)(["set.npz#1"]).shape == (1, 3, 2, 2)


def test_files_end_to_end_in_an_npz(here):
    files = [Path(png(f"{i}.png", np.full((4, 4, 3), 51 * i, np.uint8))).read_bytes() for i in range(3)]
    offsets = np.cumsum([0, *map(len, files)])
    npz("set.npz", jpeg=np.frombuffer(b"".join(files), np.uint8), offsets=offsets)
    assert Pictures(4)(["set.npz#2", "set.npz#1"]).mean(dim=(1, 2, 3)).tolist() == pytest.approx([0.4, 0.2])


def test_a_reference_below_the_data_folder_is_found_from_anywhere(here):
    npz("data/set.npz", images=CORNER[None])
    assert lit(Pictures(4)(["set.npz#0"])[0]) == [0, 0]


def test_what_was_decoded_is_kept_within_the_budget(here, monkeypatch):
    names = [png(f"{i}.png", np.full((4, 4, 3), i, np.uint8)) for i in range(4)]
    pictures, one = Pictures(4), Pictures(4, budget=2 * 48)
    expected = pictures(names)
    assert torch.equal(one(names), expected)
    assert one._bytes <= 2 * 48
    for name in names:
        Path(name).unlink()
    assert torch.equal(copy.deepcopy(pictures)(names), expected)
    with pytest.raises(QuickstudyError, match="no such file"):
        one(names)


def test_a_file_that_changed_is_read_anew(here):
    before = Pictures(4)([npz("set.npz", images=CORNER[None]) + "#0"])
    npz("set.npz", images=255 - np.stack([CORNER, CORNER]))
    torch.testing.assert_close(Pictures(4)(["set.npz#0"]), 1 - before)


def test_contents_are_those_of_the_image_wherever_it_is(here):
    png("a.png"), png("b.png"), png("c.png", 255 - CORNER)
    npz("s.npz", images=np.stack([CORNER, CORNER, 255 - CORNER]))
    a, b, c, turned = contents(["a.png", "b.png", "c.png", "a.png@90"])
    assert a == b
    assert len({a, c, turned}) == 3
    first, second, third = contents([f"s.npz#{i}" for i in range(3)])
    assert first == second != third


def _truncated(path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(data, "jpeg")
    path.write_bytes(data.getvalue()[:1500])


BAD = {
    "missing.jpg": (None, r"missing.jpg is no image: there is no such file; give the path"),
    "folder": (lambda path: path.mkdir(), "folder is a folder, not an image"),
    "": (None, "a blank name is no image"),
    "cut.jpg": (_truncated, r"cut.jpg cannot be read as an image \(.*truncated.*\); replace it"),
    "text.jpg": (lambda path: path.write_text("hello"), r"text.jpg cannot be read as an image \(it is in no format"),
    "empty.png": (lambda path: path.touch(), r"empty.png cannot be read as an image \(it is in no format"),
    "set.npz": (lambda path: npz(path, images=CORNER[None]), r"set.npz holds 1 images; say which, as in .*#0"),
    "set.npz#1": (lambda path: npz(path, images=CORNER[None]), r"set.npz has no image 1; it has 1, from 0 to 0"),
    "other.npz#0": (lambda path: npz(path, x=np.ones(2)), r"has no images: it needs an array `images`.*\(found: x\)"),
    "objects.npz#0": (lambda path: npz(path, images=np.array([{}])), "holds Python objects, which are never opened"),
    "broken.npz#0": (lambda path: path.write_text("hello"), "it is damaged, or no npz"),
    "first.npz#0": (lambda path: npz(path, images=np.ones((2, 3, 8, 8))), r"`images` is 2 x 3 x 8 x 8; it must be"),
    "wide.npz#0": (lambda path: npz(path, images=np.full((1, 4, 4), 300)), "holds int64 from 300 to 300; give whole numbers"),
    "full.npz#0": (lambda path: npz(path, images=CORNER[None], full=np.zeros(2)), "must be one number above 0"),
    "ends.npz#0": (lambda path: npz(path, jpeg=np.ones(3, np.uint8), offsets=np.array([0, 9])), "leads outside `jpeg`"),
    "inside.npz#0": (lambda path: npz(path, jpeg=np.ones(3, np.uint8), offsets=np.array([0, 3])), "inside.npz#0 cannot be read"),
}


@pytest.mark.parametrize("reference", BAD)
def test_what_cannot_be_read_is_said_in_one_sentence(here, reference):
    make, message = BAD[reference]
    if make:
        make(here / reference.partition("#")[0])
    with pytest.raises(QuickstudyError, match=message) as said:
        Pictures(4)([reference])
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pictures(0), "size=0"),
        (lambda: Pictures(8, 2), "1 or 3 channels"),
        (lambda: Pictures(8, filter="sharp"), "filter='sharp' is not known"),  # type: ignore[arg-type]
        (lambda: Pictures(8)("a.png"), "takes a list"),
        (lambda: Pictures(8)([3]), "not by a value of type int"),  # type: ignore[list-item]
    ],
)
def test_wrong_settings_are_said(make, message):
    with pytest.raises(QuickstudyError, match=message):
        make()
