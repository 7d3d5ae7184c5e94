"""Four blocks of convolutions, and the fully connected network for Omniglot; the parameters have learn2learn's names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from quickstudy.compat.learn2learn.nn.misc import Flatten, Lambda


def fc_init_(module: nn.Module) -> nn.Module:
    """Weights from a normal distribution of deviation 0.01, cut off at two deviations, and biases of zero; in place."""
    if getattr(module, "weight", None) is not None:
        nn.init.trunc_normal_(module.weight, std=0.01, a=-0.02, b=0.02)  # type: ignore[arg-type]
    if getattr(module, "bias", None) is not None:
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return module


def maml_init_(module: nn.Linear | nn.Conv2d) -> nn.Module:
    """Weights as Glorot and Bengio (2010) have them, and biases of zero; in place."""
    nn.init.xavier_uniform_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU; max pooling or, without it, the convolution's stride makes the image smaller.

    Args:
        max_pool_factor: half of how many times smaller.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        max_pool: bool = True,
        max_pool_factor: float = 1.0,
    ):
        super().__init__()
        smaller = int(2 * max_pool_factor)
        self.max_pool = nn.MaxPool2d(smaller) if max_pool else nn.Identity()
        self.normalize = nn.BatchNorm2d(out_channels)
        nn.init.uniform_(self.normalize.weight)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=1 if max_pool else smaller, padding=1)
        maml_init_(self.conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(images, in_channels, height, width)` to `(images, out_channels, ...)`."""
        return self.max_pool(self.relu(self.normalize(self.conv(x))))


class ConvBase(nn.Sequential):
    """So many blocks of 3x3 convolutions."""

    def __init__(
        self, hidden: int = 64, channels: int = 1, max_pool: bool = False, layers: int = 4, max_pool_factor: float = 1.0
    ):
        widths = pairwise([channels] + [hidden] * layers)
        super().__init__(*(ConvBlock(*each, max_pool=max_pool, max_pool_factor=max_pool_factor) for each in widths))


class CNN4Backbone(ConvBase):
    """The blocks, and what they leave of an image in a row `(images, numbers)`."""

    def __init__(
        self,
        hidden_size: int = 64,
        layers: int = 4,
        channels: int = 3,
        max_pool: bool = True,
        max_pool_factor: float | None = None,
    ):
        super().__init__(hidden_size, channels, max_pool, layers, max_pool_factor or 4 // layers)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """`(images, channels, height, width)` to `(images, numbers)`."""
        return super().forward(input).flatten(1)


class _Classifier(nn.Module):
    features: nn.Module
    classifier: nn.Module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits `(images, output_size)`."""
        return self.classifier(self.features(x))


class CNN4(_Classifier):
    """The network for miniImageNet (Ravi and Larochelle 2017).

    Args:
        output_size: classes.
        hidden_size: of each convolution.
        layers: blocks.
        channels: of an image.
        max_pool: whether pooling or strides make the image smaller.
        embedding_size: what the blocks leave of an image. None: 25 numbers a filter, as of 84x84.
    """

    def __init__(
        self,
        output_size: int,
        hidden_size: int = 64,
        layers: int = 4,
        channels: int = 3,
        max_pool: bool = True,
        embedding_size: int | None = None,
    ):
        super().__init__()
        self.features = CNN4Backbone(hidden_size, layers, channels, max_pool)
        self.classifier = nn.Linear(25 * hidden_size if embedding_size is None else embedding_size, output_size)
        maml_init_(self.classifier)
        self.hidden_size = hidden_size


MiniImagenetCNN = CNN4


class OmniglotCNN(_Classifier):
    """The convolutional network for Omniglot (Finn et al. 2017): strides, and the mean over space; of images of 28x28."""

    def __init__(self, output_size: int = 5, hidden_size: int = 64, layers: int = 4):
        super().__init__()
        self.hidden_size = hidden_size
        self.base = ConvBase(hidden_size, layers=layers)
        self.features = nn.Sequential(Lambda(_as_images), self.base, Lambda(_mean_over_space), Flatten())
        self.classifier = nn.Linear(hidden_size, output_size)
        nn.init.normal_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)


class OmniglotFC(_Classifier):
    """The fully connected network for Omniglot (Santoro et al. 2016).

    Args:
        input_size: numbers of an image.
        output_size: classes.
        sizes: of the hidden layers. None: 256, 128, 64, 64.
    """

    def __init__(self, input_size: int, output_size: int, sizes: Sequence[int] | None = None):
        super().__init__()
        sizes = [256, 128, 64, 64] if sizes is None else list(sizes)
        layers = nn.Sequential(*(_LinearBlock(*each) for each in pairwise([input_size, *sizes])))
        self.features = nn.Sequential(Flatten(), layers)
        self.classifier = fc_init_(nn.Linear(sizes[-1], output_size))
        self.input_size = input_size


class _LinearBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.normalize = nn.BatchNorm1d(outputs, eps=1e-3, track_running_stats=False)
        self.linear = fc_init_(nn.Linear(inputs, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.normalize(self.linear(x)).relu()


def _as_images(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, 1, 28, 28)


def _mean_over_space(x: torch.Tensor) -> torch.Tensor:
    return x.mean(dim=(2, 3))
