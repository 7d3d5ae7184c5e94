"""Networks under learn2learn's names, and Omniglot's tasks from a local copy."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import quickstudy.compat.learn2learn as l2l
from quickstudy import QuickstudyError
from quickstudy.models.conv import conv4
from quickstudy.models.resnet import resnet12


@pytest.fixture
def omniglot(tmp_path, monkeypatch) -> np.ndarray:
    """As many characters as the real one, two drawings of 3x3 each: all of the character's number, but one corner."""
    labels = np.repeat(np.arange(1623), 2).astype(np.int16)
    images = np.zeros((len(labels), 3, 3), np.uint8)
    images[:, 0, 0], images[:, 1, 1], images[:, 1, 2] = 15, labels // 120, labels % 120 // 8
    (tmp_path / "omniglot").mkdir()
    np.savez(tmp_path / "omniglot" / "omniglot28.npz", images=images, labels=labels)
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path))
    return labels


def test_omniglots_tasksets_share_no_character(omniglot):
    random.seed(0)
    tasksets = l2l.vision.benchmarks.get_tasksets("omniglot", train_ways=5, train_samples=2, test_ways=3, test_samples=1)
    train, validation, test = tasksets
    assert tasksets.train is train
    classes = [set(part.dataset.labels) for part in (train, validation, test)]
    assert [len(part) for part in classes] == [1100, 100, 423]
    assert len(set.union(*classes)) == 1623
    images, labels = train.sample()
    assert images.shape == (10, 1, 3, 3)
    assert images.max() == 1
    assert sorted(labels.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert labels[::2].tolist() == labels[1::2].tolist()
    drawn = [description.index for description in test.sample_task_description()]
    assert len(drawn) == 3
    assert {omniglot[test.dataset.to_true_indices[i]] for i in drawn} <= classes[2]


def test_the_images_of_a_class_are_turned_alike_and_classes_apart(omniglot):
    random.seed(0)
    corners = torch.tensor([[0, 0], [0, 2], [2, 0], [2, 2]])
    train = l2l.vision.benchmarks.get_tasksets("omniglot", train_samples=2, num_tasks=10).train
    seen = []
    for images, _ in train:
        turns = images[:, 0, corners[:, 0], corners[:, 1]].argmax(dim=1)
        assert torch.equal(turns[::2], turns[1::2])
        seen.append(len(turns.unique()))
    assert max(seen) >= 3
    turn = l2l.vision.transforms.RandomClassRotation(train.dataset, [90])
    turned = train.get_task(turn(l2l.data.transforms.LoadData(train.dataset)([l2l.data.DataDescription(0)])))[0]
    assert torch.equal(turned[0], torch.rot90(train.dataset[0][0], 1, (1, 2)))
    with pytest.raises(QuickstudyError, match="multiples of 90 degrees, not by 45"):
        l2l.vision.transforms.RandomClassRotation(train.dataset, [0, 45])


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    with pytest.raises(QuickstudyError, match="not 'mini-imagenet'; make Taskset"):
        l2l.vision.benchmarks.get_tasksets("mini-imagenet")
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path))
    with pytest.raises(QuickstudyError, match="set QUICKSTUDY_DATA"):
        l2l.vision.benchmarks.get_tasksets("omniglot")


@pytest.mark.parametrize(
    ("model", "shape", "numbers"),
    [
        (l2l.vision.models.OmniglotFC(784, 5), (2, 1, 28, 28), 247_621),
        (l2l.vision.models.OmniglotCNN(5), (2, 28, 28), 112_261),
        (l2l.vision.models.CNN4(5), (2, 3, 84, 84), 121_093),
        (l2l.vision.models.CNN4(5, channels=1, embedding_size=64), (2, 1, 28, 28), 112_261),
        (l2l.vision.models.ResNet12(5), (2, 3, 84, 84), 12_427_525),
    ],
)
def test_the_networks_have_features_and_a_classifier(model, shape, numbers):
    images = torch.rand(shape)
    assert model(images).shape == (2, 5)
    assert sum(p.numel() for p in model.parameters()) == numbers
    torch.testing.assert_close(model.eval()(images), model.classifier(model.features(images)))


def test_the_networks_are_those_of_the_package():
    images = torch.rand(4, 1, 28, 28)
    for theirs, ours in [
        (l2l.vision.models.OmniglotCNN(5), conv4(64, ways=5)),
        (l2l.vision.models.CNN4(5, channels=1, embedding_size=64), conv4(64, down="pool", ways=5)),
    ]:
        held = dict(theirs.named_parameters())
        copied = [
            held[name] for name in sorted(held, key=lambda name: ("classifier" in name, name.split(".")[-3:-2], "norm" in name))
        ]
        for own, other in zip(ours.parameters(), copied, strict=True):
            own.data = other.data
        torch.testing.assert_close(ours(images), theirs(images))


def test_a_resnet_without_dropout_is_that_of_the_package():
    theirs, ours = l2l.vision.models.ResNet12Backbone(avg_pool=False, dropblock_dropout=0.0), resnet12()
    kinds = ("conv", "bn", "downsample.0", "downsample.1")
    own = [p for name, p in ours.named_parameters()]
    assert {kind for name, _ in theirs.named_parameters() for kind in kinds if kind in name} == set(kinds)
    for left, right in zip(own, theirs.parameters(), strict=True):
        assert left.shape == right.shape
        left.data = right.data
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images).reshape(2, 640, -1).mean(dim=2))


def test_dropblock_drops_squares_ever_more_of_them_and_keeps_the_sum():
    torch.manual_seed(0)
    layer = l2l.vision.models.resnet12.DropBlock(0.2, 3)
    ones = torch.ones(20, 30, 10, 10)
    layer.batches = 20_000
    half = layer(ones)
    layer.batches = 10**6
    whole = layer(ones)
    assert 0.07 < (half == 0).float().mean() < 0.11 < 0.15 < (whole == 0).float().mean() < 0.21
    assert whole.mean().item() == pytest.approx(1, abs=1e-5)
    dropped = (whole == 0).float()
    squares = -F.max_pool2d(-dropped, 3, stride=1)
    opened = F.max_pool2d(F.pad(squares, [2] * 4), 3, stride=1)
    assert torch.equal(opened, dropped)  # every place that is dropped belongs to a square of 3x3 that is
    assert torch.equal(layer.eval()(ones), ones)
    assert layer.train()(torch.ones(2, 3, 2, 2)).shape == (2, 3, 2, 2)
