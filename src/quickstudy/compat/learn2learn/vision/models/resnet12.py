"""ResNet-12 with DropBlock; the parameters have learn2learn's names.

`quickstudy.models.resnet.resnet12` is the same network without DropBlock.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.compat.learn2learn.nn.misc import Flatten

_RAMP = 40_000
"""Batches over which DropBlock rises to its rate."""


class ResNet12Backbone(nn.Module):
    """Four residual blocks that each halve the image, as in MetaOptNet (Lee et al. 2019, section 4.1).

    Args:
        avg_pool: whether the mean over 5x5 places is the embedding: 640 numbers of 84x84 in the place of 16,000.
        wider: widths 64-160-320-640, or 64-128-256-512 (Oreshkin et al. 2018).
        embedding_dropout: of the embedding.
        dropblock_dropout: of single numbers after the first two blocks, and of squares of places after the last two.
        dropblock_size: of such a square.
        channels: of an image.
    """

    def __init__(
        self,
        avg_pool: bool = True,
        wider: bool = True,
        embedding_dropout: float = 0.0,
        dropblock_dropout: float = 0.1,
        dropblock_size: int = 5,
        channels: int = 3,
    ):
        super().__init__()
        one, two, three, four = (64, 160, 320, 640) if wider else (64, 128, 256, 512)
        rate, size = dropblock_dropout, dropblock_size
        self.layer1 = nn.Sequential(_Residual(channels, one, nn.Dropout(rate)))
        self.layer2 = nn.Sequential(_Residual(one, two, nn.Dropout(rate)))
        self.layer3 = nn.Sequential(_Residual(two, three, DropBlock(rate, size)))
        self.layer4 = nn.Sequential(_Residual(three, four, DropBlock(rate, size)))
        self.avgpool = nn.AvgPool2d(5, stride=1) if avg_pool else nn.Identity()
        self.flatten, self.dropout = Flatten(), nn.Dropout(embedding_dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(images, channels, height, width)` to `(images, numbers)`."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.dropout(self.flatten(self.avgpool(x)))


class ResNet12(nn.Module):
    """The backbone and a linear layer; of images of 84x84.

    Args:
        output_size: classes.
        hidden_size: numbers of the embedding.
    """

    def __init__(
        self,
        output_size: int,
        hidden_size: int = 640,
        avg_pool: bool = True,
        wider: bool = True,
        embedding_dropout: float = 0.0,
        dropblock_dropout: float = 0.1,
        dropblock_size: int = 5,
        channels: int = 3,
    ):
        super().__init__()
        self.features = ResNet12Backbone(avg_pool, wider, embedding_dropout, dropblock_dropout, dropblock_size, channels)
        self.classifier = nn.Linear(hidden_size, output_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits `(images, output_size)`."""
        return self.classifier(self.features(x))


class DropBlock(nn.Module):
    """Drops squares of places (Ghiasi, Lin and Le 2018, algorithm 1), ever more of them over the first 40,000 batches.

    Args:
        rate: the fraction that is dropped in the end.
        size: of a square.
    """

    def __init__(self, rate: float, size: int):
        super().__init__()
        self.rate, self.size, self.batches = rate, size, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(images, channels, height, width)`, with what is left scaled up."""
        if not self.training:
            return x
        self.batches += 1
        height, width = x.shape[-2:]
        size = min(self.size, height, width)
        rows, columns = height - size + 1, width - size + 1
        corner = self.rate * min(self.batches / _RAMP, 1) * height * width / (size**2 * rows * columns)
        corners = torch.rand(*x.shape[:2], rows, columns, dtype=x.dtype, device=x.device) < corner
        kept = 1 - F.max_pool2d(F.pad(corners.to(x.dtype), [size - 1] * 4), size, stride=1)
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))


class _Residual(nn.Module):
    """Three convolutions beside a 1x1 convolution, half the size, dropout."""

    def __init__(self, inputs: int, outputs: int, dropout: nn.Module):
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _convolution(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.conv3, self.bn3 = _convolution(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential(_convolution(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.relu, self.maxpool, self.dropout = nn.LeakyReLU(0.1), nn.MaxPool2d(2), dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y)) + self.downsample(x)
        return self.dropout(self.maxpool(self.relu(y)))


def _convolution(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
