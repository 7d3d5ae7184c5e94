"""Language models in GGUF files: read by transformers once, and kept as an ordinary model folder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from quickstudy.errors import QuickstudyError, reason
from quickstudy.folder import alone, new_folder
from quickstudy.models.cache import cache_folder
from quickstudy.models.quiet import quiet


def model_folder(file: Path) -> Path:
    """The Hugging Face folder that holds a GGUF file's model, in single precision; made on the first call.

    A model as transformers reads it from GGUF cannot be saved, and takes half a minute to read: it is built again from its
    configuration and state dict. The folder is in the cache, by the file's name, size and first megabyte.

    Raises:
        QuickstudyError: `gguf` is not installed, the file is damaged or of an unknown architecture, or the disk is full.
    """
    if not file.is_file():
        raise QuickstudyError(f"{file} is not there; name a GGUF file, a model folder or a Hugging Face id")
    if importlib.util.find_spec("gguf") is None:
        raise QuickstudyError(f'{file.name} needs the package gguf: pip install "quickstudy[gguf]"')
    folder = (cache_folder() or Path(tempfile.gettempdir()) / "quickstudy") / "models" / f"{file.stem}-{_mark(file)}"
    whole = folder / "config.json"
    if not whole.is_file():
        with alone(folder.parent, wait=True):  # one at a time, so that whoever comes second finds it there
            if not whole.is_file():
                _make(folder, file)
    return folder


def _make(folder: Path, file: Path) -> None:
    import transformers

    shutil.rmtree(folder, ignore_errors=True)  # what is not whole
    model, tokenizer = _read(file)
    with new_folder(folder) as new, quiet(transformers):
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        _forget_origin(new / "config.json")


def _mark(file: Path) -> str:
    with file.open("rb") as stream:
        head = stream.read(2**20)
    return hashlib.sha256(head + str(file.stat().st_size).encode()).hexdigest()[:12]


def _read(file: Path) -> tuple[Any, Any]:
    import torch
    import transformers

    where = {"gguf_file": file.name, "trust_remote_code": False, "local_files_only": True}
    try:
        with quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(file.parent), **where)
            model = transformers.AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.float32, **where)
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise QuickstudyError(f"cannot read the language model in {file}: {reason(error)}") from error
    config: Any = model.config
    del config.quantization_config
    with torch.device("meta"):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain, tokenizer


def _forget_origin(config: Path) -> None:
    """A name inside the file says nothing to who loads the folder."""
    facts = json.loads(config.read_text(encoding="utf-8"))
    facts.pop("_name_or_path", None)
    config.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
