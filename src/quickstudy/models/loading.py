"""`models.load`: a model by name, folder or hub id, offline where its files are here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models import image_loading, image_networks
from quickstudy.models.adapters import LoRA, add_lora
from quickstudy.models.hub import PACKAGED, SMOLLM2, file_of, reading, source_of, tokenizer_of
from quickstudy.models.language_model import LanguageModel, is_causal
from quickstudy.models.ngrams import NGrams
from quickstudy.models.savedmodel import is_savedmodel, load_savedmodel
from quickstudy.models.sentence_encoder import SentenceEncoder

Precision = Literal["float32", "bfloat16"]
_ACTIVATIONS = {"Identity": nn.Identity, "Tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU}


def load(
    name: str | Path | nn.Module,
    *,
    lora: LoRA | None = None,
    seed: int = 0,
    attention: str = "eager",
    dtype: Precision = "float32",
) -> Any:
    """Loads a pretrained encoder or a causal language model, frozen, with adapters that learn if asked for.

    Args:
        name: of sentences `"minilm"` (packaged, offline) or `"ngrams"` (characters, for any script); of images
            `"efficientnet-lite0"` (packaged, offline); a language model `"smollm2"` (packaged, offline) or a GGUF file; a
            Hugging Face id or a local folder, of any of these; `"savedmodel:FOLDER"`, TensorFlow's; or any `nn.Module`, returned
            as it is.
        lora: a PEFT `LoraConfig`, a rank, or `{"r": 8, "layers": 2}` (the top two layers).
        seed: draws the adapters' start.
        attention: Hugging Face's `attn_implementation`. Fused attention has no second derivative, so the default is
            the plain one.
        dtype: of the weights that stay as they are; "bfloat16" halves their memory. Adapters, heads and embeddings stay in
            single precision.

    Raises:
        QuickstudyError: the name is neither a folder nor known here, or the folder holds no usable model.
    """
    if isinstance(name, nn.Module):
        return name
    if is_savedmodel(name):
        return load_savedmodel(str(name), lora=lora, dtype=dtype)
    if dtype != "float32" and name in ("ngrams", image_loading.EFFICIENTNET):
        raise QuickstudyError(f"dtype: {name} computes in float32; leave dtype out")
    if name == "ngrams":
        if lora is not None:
            raise QuickstudyError("lora: ngrams has no Transformer to adapt; leave lora out, or name another model")
        return NGrams().eval()
    if name == image_loading.EFFICIENTNET:
        return image_loading.efficientnet_lite0(lora=lora, seed=seed)
    source = source_of(str(name))
    module, reader = _pretrained(str(name), source, attention, dtype)
    module.requires_grad_(False)
    spec: dict[str, Any] = {"name": str(name)} | ({"dtype": dtype} if dtype != "float32" else {})
    if lora is not None:
        spec["lora"] = add_lora(module, lora, seed)
    if isinstance(reader, image_loading.Preprocessing):
        return image_loading.vision_encoder(module, reader, spec)
    if is_causal(type(module).__name__):
        return LanguageModel(module, reader, spec=spec, base=str(source.resolve() if source.is_dir() else source)).eval()
    with reading(str(name), source):
        settings = _sentence_settings(source) if source.is_dir() else {}
    return SentenceEncoder(module, reader, spec=spec, **settings).eval()


def is_language_model(name: str) -> bool:
    """Whether `load` would give a language model, by the configuration alone.

    Raises:
        QuickstudyError: as `load`.
    """
    if name in ("ngrams", image_loading.EFFICIENTNET, *PACKAGED) or is_savedmodel(name):
        return False
    if name == SMOLLM2 or name.endswith(".gguf"):
        return True
    source = source_of(name)
    with reading(name, source) as (transformers, where):
        return _is_causal(transformers, transformers.AutoConfig.from_pretrained(str(source), **where), source, where)


def tokenizer(name: str) -> Any:
    """The tokenizer of a language model, without the model.

    Raises:
        QuickstudyError: as `load`.
    """
    source = source_of(name)
    with reading(name, source) as (transformers, where):
        return tokenizer_of(transformers, source, where)


def made(spec: dict[str, Any]) -> Any:
    """The encoder that has this `spec`; a network that was made from a seed, before any training.

    Raises:
        QuickstudyError: as `load`.
    """
    if "network" in spec:
        return image_networks.encoder(spec["network"], spec["settings"])
    if "fingerprint" in spec:
        return load_savedmodel(spec["name"], fingerprint=spec["fingerprint"])
    return load(spec["name"], lora=spec.get("lora"), dtype=spec.get("dtype", "float32"))


def _pretrained(name: str, source: Path, attention: str, dtype: Precision) -> tuple[nn.Module, Any]:
    """The network, and its tokenizer or how it takes images."""
    with reading(name, source) as (transformers, where):
        config = transformers.AutoConfig.from_pretrained(str(source), **where)
        if image_loading.is_vision(config):
            said = file_of(transformers, source, image_loading.PREPROCESSING, where)
            reader = image_loading.Preprocessing.read(name, said, config)
        else:
            reader = tokenizer_of(transformers, source, where)
        causal = _is_causal(transformers, config, source, where)
        _check_shards(file_of(transformers, source, "model.safetensors.index.json", where))
        # of one that reads and writes, what reads
        whole = transformers.AutoModelForTextEncoding if config.is_encoder_decoder else transformers.AutoModel
        module = (transformers.AutoModelForCausalLM if causal else whole).from_pretrained(
            str(source), attn_implementation=attention, use_safetensors=True, dtype=getattr(torch, dtype), **where
        )
    return module, reader


def _check_shards(index: Path | None) -> None:
    """That a model in several files is read from its own folder alone."""
    for file in set((_json(index) or {}).get("weight_map", {}).values()) if index else ():
        if Path(file).name != file:
            raise QuickstudyError(f"{index} names the file {file!r}, which is not in this folder; it is not read")


def _is_causal(transformers: Any, config: Any, source: Path, where: dict[str, Any]) -> bool:
    """A model of which modules.json makes a sentence encoder is none, whatever it was before."""
    return is_causal(*(config.architectures or ())) and not file_of(transformers, source, "modules.json", where)


def _sentence_settings(folder: Path) -> dict[str, Any]:
    """Pooling, normalisation, dense layers, length and prompt, as the model's own `modules.json` says."""
    modules = _json(folder / "modules.json")
    if not modules:
        return {}
    if not isinstance(modules, list) or not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in modules):
        raise QuickstudyError(
            f"{folder / 'modules.json'} is not what sentence-transformers writes: a list of parts with a type each"
        )
    settings: dict[str, Any] = {"dense": []}
    for part in modules:
        kind, inside = part["type"].rpartition(".")[2], folder / part.get("path", "")
        if not inside.resolve().is_relative_to(folder.resolve()):
            raise QuickstudyError(f"{folder / 'modules.json'}: the part {part['path']!r} is not in this folder; it is not read")
        if kind == "Pooling":
            settings["pooling"] = _pooling(_json(inside / "config.json"), folder)
        elif kind == "Normalize":
            settings["normalize"] = True
        elif kind == "Dense":
            settings["dense"].append(_dense(inside))
        elif kind == "Transformer":
            limit = _json(inside / "sentence_bert_config.json") or _json(folder / "sentence_bert_config.json")
            if limit and limit.get("max_seq_length"):
                settings["max_length"] = int(limit["max_seq_length"])
        else:
            raise QuickstudyError(
                f"{folder / 'modules.json'}: a part of type {kind!r} is not supported (Transformer, Pooling, Dense, "
                "Normalize are)"
            )
    prompts = _json(folder / "config_sentence_transformers.json") or {}
    settings["prompt"] = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name") or "", "")
    return settings


