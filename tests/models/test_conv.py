"""Networks over images: their shapes, seeds, sizes as published, and derivatives."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.models.conv import conv4
from quickstudy.models.resnet import resnet12
from quickstudy.models.vit import vit

ALL = [conv4, partial(conv4, down="pool"), partial(resnet12, 512, channels=1, size=28), vit]


@pytest.mark.parametrize(
    ("net", "size"),
    [
        (conv4(64), 111_936),
        (conv4(64, down="pool", ways=5), 111_936 + 65 * 5),
        (conv4(32, channels=3, size=84, down="pool", ways=5), 32_901),
        (resnet12(640), 12_424_320),
        (resnet12(512), 7_996_800),
    ],
)
def test_as_many_parameters_as_in_the_literature(net, size):
    assert sum(parameter.numel() for parameter in net.parameters()) == size


@pytest.mark.parametrize(
    ("net", "images", "dim"),
    [
        (conv4(8), (2, 1, 28, 28), 8),
        (conv4(8, channels=3, size=64), (2, 3, 64, 64), 8),
        (conv4(8, down="pool"), (2, 1, 28, 28), 8),
        (conv4(8, channels=3, size=84, down="pool"), (2, 3, 84, 84), 8 * 5 * 5),
        (conv4(8, channels=3, size=84, down="pool", ways=7), (2, 3, 84, 84), 7),
        (resnet12(512, channels=1, size=28), (2, 1, 28, 28), 512),
        (vit(), (2, 1, 28, 28), 64),
        (vit(8, width=24, heads=3, channels=3, size=64, ways=5), (2, 3, 64, 64), 5),
    ],
)
def test_images_become_vectors(net, images, dim):
    assert net(torch.rand(images)).shape == (images[0], dim)


@pytest.mark.parametrize("make", ALL)
def test_the_seed_decides_the_weights_and_nothing_global_is_drawn(make):
    before = torch.get_rng_state()
    one, same, other = (torch.cat([p.flatten() for p in make(seed=seed).parameters()]) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_conv4_is_made_of_torchs_own_layers():
    kinds = {type(module).__name__ for down in ("pool", "stride") for module in conv4(4, down=down, ways=2).modules()}
    layers = {"Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "AdaptiveAvgPool2d", "Flatten", "Linear"}
    assert kinds == {"Sequential", *layers}


@pytest.mark.parametrize("net", [conv4(4, size=8, ways=3), vit(4, width=8, depth=1, heads=2, size=8, ways=3)])
def test_the_second_derivative_is_right(net):
    net, images = net.double(), torch.rand(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = next(p for name, p in net.named_parameters() if name in ("block1.norm.weight", "blocks.0.attention.1.joined.weight"))

    def slope() -> torch.Tensor:
        return torch.autograd.grad(net(images).logsumexp(dim=1).sum(), weight, create_graph=True)[0]

    direction = torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    product = torch.autograd.grad((slope() * direction).sum(), weight)[0]
    ends = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight.add_(step * direction)
        ends.append(slope().detach())
        with torch.no_grad():
            weight.sub_(step * direction)
    torch.testing.assert_close(product, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8)
    assert product.abs().max() > 1e-4


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: conv4(size=15, down="pool"), "size=15: four times halved"),
        (lambda: conv4(batch_norm="support"), "batch_norm='support' is not known; it is 'transductive' or 'running'"),
        (lambda: conv4(down="average"), "down='average' is not known; it is 'pool' or 'stride'"),
        (lambda: resnet12(128), "width=128: ResNet-12 has a last block of 512 or of 640"),
        (lambda: resnet12(size=8), "size=8: four times halved"),
        (lambda: vit(5), "patch=5 does not divide size=28"),
        (lambda: vit(heads=5), "heads=5 does not divide width=64"),
    ],
)
def test_what_cannot_be_made(make, said):
    with pytest.raises(QuickstudyError, match=said):
        make()
