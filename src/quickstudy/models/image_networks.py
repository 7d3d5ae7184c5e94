"""Networks over images that are made from a seed, as encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from quickstudy.models.conv import conv4
from quickstudy.models.image_encoder import ImageEncoder
from quickstudy.models.resnet import resnet12
from quickstudy.models.vit import vit
from quickstudy.tasks.pictures import Pictures

MADE: dict[str, Callable[..., nn.Module]] = {"conv4": conv4, "resnet12": resnet12, "vit": vit}


def encoder(network: str, settings: Mapping[str, Any], *, seed: int = 0) -> ImageEncoder:
    """An encoder over references to images, in eval mode; its `spec` makes it again.

    Args:
        network: a key of `MADE`.
        settings: its keyword arguments, with `size` and `channels`.
        seed: of the weights.
    """
    pictures = Pictures(settings["size"], settings["channels"])
    spec = {"network": network, "settings": dict(settings)}
    return ImageEncoder(MADE[network](**settings, seed=seed), pictures, spec=spec).eval()
