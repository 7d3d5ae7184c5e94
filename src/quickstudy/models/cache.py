"""Embeddings kept on disk, so that no sentence is encoded twice by the same model."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

LIMIT = 500_000
"""Embeddings kept; beyond it the oldest go. With 384 numbers each that is under a gigabyte."""
_BLOCK = 500
"""Keys in one question to the database, which takes no more than 999."""


def cache_folder() -> Path | None:
    """Where what can be made again is kept: QUICKSTUDY_CACHE, by default the user's cache; None where it says `off`."""
    given = os.environ.get("QUICKSTUDY_CACHE")
    if given == "off":
        return None
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quickstudy"


def cache_file() -> Path | None:
    """Where embeddings are kept; None where nothing is."""
    folder = cache_folder()
    return folder and folder / "embeddings.sqlite"


def fingerprint(module: nn.Module, *settings: object) -> bytes:
    """A hash of a module's weights and of whatever else decides its output."""
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.digest()


class Cache:
    """Sentences to embeddings of one model.

    The file holds hashes and numbers, no text. Where it cannot be read or written, everything is simply computed.

    Args:
        model: the fingerprint of the model; another model's embeddings are other entries.
        path: the database.
    """

    def __init__(self, model: bytes, path: Path):
        self.model, self.path = model, path

    def get(self, sentences: Sequence[str]) -> dict[str, torch.Tensor]:
        """The embeddings that are here, `(dim,)` each."""
        keys = {self._key(sentence): sentence for sentence in sentences}
        wanted, found = list(keys), {}
        with self._database() as database:
            if database is None:
                return {}
            for at in range(0, len(wanted), _BLOCK):
                part = wanted[at : at + _BLOCK]
                marks = ",".join("?" * len(part))
                rows = database.execute(f"SELECT key, vector FROM embeddings WHERE key IN ({marks})", part)
                found |= {keys[key]: torch.frombuffer(bytearray(vector), dtype=torch.float32) for key, vector in rows}
        return found

    def put(self, embeddings: Mapping[str, torch.Tensor]) -> None:
        """Keeps these, in one transaction."""
        rows = [(self._key(sentence), vector.detach().float().cpu().numpy().tobytes()) for sentence, vector in embeddings.items()]
        with self._database() as database:
            if database is None:
                return
            with database:
                database.executemany("INSERT OR REPLACE INTO embeddings (key, vector) VALUES (?, ?)", rows)
                (count,) = database.execute("SELECT COUNT(*) FROM embeddings").fetchone()
                if count > LIMIT:
                    oldest = "SELECT number FROM embeddings ORDER BY number LIMIT ?"
                    database.execute(f"DELETE FROM embeddings WHERE number IN ({oldest})", (count - LIMIT,))

    def _key(self, sentence: str) -> bytes:
        return hashlib.blake2b(self.model + sentence.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection | None]:
        """The open database; None where there can be none (a full disk, a damaged file, a home that is read-only)."""
        database = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.path, timeout=20)
            database.execute("PRAGMA journal_mode=WAL")
            columns = "number INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, vector BLOB NOT NULL"
            database.execute(f"CREATE TABLE IF NOT EXISTS embeddings ({columns})")
        except (OSError, sqlite3.Error):
            if database is not None:
                database.close()
            database = None
        try:
            yield database
        except sqlite3.Error:
            pass
        finally:
            if database is not None:
                database.close()
