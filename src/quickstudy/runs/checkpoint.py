"""Checkpoints: tensors and a few facts in one safetensors file, written whole or not at all, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from quickstudy import __version__
from quickstudy.atomic import write_atomically
from quickstudy.errors import QuickstudyError, reason
from quickstudy.learners.base import Learner
from quickstudy.models.sentence_encoder import SentenceEncoder

Tensors = dict[str, torch.Tensor]
FORMAT = 1
KEY = "quickstudy"
"""All facts are one JSON string under this key: safetensors writes several keys in an order that changes by process."""


def write(
    path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any], *, remedy: str = "go on with --resume"
) -> None:
    """Writes a file that depends on its contents alone, byte for byte, and carries their checksum.

    Args:
        remedy: what to do once there is room on the disk, for the message.

    Raises:
        QuickstudyError: the disk is full or not writable; the file that was there before is still there.
    """
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    facts = {**facts, "format": FORMAT, "quickstudy": __version__}
    text = json.dumps({**facts, "checksum": _checksum(tensors, facts)}, sort_keys=True)
    try:
        write_atomically(path, save(tensors, metadata={KEY: text}))
    except OSError as error:
        before = "the one before it is still good" if path.exists() else "there is none before it"
        raise QuickstudyError(
            f"{path} could not be written ({error.strerror or error}); {before}: make room on the disk, then {remedy}"
        ) from error


def read(path: Path, *, remedy: str) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and facts.

    Args:
        remedy: what to do where the file is of no use, for the message.

    Raises:
        QuickstudyError: the file is missing, truncated, changed, from a later version, or not ours.
    """
    if not path.is_file():
        raise QuickstudyError(f"{path} is not there; {remedy}")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (it is no dict)
        facts = json.loads(metadata[KEY]) if KEY in metadata else None
    except (SafetensorError, OSError, ValueError) as error:
        raise QuickstudyError(f"{path} is truncated or damaged ({reason(error)}); {remedy}") from None
    if not isinstance(facts, dict):
        raise QuickstudyError(f"{path} was not written by quickstudy; {remedy}")
    if facts.get("format") != FORMAT:
        reads = f"quickstudy {__version__} reads format {FORMAT}"
        raise QuickstudyError(f"{path} has format {facts.get('format')}, and {reads}; {remedy}")
    if facts.pop("checksum", None) != _checksum(tensors, facts):
        raise QuickstudyError(f"{path} has been changed since it was written (its checksum differs); {remedy}")
    return tensors, facts


def learner_tensors(learner: Learner) -> Tensors:
    """What a learner has learned: the parameters that the outer loop moves, and its persistent buffers.

    The rest comes back from the recipe: a pretrained encoder by its name, new weights by the seed.
    """
    learned = {id(parameter) for parameter in learner.parameters()}
    found: Tensors = {name: p.detach() for name, p in learner.named_parameters() if id(p) in learned}
    parameters = {name for name, _ in learner.named_parameters(remove_duplicate=False)}
    base = tuple(f"{name}." for name, module in learner.named_modules() if isinstance(module, SentenceEncoder))
    for name, value in learner.state_dict().items():
        if name not in parameters and isinstance(value, torch.Tensor) and not name.startswith(base):
            found[name] = value
    return found


def put_learner(
    learner: Learner, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any], path: Path, *, remedy: str
) -> None:
    """Puts what `learner_tensors` gave back in place.

    Raises:
        QuickstudyError: the file belongs to another learner or another model.
    """
    theirs, ours = facts.get("learner"), type(learner).__name__
    if theirs != ours:
        raise QuickstudyError(f"{path} holds a {theirs}, and the recipe asks for {ours}; {remedy}")
    own = learner_tensors(learner)
    for name in sorted(own.keys() ^ tensors.keys()):
        whose = "the file lacks" if name in own else "the recipe's model lacks"
        raise QuickstudyError(f"{path} belongs to another model ({whose} {name}); {remedy}")
    for name, value in own.items():
        its = tensors[name]  # what ships may be rounded
        if value.shape != its.shape or its.dtype not in (value.dtype, torch.bfloat16):
            shapes = f"{name} has shape {tuple(its.shape)} there and {tuple(value.shape)} here"
            raise QuickstudyError(f"{path} belongs to another model ({shapes}); {remedy}")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """The optimizer's memory (moments, counts), flat; rates and the like come from the recipe."""
    states = optimizer.state_dict()["state"]
    flat = {f"{place}/{key}": value for place, state in states.items() for key, value in state.items()}
    return {name: value for name, value in flat.items() if isinstance(value, torch.Tensor)}


def put_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts what `optimizer_tensors` gave back in place."""
    states: dict[int, Tensors] = {}
    for name, value in tensors.items():
        place, _, key = name.partition("/")
        states.setdefault(int(place), {})[key] = value.clone()
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def prefixed(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The same tensors under names that start with `prefix/`."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def part(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Those of the tensors that `prefixed` gave this prefix, under their own names."""
    return {name.removeprefix(f"{prefix}/"): value for name, value in tensors.items() if name.startswith(f"{prefix}/")}


def _checksum(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> str:
    """SHA-256 of everything in the file. It finds damage and edits; it is no signature."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(value: torch.Tensor) -> memoryview:
    return value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else memoryview(b"")
