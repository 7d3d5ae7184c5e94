"""`LanguageModel`: a causal language model with its tokenizer, from blocks of tokens to logits of what comes next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from quickstudy.models.frozen_layers import FrozenLayers, Lowered, agree, padded, unmasked

Blocks = Sequence[torch.Tensor]
"""Token ids, `(tokens,)` each."""
CHUNK = 8
"""Blocks that go through the frozen layers in one call."""


class LanguageModel(nn.Module):
    """Blocks of tokens to logits `(positions, words)`: of all their positions, one block after the other, without padding.

    A block `t_0 .. t_n-1` with targets `t_1 .. t_n` is judged by cross entropy in nats a token; nothing is shifted here. The
    layers below the lowest one that moves or learns are computed once a block.

    Args:
        module: a Hugging Face causal language model, as it is.
        tokenizer: its tokenizer.
        spec: what `models.load` needs to make this model again.
        base: what transformers opens it by: a folder, or a hub id.
    """

    reads: Literal["text"] = "text"
    _head_alone: bool | None = None

    def __init__(self, module: nn.Module, tokenizer: Any, *, spec: dict[str, Any] | None = None, base: str = ""):
        super().__init__()
        self.module, self.tokenizer, self.spec, self.base = module, tokenizer, spec or {}, base
        self._frozen: FrozenLayers | None = FrozenLayers(module.base_model, causal=True)  # type: ignore[arg-type]

    def forward(self, blocks: Blocks | torch.Tensor | Lowered, wanted: Blocks | None = None) -> torch.Tensor:
        """Logits of single precision at least; with a graph where something is trainable.

        Args:
            blocks: token ids, or what `lowered` gave; ids as one tensor `(blocks, tokens)` give `(blocks, tokens, words)`.
            wanted: of each block, which positions to give logits for, `(tokens,)` of truth values; None: all.
        """
        if isinstance(blocks, torch.Tensor):
            return _single(self.module(input_ids=blocks, use_cache=False).logits)
        if isinstance(blocks, Lowered):
            called, tokens = blocks.layers.upper(self._body, blocks.depth), padded(blocks.rows)
        else:
            called, tokens = self._body, padded(blocks, "input_ids")
        real = tokens["attention_mask"].bool()
        if wanted is not None:
            real = real.clone()
            real[real.clone()] = torch.cat(list(wanted)).to(real.device)
        if isinstance(blocks, Lowered) or self._is_head_alone(blocks):
            return _single(self._head(called(**unmasked(tokens), use_cache=False).last_hidden_state[real]))
        return _single(self.module(**unmasked(tokens), use_cache=False).logits[real])

    def lowered(self, inputs: Any, moving: Collection[str]) -> Any:
        """Blocks that have been through the frozen layers, for `forward`; other inputs, and where no layer is, as they are."""
        if isinstance(inputs, Mapping) and "blocks" in inputs:
            return {**inputs, "blocks": self.lowered(inputs["blocks"], moving)}
        if self._frozen is None or not isinstance(inputs, list) or not inputs or not self._is_head_alone(inputs):
            return inputs
        prefix = f"module.{self.module.base_model_prefix}."
        depth = self._frozen.depth({name.removeprefix(prefix) for name in moving})
        if not depth:
            return inputs
        keys = list(map(key_of, inputs))
        by_key: dict[Any, torch.Tensor] = dict(zip(keys, inputs, strict=True))
        lowered = self._frozen.passed(
            keys,
            depth,
            CHUNK,
            tokens=lambda some: padded([by_key[key] for key in some], "input_ids"),
            same=lambda some, short: self._same([by_key[key] for key in some], short),
        )
        if lowered is None:
            self._frozen = None
        return lowered or inputs

    @torch.no_grad()
    def continued(self, prompt: str, *, tokens: int, temperature: float = 0.7, seed: int = 0) -> str:
        """What the model writes after a prompt.

        Args:
            tokens: to write, at most.
            temperature: how bold the choice of words is; 0 takes the likeliest each time.
            seed: of the choice; the global random state stays as it was.
        """
        ids = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"].to(self.module.device)
        choice = {"do_sample": True, "temperature": temperature, "top_p": 0.95} if temperature else {"do_sample": False}
        with torch.random.fork_rng(devices=[ids.device] if ids.is_cuda else []):
            torch.manual_seed(seed)
            written = self.module.generate(  # type: ignore[operator]
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
                **choice,
            )
        return self.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)

    @property
    def _body(self) -> nn.Module:
        return self.module.base_model  # type: ignore[return-value]

    @property
    def _head(self) -> nn.Module:
        return self.module.get_output_embeddings()  # type: ignore[operator]

    @torch.no_grad()
    def _is_head_alone(self, blocks: Blocks) -> bool:
        """Whether logits are what the head makes of the last states, without a scale or a cap; looked into once."""
        if self._head_alone is None:
            ids = blocks[0][:8].unsqueeze(0)
            long = self.module(input_ids=ids, use_cache=False).logits
            short = self._head(self._body(input_ids=ids, use_cache=False).last_hidden_state)
            self._head_alone = agree(short, long, self.module)
        return self._head_alone

    @torch.no_grad()
    def _same(self, blocks: Blocks, lowered: Lowered) -> bool:
        """Whether the short way gives what the long way gives; seen on the first block."""
        return agree(self(replace(lowered, rows=lowered.rows[:1])), self(blocks[:1]), self.module)


def is_causal(*architectures: str) -> bool:
    """Whether one of these classes of transformers is a causal language model."""
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures)


def key_of(block: torch.Tensor) -> bytes:
    """What something computed of a block is kept under."""
    return block.cpu().numpy().tobytes()


def _single(logits: torch.Tensor) -> torch.Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
