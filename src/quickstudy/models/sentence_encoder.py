"""Sentence encoders: a Hugging Face Transformer, its tokenizer and its pooling, as one module over strings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.encoder import Encoder
from quickstudy.models.frozen_layers import FrozenLayers, Lowered, agree, padded

Pooling = Literal["mean", "cls", "max", "mean_sqrt_len", "last"]


class SentenceEncoder(Encoder):
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
        super().__init__(module, _dimension(module, dense), normalize=normalize, spec=spec)
        self.tokenizer = tokenizer
        self.pooling, self.max_length, self.prompt = pooling, max_length, prompt
        self.dense = nn.Sequential(*dense)
        self._tokens: dict[str, list[int]] = {}
        self._frozen = FrozenLayers(module)

    def forward(
        self, sentences: Sequence[str] | Lowered | Mapping[str, torch.Tensor] = (), **tokens: torch.Tensor
    ) -> torch.Tensor:
        """Embeddings of sentences, of their tokens, or of what `lowered` gave; with a graph where something is trainable."""
        if tokens or isinstance(sentences, Mapping):
            return self.pooled(self.module, tokens or dict(sentences))  # type: ignore[arg-type]
        if not len(sentences):
            return torch.empty(0, self.dim, device=self.device)
        lengths = list(map(len, sentences.rows)) if isinstance(sentences, Lowered) else list(map(self.length, sentences))
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        parts = [
            self.pooled(*self.called(_taken(sentences, order[at : at + self.chunk]))) for at in range(0, len(order), self.chunk)
        ]
        place = torch.empty(len(order), dtype=torch.long, device=self.device)
        place[torch.tensor(order, device=self.device)] = torch.arange(len(order), device=self.device)
        return torch.cat(parts)[place]

    def lowered(self, inputs: Any, moving: Collection[str]) -> Any:
        """Sentences that have been through the frozen layers, for `forward`; other inputs, and where no layer is, as they are."""
        sentences = inputs
        if isinstance(sentences, (Mapping, torch.Tensor, Lowered)) or not len(sentences) or self._frozen is None:
            return sentences
        depth = self._frozen.depth({name.removeprefix("module.") for name in moving})
        if not depth:
            return sentences
        lowered = self._frozen.passed(
            sentences,
            depth,
            self.chunk,
            tokens=lambda part: self._padded([self.tokenize(str(sentence)) for sentence in part]),
            same=self._same,
            length=self.length,
        )
        if lowered is None:
            self._frozen = None
            return sentences
        return lowered

    @torch.no_grad()
    def _same(self, sentences: Sequence[Any], lowered: Lowered) -> bool:
        """Whether the short way gives what the long way gives."""
        long = self(sentences)
        return agree(self(lowered), long, self.module)

    def tokenize(self, sentence: str) -> list[int]:
        """The sentence's token ids, cut to `max_length`; each sentence is tokenized once."""
        if sentence not in self._tokens:
            if len(self._tokens) > 200_000:
                self._tokens.clear()
            ids = self.tokenizer(self.prompt + sentence, truncation=True, max_length=self.max_length)["input_ids"]
            self._tokens[sentence] = ids
        return self._tokens[sentence]

    def length(self, each: str) -> int:
        """The number of its tokens."""
        return len(self.tokenize(each))

    @property
    def settings(self) -> tuple[object, ...]:
        """Pooling, unit length, length read and prompt."""
        return (self.pooling, self.normalize, self.max_length, self.prompt)

    def _padded(self, rows: Sequence[list[int]]) -> Mapping[str, torch.Tensor]:
        side = "right"
        return self.tokenizer.pad({"input_ids": list(rows)}, padding=True, padding_side=side, return_tensors="pt").to(self.device)

    def called(self, sentences: Sequence[str] | Lowered) -> tuple[nn.Module, Mapping[str, torch.Tensor]]:
        """The Transformer that is called for these in one go, and with what."""
        if isinstance(sentences, Lowered):
            return sentences.layers.upper(self.module, sentences.depth), padded(sentences.rows)
        return self.module, self._padded([self.tokenize(sentence) for sentence in sentences])

    def pooled(self, module: nn.Module, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The embeddings that a Transformer's last hidden states become."""
        hidden = module(**tokens).last_hidden_state
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
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


def _taken(sentences: Sequence[str] | Lowered, places: Sequence[int]) -> Sequence[str] | Lowered:
    if isinstance(sentences, Lowered):
        return replace(sentences, rows=[sentences.rows[i] for i in places])
    return [sentences[i] for i in places]


def _dimension(module: nn.Module, dense: Sequence[nn.Module]) -> int:
    linear = [layer for part in dense for layer in part.modules() if isinstance(layer, nn.Linear)]
    if linear:
        return linear[-1].out_features
    config = getattr(module, "config", None)
    size = getattr(config, "hidden_size", None) or getattr(config, "d_model", None)
    if not size:
        raise QuickstudyError(f"{type(module).__name__} does not say its hidden size, so it cannot serve as a sentence encoder")
    return int(size)
