"""What one task taught, as a folder of safetensors and JSON."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from quickstudy import __version__
from quickstudy.errors import QuickstudyError, reason
from quickstudy.folder import new_folder
from quickstudy.learners.adapted import Adapted
from quickstudy.models import heads
from quickstudy.models.adapters import is_adapter, load_adapter, save_adapter
from quickstudy.models.encoder import Encoder
from quickstudy.models.examples import Examples
from quickstudy.models.functional import Functional, Parameters
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.loading import made

CONFIG = "quickstudy.json"
_TRANSFORMER = "module."  # where an Encoder or a LanguageModel keeps its Transformer


class ExampleSentences(BaseModel):
    """The sentences that were learned from."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = Field(description="the sentences")
    targets: list[int] = Field(description="the number of each one's class")
    none_below: float | None = Field(description="the familiarity below which a sentence fits no label; null: unknown")


class Artefact(BaseModel):
    """The JSON of an artefact."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    format: Literal[1] = Field(1, description="of this file")
    quickstudy: str = Field(description="the version that wrote it")
    model: dict[str, Any] | None = Field(description="what models.load needs; null: a module of the user's own")
    head: Literal["LinearHead", "AttentionHead", "SimilarityHead"] | None = Field(description="the class of the head")
    classes: list[str] | list[int] | None = Field(description="what the logits stand for")
    real: bool = Field(description="whether the answers are real values")
    temperature: float = Field(1.0, gt=0, description="what logits are divided by before they become probabilities")
    examples: ExampleSentences | None = Field(None, description="what was learned from; its embeddings are in a file")
    files: dict[str, str] = Field(description="SHA-256 of each file beside this one")


def save(adapted: Adapted, folder: Path, *, card: str | None = None) -> None:
    """Writes an artefact; the folder appears whole or not at all.

    Raises:
        QuickstudyError: the folder is not empty, or the learner's way of calling its model cannot be written down.
    """
    if not isinstance(adapted.call, Functional) and adapted.head is None:
        raise QuickstudyError(
            f"what {type(getattr(adapted.call, '__self__', adapted.call)).__name__} learned lives in code of its own and "
            "cannot be saved as tensors alone; save the learner's state_dict instead"
        )
    with new_folder(folder) as new:
        model = adapted.model
        spec = (model.spec or None) if isinstance(model, (Encoder, LanguageModel)) else None
        moved = _moved(adapted)
        lora = {name: value for name, value in moved.items() if is_adapter(name) and spec}
        rest = {name: value for name, value in moved.items() if name not in lora}
        if lora and spec:
            inner = {name.removeprefix(_TRANSFORMER): value for name, value in lora.items()}
            base = model.base if isinstance(model, LanguageModel) else spec["name"]
            save_adapter(_adapter_folder(new, model), inner, spec["lora"], base)
        if rest:
            _write(rest, new / "weights.safetensors")
        if adapted.head is not None:
            _write(adapted.head.state_dict(), new / "head.safetensors")
        if adapted.examples is not None:
            _write({"embeddings": adapted.examples.embeddings}, new / "examples.safetensors")
        if spec and not lora and "name" in spec:
            spec = {key: value for key, value in spec.items() if key != "lora"}
        files = {str(path.relative_to(new)): _sha256(path) for path in sorted(new.rglob("*.safetensors"))}
        config = Artefact(
            format=1,
            quickstudy=__version__,
            model=spec,
            head=type(adapted.head).__name__ if adapted.head is not None else None,  # type: ignore[arg-type]
            classes=adapted.classes,  # type: ignore[arg-type]
            real=adapted.real,
            temperature=adapted.temperature,
            examples=_sentences(adapted.examples) if adapted.examples is not None else None,
            files=files,
        )
        (new / CONFIG).write_text(json.dumps(config.model_dump(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (new / "README.md").write_text(card or _plain_card(config), encoding="utf-8")


def load(folder: Path, *, model: nn.Module | None = None) -> Adapted:
    """Opens an artefact. Nothing in it is executed.

    Args:
        model: the module that an artefact without a pretrained model belongs to.

    Raises:
        QuickstudyError: not an artefact, or a file in it is truncated, changed or missing.
    """
    config = read_config(folder)
    for name, digest in config.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise QuickstudyError(
                f"{folder / CONFIG} names a file outside the folder ({name}); the artefact is not to be trusted"
            )
        if not path.is_file():
            raise QuickstudyError(f"{path} is missing; the artefact is incomplete, write it again with `quickstudy adapt`")
        if _sha256(path) != digest:
            raise QuickstudyError(
                f"{path} is not the file that was saved (truncated or changed); write it again with `quickstudy adapt`"
            )
    try:
        return _opened(folder, config, model)
    except (SafetensorError, KeyError, RuntimeError, TypeError) as error:
        raise QuickstudyError(
            f"{folder}: its files do not fit together ({reason(error)}); write it again with `quickstudy adapt`"
        ) from error


def is_artefact(folder: Path) -> bool:
    """Whether this folder is an artefact."""
    return (folder / CONFIG).is_file()


def read_config(folder: Path) -> Artefact:
    """The JSON of an artefact."""
    path = folder / CONFIG
    if not path.is_file():
        what = "is not there" if not folder.exists() else f"holds neither {CONFIG} (an artefact) nor recipe.yaml (a run)"
        raise QuickstudyError(f"{folder} {what}; give a folder that `quickstudy adapt` or `quickstudy train` wrote")
    try:
        return Artefact.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise QuickstudyError(f"{path}: {where} is not valid ({first['msg']}); write it again with `quickstudy adapt`") from None


def _opened(folder: Path, config: Artefact, model: nn.Module | None) -> Adapted:
    phi: Parameters = {}
    if config.model is not None:
        model = made(config.model)
    if model is None:
        raise QuickstudyError(f"{folder} holds what a module of your own learned; open it with load(folder, model=that_module)")
    place = _adapter_folder(folder, model)
    if (place / "adapter_model.safetensors").is_file():
        phi |= {_TRANSFORMER + name: value for name, value in load_adapter(place).items()}
    if (folder / "weights.safetensors").is_file():
        phi |= load_file(folder / "weights.safetensors")
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, value in phi.items():
        if name not in own or own[name].shape != value.shape:
            raise QuickstudyError(f"{folder}: the parameter {name} does not belong to this model; it was saved for another one")
    if isinstance(model, (Encoder, LanguageModel)):  # ours alone, so the values go in for good and features can be embedded once
        with torch.no_grad():
            for name, value in phi.items():
                own[name].copy_(value)
        phi = {}
    head = _head(config.head, load_file(folder / "head.safetensors")) if config.head else None
    examples = _examples(folder, config.examples, len(config.classes or ())) if config.examples else None
    if isinstance(model, Encoder):
        _require_dimension(folder, model, head, examples)
    return Adapted(
        model,
        Functional(model),
        phi=phi,
        head=head,
        classes=config.classes,
        real=config.real,
        temperature=config.temperature,
        examples=examples,
    )


def _adapter_folder(folder: Path, model: nn.Module) -> Path:
    """Where PEFT's files are: at the top for a language model, so that other tools open the folder as it is."""
    return folder if isinstance(model, LanguageModel) else folder / "adapter"


