"""ResNet-12, the deeper network of the few-shot literature."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.batch_norm import Policy
from quickstudy.models.batch_norm import batch_norm as norm

WIDTHS = {512: (64, 128, 256, 512), 640: (64, 160, 320, 640)}


def resnet12(
    width: Literal[512, 640] = 640,
    *,
    channels: int = 3,
    size: int = 84,
    ways: int | None = None,
    batch_norm: Policy = "running",
    seed: int = 0,
) -> nn.Sequential:
    """Four residual blocks of three 3x3 convolutions, each halved by max pooling, then the mean over space.

    As in Lee et al. (2019, MetaOptNet, section 4.1: 64-160-320-640), with leaky ReLU of slope 0.1 and without DropBlock;
    the widths 64-128-256-512 are those of TADAM (Oreshkin et al. 2018, section 3). Convolutions have no bias.

    Args:
        width: of the last block, which is that of the embedding: 640 or 512; names the four widths.
        channels: of an image.
        size: its height and width, in pixels.
        ways: outputs of a linear head on top. None: the output is an embedding.
        batch_norm: "transductive" or "running", see `models/batch_norm.py`.
        seed: of the weights.

    Raises:
        QuickstudyError: another width; an image so small that pooling leaves nothing of it.
    """
    if width not in WIDTHS:
        raise QuickstudyError(f"width={width}: ResNet-12 has a last block of 512 or of 640 channels; give one of these")
    if size < 16:
        raise QuickstudyError(f"size={size}: four times halved by pooling nothing is left; give at least 16")
    widths = (channels, *WIDTHS[width])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: list[tuple[str, nn.Module]] = [
            (f"block{i}", Residual(widths[i - 1], widths[i], batch_norm)) for i in range(1, len(widths))
        ]
        parts += [("mean", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]
        if ways is not None:
            parts.append(("head", nn.Linear(width, ways)))
    return nn.Sequential(OrderedDict(parts))


class Residual(nn.Module):
    """Three convolutions with batch norm beside a 1x1 convolution, `(images, inputs, size, size)` to half the size.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        policy: of batch norm.
    """

    def __init__(self, inputs: int, outputs: int, policy: Policy):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), norm(outputs, policy), nn.LeakyReLU(0.1)),
            *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), norm(outputs, policy), nn.LeakyReLU(0.1)),
            *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), norm(outputs, policy)),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs, policy))
        self.down = nn.Sequential(nn.LeakyReLU(0.1), nn.MaxPool2d(2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.1, mode="fan_out", nonlinearity="leaky_relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """`(images, outputs, size / 2, size / 2)`."""
        return self.down(self.body(images) + self.shortcut(images))
