"""The convolutional network of the few-shot literature: four blocks, made from a seed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.batch_norm import Policy
from quickstudy.models.batch_norm import batch_norm as norm

Down = Literal["pool", "stride"]


def conv4(
    filters: int = 64,
    *,
    channels: int = 1,
    size: int = 28,
    down: Down = "stride",
    ways: int | None = None,
    batch_norm: Policy = "transductive",
    seed: int = 0,
) -> nn.Sequential:
    """Four blocks of 3x3 convolution, batch norm, ReLU, each halving the image `(images, channels, size, size)`.

    The embedding function of Vinyals et al. (2016, section 4.1). `down="pool"` is 2x2 max pooling, and what is left is
    flattened: Snell et al. (2017, section 3.1: 64 filters, 64 numbers of a 28x28 image) and MAML's miniImageNet network
    (32 filters, 800 of 84x84). `down="stride"` is MAML's Omniglot network (Finn et al. 2017, section 5.2): strided
    convolutions in the place of pooling, and the mean over space, as its code has it. MAML++ has 48 filters on
    miniImageNet (Antoniou et al. 2019).

    Args:
        filters: of each convolution.
        channels: of an image.
        size: its height and width, in pixels.
        down: how a block halves the image.
        ways: outputs of a linear head on top. None: the output is an embedding.
        batch_norm: "transductive" or "running", see `models/batch_norm.py`.
        seed: of the weights.

    Raises:
        QuickstudyError: an image so small that pooling leaves nothing of it.
    """
    if down not in ("pool", "stride"):
        raise QuickstudyError(f"down={down!r} is not known; it is 'pool' or 'stride'")
    left = size // 16 if down == "pool" else 1
    if left < 1:
        raise QuickstudyError(f"size={size}: four times halved by pooling nothing is left; give at least 16, or down='stride'")
    parts: list[tuple[str, nn.Module]] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for number in range(1, 5):
            parts.append((f"block{number}", _block(channels if number == 1 else filters, filters, down, batch_norm)))
        if down == "stride":
            parts.append(("mean", nn.AdaptiveAvgPool2d(1)))
        parts.append(("flatten", nn.Flatten()))
        if ways is not None:
            parts.append(("head", nn.Linear(filters * left * left, ways)))
    return nn.Sequential(OrderedDict(parts))


def _block(inputs: int, outputs: int, down: Down, policy: Policy) -> nn.Sequential:
    parts: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(inputs, outputs, 3, stride=2 if down == "stride" else 1, padding=1)),
        ("norm", norm(outputs, policy)),
        ("relu", nn.ReLU()),
    ]
    return nn.Sequential(OrderedDict([*parts, ("pool", nn.MaxPool2d(2))] if down == "pool" else parts))
