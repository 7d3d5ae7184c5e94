"""The layers of a plain net, as the layers here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from quickstudy.inner.layerwise.convolution import Convolution
from quickstudy.inner.layerwise.first import SEEN, FirstBlock
from quickstudy.inner.layerwise.fixed import Flatten, MaxPool, Mean, ReLU, Standardized
from quickstudy.inner.layerwise.layers import BatchNorm, Layer, Linear
from quickstudy.models import networks
from quickstudy.models.batch_norm import looks_across

KINDS: dict[type[nn.Module], Any] = {
    nn.AdaptiveAvgPool2d: Mean,
    nn.BatchNorm2d: BatchNorm,
    nn.Conv2d: Convolution,
    nn.Flatten: Flatten,
    nn.Linear: Linear,
    nn.MaxPool2d: MaxPool,
    nn.ReLU: ReLU,
    networks.Standardized: Standardized,
}
Part = tuple[str, Layer, list[str]]
"""A layer's name in the model, the layer, and the names of its own parameters."""


def parts_of(model: nn.Module) -> list[Part] | None:
    """The layers of an `nn.Sequential` of nothing but the plain ones of `KINDS`; None of any other model."""
    parts: list[Part] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            return None
        if type(module) is nn.Sequential:
            continue
        if type(module) not in KINDS or not _plain(module):
            return None
        parts.append((name, KINDS[type(module)](module), [each for each, _ in module.named_parameters()]))
    shared = any(
        len([*once]) < len([*every])
        for once, every in (
            (model.modules(), model.named_modules(remove_duplicate=False)),
            (model.parameters(), model.named_parameters(remove_duplicate=False)),
        )
    )
    return None if shared or not _fit([layer for _, layer, _ in parts]) else _normed(parts)


def _normed(parts: list[Part]) -> list[Part]:
    """With batch norm after a convolution known to it: the two are one layer if they are the first and the filters small."""
    for (name, layer, names), (after, norm, more) in pairwise(parts):
        if isinstance(layer, Convolution) and isinstance(norm, BatchNorm):
            layer.centred = True
            if layer is parts[0][1] and layer.seen <= SEEN:
                own = [key(at, each) for at, some in ((name, names), (after, more)) for each in some]
                block = FirstBlock(layer, norm, [key(at, each) for at in (name, after) for each in ("weight", "bias")])
                parts = [("", block, own), *parts[2:]]
    return parts


def key(name: str, each: str) -> str:
    """The model's name of a layer's parameter."""
    return f"{name}.{each}" if name else each


def reads(parts: Sequence[Part]) -> int:
    """Dimensions of the input that the layers take: 4 of images, 2 of features."""
    return 2 if isinstance(parts[0][1], (Linear, Standardized)) else 4


def _fit(layers: Sequence[Layer]) -> bool:
    """Whether images come first, `Flatten` between, features last, as the layers here have them; and no ReLU of the input."""
    kinds = {ReLU: "r", Flatten: "|", Linear: "f", Standardized: "s"}
    order = "".join(kinds.get(type(layer), "i") for layer in layers)
    return re.fullmatch(r"(i[ir]*\|r*|\||s)?(f[fr]*)?", order) is not None and order != ""


def _plain(module: nn.Module) -> bool:
    """Whether the module uses no option that its counterpart here lacks."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if isinstance(module, nn.BatchNorm2d):
        return looks_across(module)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return module.output_size in (1, (1, 1))
    if isinstance(module, nn.MaxPool2d):
        return not module.return_indices
    return not isinstance(module, nn.Flatten) or (module.start_dim, module.end_dim) == (1, -1)
