"""Low-rank adapters, by PEFT: put into an encoder, and written and read in PEFT's own format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.shell import shelling

LoRA = Any
"""A PEFT `LoraConfig`, a rank, or a mapping of `LoraConfig`'s own fields and `layers`: how many of the top layers."""

_PREFIX = "base_model.model."


def add_lora(module: nn.Module, lora: LoRA, seed: int) -> dict[str, Any]:
    """Injects adapters, of single precision at least. Returns the plain fields that make them again.

    Raises:
        QuickstudyError: a field that PEFT does not know, or no layer to put an adapter on.
    """
    import peft

    config = lora if isinstance(lora, peft.LoraConfig) else _short_form(peft, module, lora)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            peft.inject_adapter_in_model(config, module)
        except (ValueError, TypeError, AttributeError) as error:
            raise QuickstudyError(f"no LoRA adapter could be put on {type(module).__name__}: {error}") from error
    for name, parameter in module.named_parameters():
        if is_adapter(name):
            parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
    return _plain(config)


def _short_form(peft: Any, module: nn.Module, lora: Any) -> Any:
    fields: dict[str, Any] = {"r": lora} if isinstance(lora, int) else dict(lora)
    layers = fields.pop("layers", None)
    rank = fields.setdefault("r", 8)
    fields.setdefault("lora_alpha", 2 * rank)
    places = _linear(module, layers)
    if layers is not None and "target_modules" in fields:
        fields["layers_to_transform"] = sorted({int(piece) for name in places for piece in name.split(".") if piece.isdecimal()})
    fields.setdefault("target_modules", places)
    try:
        return peft.LoraConfig(**fields)
    except (TypeError, ValueError) as error:
        raise QuickstudyError(f"lora: {str(error).replace('LoraConfig.__init__() ', '')}") from error


def _linear(module: nn.Module, layers: int | None) -> list[str]:
    """Every linear layer of the top layers (all of them by default), by its full name; a 1x1 convolution is one too."""
    depths = {}
    for name, part in module.named_modules():
        numbers = [int(piece) for piece in name.split(".") if piece.isdecimal()]
        if numbers and (isinstance(part, nn.Linear) or _is_pointwise(part) or _is_gpt2s(part)):
            depths[name] = numbers[0]
    depth = max(depths.values(), default=-1) + 1
    if layers is not None and not 0 < layers <= depth:
        raise QuickstudyError(f"lora: layers={layers}, but the model has {depth}; give a number from 1 to {depth}")
    return [name for name, at in depths.items() if layers is None or at >= depth - layers]


def _is_gpt2s(part: nn.Module) -> bool:
    """A linear layer as GPT-2 has it, its weight transposed."""
    return type(part).__name__ == "Conv1D" and type(part).__module__.startswith("transformers.")


def _is_pointwise(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1) and part.groups == 1


def _plain(config: Any) -> dict[str, Any]:
    """The fields of a `LoraConfig` that differ from PEFT's defaults, as JSON."""
    default = type(config)().to_dict()
    fields = {key: value for key, value in config.to_dict().items() if value != default.get(key)}
    fields.pop("base_model_name_or_path", None)
    return json.loads(json.dumps(fields, default=lambda value: sorted(value) if isinstance(value, set) else str(value)))


def without_adapters(model: nn.Module) -> nn.Module:
    """The same model as it was before adapters were put in; it shares every tensor with this one, which stays as it is."""
    plain = shelling(model)(model)
    for name, part in adapted_layers(plain).items():
        plain.set_submodule(name, part.base_layer)
    return plain


def adapted_layers(module: nn.Module) -> dict[str, Any]:
    """The layers that PEFT has put adapters on, by name."""
    return {name: part for name, part in module.named_modules() if hasattr(part, "lora_A") and hasattr(part, "base_layer")}


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to a LoRA adapter."""
    return ".lora_" in name


def save_adapter(folder: Path, tensors: Mapping[str, torch.Tensor], lora: Mapping[str, Any], base: str) -> None:
    """Writes adapter parameters in PEFT's format, so that `PeftModel.from_pretrained` opens them.

    Args:
        tensors: by the names inside the encoder's Transformer.
        lora: what `add_lora` returned.
        base: the model that the adapter belongs to.
    """
    import peft
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = peft.LoraConfig(**lora)
    config.base_model_name_or_path = base
    config.inference_mode = True
    config.save_pretrained(str(folder))
    named = {_PREFIX + name.replace(".default.", "."): value.detach().cpu().contiguous() for name, value in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def load_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """Adapter parameters in PEFT's format, by the names inside the encoder's Transformer."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "adapter_model.safetensors")
    named = {}
    for name, value in tensors.items():
        stem, _, last = name.removeprefix(_PREFIX).rpartition(".")
        named[f"{stem}.default.{last}"] = value
    return named