def _pooling(config: Any, folder: Path) -> str:
    names = {"cls_token": "cls", "cls": "cls", "mean_tokens": "mean", "mean": "mean", "max_tokens": "max", "max": "max"}
    names |= {"mean_sqrt_len_tokens": "mean_sqrt_len", "lasttoken": "last"}
    chosen = [
        key.removeprefix("pooling_mode_")
        for key, value in (config or {}).items()
        if key.startswith("pooling_mode_") and value is True
    ]
    if isinstance((config or {}).get("pooling_mode"), str):
        chosen = [config["pooling_mode"]]
    if len(chosen) != 1 or chosen[0] not in names:
        raise QuickstudyError(
            f"{folder}: pooling {chosen or 'none'} is not supported (one of mean, cls, max, mean_sqrt_len, lasttoken)"
        )
    return names[chosen[0]]


def _dense(folder: Path) -> nn.Module:
    from safetensors.torch import load_file

    config = _json(folder / "config.json") or {}
    activation = str(config.get("activation_function", "Identity")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise QuickstudyError(f"{folder}: the activation {activation!r} is not supported ({', '.join(_ACTIVATIONS)} are)")
    layer = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    layer.load_state_dict({key.removeprefix("linear."): value for key, value in load_file(folder / "model.safetensors").items()})
    return nn.Sequential(layer, _ACTIVATIONS[activation]()).requires_grad_(False)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
