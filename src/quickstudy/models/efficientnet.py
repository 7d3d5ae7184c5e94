"""EfficientNet-lite0, and its weights from ImageNet as a package brings them."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn

from quickstudy.errors import QuickstudyError, reason

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of each stage: blocks, kernel, stride of the first, expansion, channels (Tan and Le 2019, table 1)."""
SIZE = 224
MEAN = 127 / 255
STD = 128 / 255
"""Pixels of 0 to 255 become (pixel - 127) / 128, as for the published weights."""
_STEM, _FEATURES = 32, 1280


class EfficientNetLite0(nn.Module):
    """Images `(images, 3, 224, 224)` to the 1,280 numbers below ImageNet's classes.

    EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze-and-excitation and with ReLU6 in the place of swish. Parameters
    are named as in the published weights, less their leading underscores.
    """

    dim = _FEATURES

    def __init__(self):
        super().__init__()
        self.conv_stem, self.bn0 = _conv(3, _STEM, 3, stride=2), _norm(_STEM)
        blocks, inputs = [], _STEM
        for count, kernel, stride, expansion, outputs in STAGES:
            for number in range(count):
                blocks.append(Block(inputs, outputs, kernel, stride if number == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = _conv(inputs, _FEATURES, 1), _norm(_FEATURES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The mean over space of the last layer, `(images, 1280)`."""
        states = _bounded(self.bn0(self.conv_stem(images)))
        for block in self.blocks:
            states = block(states)
        return _bounded(self.bn1(self.conv_head(states))).mean(dim=(2, 3))


class Block(nn.Module):
    """An inverted residual block (Sandler et al. 2018): expand, one filter a channel, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide, self.residual = inputs * expansion, stride == 1 and inputs == outputs
        if expansion > 1:
            self.expand_conv, self.bn0 = _conv(inputs, wide, 1), _norm(wide)
        self.expands = expansion > 1
        self.depthwise_conv, self.bn1 = _conv(wide, wide, kernel, stride=stride, groups=wide), _norm(wide)
        self.project_conv, self.bn2 = _conv(wide, outputs, 1), _norm(outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """States `(images, channels, height, width)`."""
        states = _bounded(self.bn0(self.expand_conv(images))) if self.expands else images
        states = self.bn2(self.project_conv(_bounded(self.bn1(self.depthwise_conv(states)))))
        return states + images if self.residual else states


def pretrained(weights: Path) -> EfficientNetLite0:
    """The network with these weights, frozen and in eval mode.

    The file is in torch's pickle format; `weights_only` reads tensors from it and refuses everything else.

    Raises:
        QuickstudyError: a file that is damaged, or holds other weights.
    """
    net = EfficientNetLite0()
    try:
        stored = torch.load(weights, map_location="cpu", weights_only=True)
        named = {".".join(piece.removeprefix("_") for piece in name.split(".")): value for name, value in stored.items()}
        named = {name: value for name, value in named.items() if not name.startswith("fc.")}  # ImageNet's own classes
        net.load_state_dict(named)
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        said = f"{weights} does not hold the weights of efficientnet-lite0 ({reason(error)}); install it again"
        raise QuickstudyError(said) from None
    return net.requires_grad_(False).eval()


class _Conv(nn.Conv2d):
    """Padded as TensorFlow does, where the weights come from: a stride of 2 over an even image gets less above and left."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        down, across = (max(0, (math.ceil(n / stride) - 1) * stride + kernel - n) for n in input.shape[2:])
        padded = nn.functional.pad(input, (across // 2, across - across // 2, down // 2, down - down // 2))
        return nn.functional.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    kind = nn.Conv2d if stride == 1 else _Conv
    return kind(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _bounded(states: torch.Tensor) -> torch.Tensor:
    return nn.functional.relu6(states)
