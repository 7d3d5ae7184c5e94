"""`Encoder`: a pretrained network as one module from inputs as people have them (sentences, images) to embeddings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import nn

from quickstudy.models.cache import Cache, cache_file, fingerprint
from quickstudy.models.device import CPU, device_of, like
from quickstudy.models.precision import MANY, half, half_pays

Memory = dict[str, torch.Tensor]
"""Embeddings by input (a sentence, or the reference of an image), `(dim,)` each."""
CHUNK = 16
"""Inputs in one call of the network: small, so that sorting sentences by length leaves little padding."""
WIDER = 16
"""So many times more on a GPU, which a small call leaves idle."""


class Encoder(nn.Module):
    """Inputs to embeddings, `(inputs, dim)`: what encoders of sentences and of images have in common.

    An input is a string: a sentence, or where an image is. A subclass defines `forward`, which takes a list of them and
    keeps a graph where something is trainable; `dim`; and `settings`.

    Args:
        module: the network.
        dim: numbers in an embedding.
        normalize: whether embeddings have unit length.
        spec: what `models.load` needs to make this encoder again.
    """

    reads: Literal["sentence", "image", "recording"] = "sentence"
    """What an input is. An encoder of anything but sentences has nothing to say of a class by its name."""
    on_cpu = CHUNK
    """Inputs in one call of the network on a processor."""
    _half_pays: bool | None = None

    def __init__(self, module: nn.Module, dim: int, *, normalize: bool = False, spec: dict[str, Any] | None = None):
        super().__init__()
        self.module, self.dim, self.normalize, self.spec = module, dim, normalize, spec or {}
        self._known: Memory = {}

    @property
    def settings(self) -> tuple[object, ...]:
        """What decides the embeddings besides the weights."""
        return (self.normalize,)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.module.parameters()).device

    @property
    def chunk(self) -> int:
        """Inputs in one call of the network."""
        return self.on_cpu * (1 if device_of(self) == CPU else WIDER)

    def length(self, each: str) -> int:
        """How much there is to read of an input; those of like length go through together."""
        return 0

    def keys(self, inputs: Sequence[str]) -> Sequence[str]:
        """What each input's embedding is kept by on disk."""
        return inputs

    def lowered(self, inputs: Any, moving: Collection[str]) -> Any:
        """Inputs that have been through the layers that stay as they are, for `forward`; as they are where no layer does.

        Args:
            moving: the parameters, by this encoder's names, that get other values than their own.
        """
        return inputs

    @torch.no_grad()
    def embed(self, inputs: Any, *, progress: Callable[[int, int], None] | None = None) -> torch.Tensor:
        """Embeddings without a graph; those that `remember` holds are looked up.

        Args:
            progress: called with how many inputs are done, and of how many.
        """
        if isinstance(inputs, torch.Tensor) and len(inputs) > self.chunk:
            return torch.cat([self(part) for part in inputs.split(self.chunk)])
        if isinstance(inputs, (Mapping, torch.Tensor)):
            return self(inputs)
        new = sorted(dict.fromkeys(each for each in inputs if each not in self._known), key=self.length)
        if not new:
            return torch.stack([self._known[each] for each in inputs]) if inputs else self([])
        fresh: dict[str, torch.Tensor] = {}
        for at in range(0, len(new), self.chunk):
            part = new[at : at + self.chunk]
            fresh.update(zip(part, self(self.lowered(part, ())), strict=True))
            if progress:
                progress(min(at + self.chunk, len(new)), len(new))
        return torch.stack([fresh[each] if each in fresh else self._known[each] for each in inputs])

    def memory(self, inputs: Sequence[str], *, progress: Callable[[int, int], None] | None = None) -> Memory:
        """Each different input embedded once, for `remember`; a frozen encoder finds those of earlier days on disk.

        Many at once are encoded in bfloat16 where that pays; what is on disk of each precision is kept apart.
        """
        distinct = list(dict.fromkeys(inputs))
        known = {each: self._known[each] for each in distinct if each in self._known}
        short = self._in_half(distinct)
        cache = self._cache(short) if len(known) < len(distinct) else None
        keys: dict[str, str] = {}
        if cache:
            absent = [each for each in distinct if each not in known]
            keys = dict(zip(absent, self.keys(absent), strict=True))
            stored = cache.get(list(dict.fromkeys(keys.values())))
            known |= {each: stored[key].to(like(self)) for each, key in keys.items() if key in stored}
        new = [each for each in distinct if each not in known]
        with half(self.device) if short else nullcontext():
            vectors = self.embed(new, progress=progress)
        fresh = dict(zip(new, vectors.float() if short else vectors, strict=True))
        if cache and fresh:
            cache.put({keys[each]: vector for each, vector in fresh.items()})
        return known | fresh

    @contextmanager
    def remember(self, memory: Memory) -> Iterator[None]:
        """Inside, `embed` looks inputs up here before it computes. The encoder must not change meanwhile."""
        before, self._known = self._known, memory
        try:
            yield
        finally:
            self._known = before

    def _in_half(self, inputs: Sequence[str]) -> bool:
        """Whether so many inputs are encoded in bfloat16; looked into once, on some of middling length.

        A frozen encoder's alone: what `lowered` keeps of another's frozen layers serves gradients too.
        """
        if len(inputs) < MANY or self._known or any(p.requires_grad or p.dtype != torch.float32 for p in self.parameters()):
            return False
        if self._half_pays is None:
            middle = sorted(inputs[:MANY], key=self.length)[MANY // 2 :][: self.chunk]
            self._half_pays = half_pays(lambda: self(middle), self.device)
        return self._half_pays

    def _cache(self, short: bool) -> Cache | None:
        """The embeddings on disk; None while the encoder can still change, since each change would fill the disk anew.

        None for double precision too, which the single precision on disk would round.
        """
        file = cache_file()
        if file is None or any(p.requires_grad or p.dtype == torch.float64 for p in self.parameters()):
            return None
        return Cache(fingerprint(self, *self.settings, *["bf16"] * short), file)


def reads_images(model: Any) -> bool:
    """Whether a model is an encoder of images (or recordings): a label's name says nothing to it."""
    return isinstance(model, Encoder) and model.reads != "sentence"