def _require_dimension(folder: Path, encoder: Encoder, head: nn.Module | None, examples: Examples | None) -> None:
    tensors = dict(head.named_buffers()) if head is not None else {}
    learned = [tensors.get("embeddings", tensors.get("weight")), examples.embeddings if examples else None]
    sizes = {tensor.shape[-1] for tensor in learned if tensor is not None} - {encoder.dim}
    if sizes:
        raise QuickstudyError(
            f"{folder} was learned on embeddings of {sizes.pop()} numbers and {encoder.spec.get('name')} gives {encoder.dim}: "
            "it belongs to another encoder; learn again on this one with `quickstudy adapt`"
        )


def _head(name: str, tensors: dict[str, torch.Tensor]) -> nn.Module:
    head = {"LinearHead": heads.LinearHead, "AttentionHead": heads.AttentionHead, "SimilarityHead": heads.SimilarityHead}[name]
    return head(**tensors)


def _sentences(examples: Examples) -> ExampleSentences:
    known = examples.none_below if math.isfinite(examples.none_below) else None
    return ExampleSentences(texts=list(examples.texts), targets=examples.targets.tolist(), none_below=known)


def _examples(folder: Path, stored: ExampleSentences, classes: int) -> Examples:
    embeddings = load_file(folder / "examples.safetensors")["embeddings"]
    if not len(embeddings) == len(stored.texts) == len(stored.targets):
        raise KeyError(f"{len(embeddings)} embeddings of {len(stored.texts)} examples with {len(stored.targets)} targets")
    if not all(0 <= target < classes for target in stored.targets):
        raise KeyError(f"an example of a class that is none of the {classes}")
    none_below = -math.inf if stored.none_below is None else stored.none_below
    return Examples(stored.texts, torch.tensor(stored.targets), embeddings, none_below)


def _moved(adapted: Adapted) -> Parameters:
    """Everything in which the model differs from the pretrained one: meta-trained parameters, then this task's."""
    model = adapted.model
    learned = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if isinstance(model, Encoder) and "network" in model.spec:  # made from a seed, so its running averages were learned too
        learned = {name: value.detach() for name, value in model.state_dict().items()}
    return learned | {name: value.detach() for name, value in adapted.phi.items()}


def _write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain_card(config: Artefact) -> str:
    what = f"{len(config.classes)} classes" if config.classes else "a task"
    return f"# A quickstudy artefact\n\nWhat was learned of {what}. Open it with `quickstudy.load(folder)`.\n"
