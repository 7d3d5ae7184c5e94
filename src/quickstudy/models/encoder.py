"""Sentence encoders: a Hugging Face Transformer, its tokenizer and its pooling, as one module over strings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.cache import Cache, cache_file, fingerprint
from quickstudy.models.frozen_layers import TOLERANCE, FrozenLayers, Lowered
from quickstudy.models.precision import MANY, half, half_pays

Pooling = Literal["mean", "cls", "max", "mean_sqrt_len", "last"]
Memory = dict[str, torch.Tensor]
"""Embeddings by sentence, `(dim,)` each."""
CHUNK = 16
"""Sentences in one call of the Transformer: small, so that sorting by length leaves little padding."""


class Encoder(nn.Module):
    """Sentences to embeddings, `(sentences, dim)`.

    Args:
        module: a Hugging Face encoder.
        tokenizer: its tokenizer.
        pooling: how the last hidden states become one vector, as the model's own `modules.json` says.
        normalize: whether embeddings have unit length.
        dense: layers after pooling.
        max_length: tokens read of a sentence; the rest is cut.
        prompt: put before every sentence.
        spec: what `models.load` needs to make this encoder again.
    """

    _frozen: FrozenLayers | None = None
    _half_pays: bool | None = None

    def __init__(
        self,
        module: nn.Module,
        tokenizer: Any,
        *,
        pooling: Pooling = "mean",
        normalize: bool = False,
        dense: Sequence[nn.Module] = (),
        max_length: int = 512,
        prompt: str = "",
        spec: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.module, self.tokenizer = module, tokenizer
        self.pooling, self.normalize, self.max_length, self.prompt = pooling, normalize, max_length, prompt
        self.dense = nn.Sequential(*dense)
        self.spec = spec or {}
        self.dim = _dimension(module, dense)
        self._tokens: dict[str, list[int]] = {}
        self._known: Memory = {}
        self._frozen = FrozenLayers(module)

    def forward(
        self, sentences: Sequence[str] | Lowered | Mapping[str, torch.Tensor] = (), **tokens: torch.Tensor
    ) -> torch.Tensor:
        """Embeddings of sentences, of their tokens, or of what `lowered` gave; with a graph where something is trainable."""
        if tokens or isinstance(sentences, Mapping):
            return self._pooled(self.module, tokens or dict(sentences))  # type: ignore[arg-type]
        if not len(sentences):
            return torch.empty(0, self.dim, device=self.device)
        if isinstance(sentences, Lowered):
            rows: Sequence[Any] = sentences.rows
            pad, module = _stacked, sentences.layers.upper(self.module, sentences.depth)
        else:
            rows, pad, module = [self.tokenize(sentence) for sentence in sentences], self._padded, self.module
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        parts = [self._pooled(module, pad([rows[i] for i in order[at : at + CHUNK]])) for at in range(0, len(order), CHUNK)]
        place = torch.empty(len(order), dtype=torch.long, device=self.device)
        place[torch.tensor(order, device=self.device)] = torch.arange(len(order), device=self.device)
        return torch.cat(parts)[place]

    def lowered(self, sentences: Any, moving: Collection[str]) -> Any:
        """Sentences that have been through the frozen layers, for `forward`; other inputs, and where no layer is, as they are.

        Args:
            moving: the parameters, by this encoder's names, that get other values than their own.
        """
        if isinstance(sentences, (Mapping, torch.Tensor, Lowered)) or not len(sentences) or self._frozen is None:
            return sentences
        depth = self._frozen.depth({name.removeprefix("module.") for name in moving})
        if not depth:
            return sentences
        known = self._frozen.recall(depth)
        found = {sentence: known[sentence] for sentence in sentences if sentence in known}
        new = sorted(dict.fromkeys(s for s in sentences if s not in found), key=lambda s: len(self.tokenize(s)))
        for at in range(0, len(new), CHUNK):
            part = new[at : at + CHUNK]
            tokens = self._padded([self.tokenize(sentence) for sentence in part])
            fresh = dict(zip(part, self._frozen.lower(tokens, depth), strict=True))
            if not known and not self._same(part, Lowered(list(fresh.values()), depth, self._frozen)):
                self._frozen = None
                return sentences
            found |= fresh
            self._frozen.keep(known, fresh)
        return Lowered([found[sentence] for sentence in sentences], depth, self._frozen)

    @torch.no_grad()
    def _same(self, sentences: Sequence[str], lowered: Lowered) -> bool:
        """Whether the short way gives what the long way gives."""
        long = self(sentences)
        return bool((self(lowered) - long).abs().max() <= TOLERANCE * long.abs().max())

    @torch.no_grad()
    def embed(self, sentences: Sequence[str], *, progress: Callable[[int, int], None] | None = None) -> torch.Tensor:
        """Embeddings without a graph; those that `remember` holds are looked up.

        Args:
            progress: called with how many sentences are done, and of how many.
        """
        if isinstance(sentences, Mapping):
            return self(sentences)
        new = sorted(dict.fromkeys(s for s in sentences if s not in self._known), key=lambda s: len(self.tokenize(s)))
        if not new:
            return torch.stack([self._known[s] for s in sentences]) if sentences else self([])
        fresh: dict[str, torch.Tensor] = {}
        for at in range(0, len(new), CHUNK):
            part = new[at : at + CHUNK]
            fresh.update(zip(part, self(self.lowered(part, ())), strict=True))
            if progress:
                progress(min(at + CHUNK, len(new)), len(new))
        return torch.stack([fresh[s] if s in fresh else self._known[s] for s in sentences])

    def memory(self, sentences: Sequence[str], *, progress: Callable[[int, int], None] | None = None) -> Memory:
        """Each different sentence embedded once, for `remember`; a frozen encoder finds those of earlier days on disk.

        Many at once are encoded in bfloat16 where that pays; what is on disk of each precision is kept apart.
        """
        distinct = list(dict.fromkeys(sentences))
        known = {sentence: self._known[sentence] for sentence in distinct if sentence in self._known}
        short = self._in_half(distinct)
        cache = self._cache(short) if len(known) < len(distinct) else None
        if cache:
            stored = cache.get([sentence for sentence in distinct if sentence not in known])
            known |= {sentence: vector.to(next(self.module.parameters())) for sentence, vector in stored.items()}
        new = [sentence for sentence in distinct if sentence not in known]
        with half(self.device) if short else nullcontext():
            vectors = self.embed(new, progress=progress)
        fresh = dict(zip(new, vectors.float() if short else vectors, strict=True))
        if cache and fresh:
            cache.put(fresh)
        return known | fresh

    @contextmanager
    def remember(self, memory: Memory) -> Iterator[None]:
        """Inside, `embed` looks sentences up here before it computes. The encoder must not change meanwhile."""
        before, self._known = self._known, memory
        try:
            yield
        finally:
            self._known = before

    def tokenize(self, sentence: str) -> list[int]:
        """The sentence's token ids, cut to `max_length`; each sentence is tokenized once."""
        if sentence not in self._tokens:
            if len(self._tokens) > 200_000:
                self._tokens.clear()
            ids = self.tokenizer(self.prompt + sentence, truncation=True, max_length=self.max_length)["input_ids"]
            self._tokens[sentence] = ids
        return self._tokens[sentence]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.module.parameters()).device

    def _in_half(self, sentences: Sequence[str]) -> bool:
        """Whether so many sentences are encoded in bfloat16; looked into once, on some of middling length.

        A frozen encoder's alone: what `lowered` keeps of another's frozen layers serves gradients too.
        """
        if len(sentences) < MANY or self._known or any(p.requires_grad or p.dtype != torch.float32 for p in self.parameters()):
            return False
        if self._half_pays is None:
            middle = sorted(sentences[:MANY], key=len)[MANY // 2 :][:CHUNK]
            self._half_pays = half_pays(lambda: self(middle), self.device)
        return self._half_pays

    def _cache(self, short: bool) -> Cache | None:
        """The embeddings on disk; None while the encoder can still change, since each change would fill the disk anew.

        None for double precision too, which the single precision on disk would round.
        """
        file = cache_file()
        if file is None or any(p.requires_grad or p.dtype == torch.float64 for p in self.parameters()):
            return None
        return Cache(fingerprint(self, self.pooling, self.normalize, self.max_length, self.prompt, *["bf16"] * short), file)

    def _padded(self, rows: Sequence[list[int]]) -> Mapping[str, torch.Tensor]:
        side = "right"
        return self.tokenizer.pad({"input_ids": list(rows)}, padding=True, padding_side=side, return_tensors="pt").to(self.device)

    def _pooled(self, module: nn.Module, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        hidden = module(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        if self.pooling == "cls":
            vector = hidden[:, 0]
        elif self.pooling == "max":
            vector = hidden.masked_fill(mask == 0, -torch.inf).amax(dim=1)
        elif self.pooling == "last":
            last = tokens["attention_mask"].sum(dim=1) - 1
            vector = hidden[torch.arange(len(hidden), device=hidden.device), last]
        else:
            count = mask.sum(dim=1).clamp(min=1)
            vector = (hidden * mask).sum(dim=1) / (count.sqrt() if self.pooling == "mean_sqrt_len" else count)
        vector = self.dense(vector)
        return F.normalize(vector, dim=-1) if self.normalize else vector


def _stacked(rows: Sequence[Any]) -> Mapping[str, torch.Tensor]:
    states = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=states.device)
    return {
        "inputs_embeds": states,
        "attention_mask": (torch.arange(states.shape[1], device=states.device) < lengths[:, None]).long(),
    }


def _dimension(module: nn.Module, dense: Sequence[nn.Module]) -> int:
    linear = [layer for part in dense for layer in part.modules() if isinstance(layer, nn.Linear)]
    if linear:
        return linear[-1].out_features
    config = getattr(module, "config", None)
    size = getattr(config, "hidden_size", None) or getattr(config, "d_model", None)
    if not size:
        raise QuickstudyError(f"{type(module).__name__} does not say its hidden size, so it cannot serve as a sentence encoder")
    return int(size)
