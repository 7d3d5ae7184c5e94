"""`holding`: a language model with other values for some of its parameters, which shares all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn

from quickstudy.models.language_model import LanguageModel
from quickstudy.models.shell import shell


def holding(model: LanguageModel, values: Mapping[str, torch.Tensor]) -> LanguageModel:
    """A model that holds these values, such as what a task taught or another start; the one given stays as it is.

    What its frozen layers gave of a block is shared too: several starts judged on the same text compute that once.

    Args:
        values: by the names of `model.named_parameters()`; a tied weight is replaced in all its places.
    """
    own = dict(model.named_parameters())
    other = cast(LanguageModel, shell(model))
    new = {id(own[name]): nn.Parameter(value.detach(), own[name].requires_grad) for name, value in values.items()}
    for part in other.modules():
        for name, parameter in part._parameters.items():
            if id(parameter) in new:
                part._parameters[name] = new[id(parameter)]
    return other
