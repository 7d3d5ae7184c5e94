"""A small Vision Transformer whose attention has a second derivative."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from quickstudy.errors import QuickstudyError


def vit(
    patch: int = 7,
    *,
    width: int = 64,
    depth: int = 4,
    heads: int = 4,
    channels: int = 1,
    size: int = 28,
    ways: int | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """Patches, learned positions, blocks with the norm first, the mean over patches.

    Dosovitskiy et al. (2021, section 3.1, equations 1 to 4), with the mean over patches in the place of a class token
    (appendix D.3). No batch norm: an image's output never depends on others.

    Args:
        patch: height and width of a patch, in pixels.
        width: of a patch's vector, which is that of the embedding.
        depth: how many blocks.
        heads: of the attention in each.
        channels: of an image.
        size: its height and width, in pixels.
        ways: outputs of a linear head on top. None: the output is an embedding.
        seed: of the weights.

    Raises:
        QuickstudyError: patches that do not fill the image, or heads that do not divide the width.
    """
    if size % patch:
        raise QuickstudyError(f"patch={patch} does not divide size={size}: patches have to fill the image")
    if width % heads:
        raise QuickstudyError(f"heads={heads} does not divide width={width}: each head takes an equal part")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: list[tuple[str, nn.Module]] = [
            ("patches", Patches(patch, width, channels, size)),
            ("blocks", nn.Sequential(*(Block(width, heads) for _ in range(depth)))),
            ("norm", nn.LayerNorm(width)),
            ("mean", MeanOverPatches()),
        ]
        if ways is not None:
            parts.append(("head", nn.Linear(width, ways)))
    return nn.Sequential(OrderedDict(parts))


class Patches(nn.Module):
    """Each patch as a vector, plus its place: `(images, channels, size, size)` to `(images, patches, width)`."""

    def __init__(self, patch: int, width: int, channels: int, size: int):
        super().__init__()
        self.project = nn.Conv2d(channels, width, patch, stride=patch)
        self.positions = nn.Parameter(0.02 * torch.randn((size // patch) ** 2, width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Equation 1."""
        return self.project(images).flatten(2).transpose(1, 2) + self.positions


class Block(nn.Module):
    """Attention, then a perceptron of four times the width, each added to what came in (equations 2 and 3)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.perceptron = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """`(images, patches, width)`."""
        patches = patches + self.attention(patches)
        return patches + self.perceptron(patches)


class Attention(nn.Module):
    """softmax(Q K' / sqrt(d)) V, written out: torch's fused kernels have no second derivative (appendix A)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.joined = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """`(images, patches, width)`."""
        images, count, width = patches.shape
        query, key, value = self.joined(patches).view(images, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5).softmax(dim=-1)
        return self.output((weights @ value).transpose(1, 2).reshape(images, count, width))


class MeanOverPatches(nn.Module):
    """`(images, patches, width)` to `(images, width)`."""

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """The mean."""
        return patches.mean(dim=1)
