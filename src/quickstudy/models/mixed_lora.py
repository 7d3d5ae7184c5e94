"""One call of an encoder for sentences of several tasks, each with its own low-rank adapters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.models.adapters import adapted_layers
from quickstudy.models.functional import Parameters
from quickstudy.models.sentence_encoder import SentenceEncoder
from quickstudy.models.shell import shell

ROWS_FIRST = {
    "albert", "bert", "camembert", "distilbert", "electra", "ernie", "modernbert", "mpnet", "roberta", "xlm-roberta",
}  # fmt: skip
"""Architectures whose linear layers all read `(rows, ...)`. DeBERTa's also read positions, which all rows share; in XLNet words
come before rows."""


class MixedLoRA:
    """An encoder as a function of stacked adapters: `x W` is one product for all rows, and A[task] and B[task] differ.

    Args:
        encoder: with plain LoRA by PEFT, in eval mode; see `fits`.
    """

    def __init__(self, encoder: SentenceEncoder):
        self.encoder = encoder

    @staticmethod
    def fits(encoder: nn.Module, names: Collection[str]) -> bool:
        """Whether each row can have adapters of its own: these parameters are all the adapters there are, and plain (no dropout,
        no DoRA, nothing merged), of an architecture that is known."""
        if not isinstance(encoder, SentenceEncoder) or any(part.training for part in encoder.modules()) or not names:
            return False
        if getattr(encoder.module.config, "model_type", None) not in ROWS_FIRST:
            return False
        layers = adapted_layers(encoder)
        expected = {f"{name}.lora_{each}.default.weight" for name in layers for each in "AB"}
        return expected == set(names) and all(map(_is_plain, layers.values()))

    def __call__(self, phi: Parameters, sentences: Sequence[str], tasks: torch.Tensor) -> torch.Tensor:
        """Embeddings `(rows, dim)`.

        Args:
            phi: adapters, `(tasks, ...)` each.
            sentences: of about one length, since they go through the Transformer together.
            tasks: to which task each belongs, `(rows,)`.
        """
        module, tokens = self.encoder.called(self.encoder.lowered(sentences, phi))
        module = shell(module)
        for name, layer in adapted_layers(module).items():
            a, b = (phi[f"module.{name}.lora_{each}.default.weight"][tasks] for each in "AB")
            module.set_submodule(name, _Mixed(layer, a, b))
        return self.encoder.pooled(module, tokens)


class _Mixed(nn.Module):
    """x W + s (x A[task]^T) B[task]^T, as PEFT's layer has it for one task."""

    def __init__(self, layer: Any, a: torch.Tensor, b: torch.Tensor):
        super().__init__()
        self.base, self.a, self.b, self.scaling = layer.base_layer, a, b, layer.scaling["default"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        plain = self.base(x)
        rows = x.reshape(len(x), -1, x.shape[-1]).to(self.a.dtype)
        delta = (rows @ self.a.mT) @ self.b.mT * self.scaling
        return (plain + delta.view(plain.shape)).to(plain.dtype)


def _is_plain(layer: Any) -> bool:
    from peft.tuners.lora.layer import Linear

    return (
        type(layer) is Linear
        and type(layer.base_layer) is nn.Linear
        and list(layer.lora_A) == list(layer.active_adapters) == ["default"]
        and layer.lora_B["default"].bias is None
        and not (layer.lora_variant or layer.merged or layer.disable_adapters)
    )
