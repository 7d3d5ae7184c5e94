"""`Prefix`: tokens that a language model reads once, whatever follows them."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from quickstudy.models.device import device_of, like
from quickstudy.models.language_model import Blocks, LanguageModel


class Prefix:
    """Tokens that the model reads once, whatever follows them.

    What follows attends to the keys and values that were kept of them, so that its logits, and their gradient, are those of
    the whole sequence. A model that keeps something else (a state, as recurrent ones do) reads the whole sequence each time.

    Args:
        model: a language model.
        tokens: `(tokens,)`, or none.
    """

    def __init__(self, model: LanguageModel, tokens: torch.Tensor):
        self.model, self.tokens = model, tokens.to(device_of(model))
        self._kept = self._read(_empty(model.module), self.tokens) if len(tokens) else None

    def then(self, tokens: torch.Tensor) -> Prefix:
        """Those tokens and then these, of which these alone are read now."""
        if not len(tokens):
            return self
        tokens = tokens.to(self.tokens.device)
        if self._kept is None:
            return Prefix(self.model, torch.cat([self.tokens, tokens]))
        longer = copy.copy(self)
        longer.tokens = torch.cat([self.tokens, tokens])
        longer._kept = self._read(_beside(self._kept, 1), tokens)
        return longer

    def __call__(self, blocks: Blocks, wanted: Blocks | None = None) -> torch.Tensor:
        """Logits `(positions, words)` at the positions of the blocks, in a row; each block follows the prefix alone.

        Args:
            blocks: token ids, `(tokens,)` each.
            wanted: of each block, which positions to give logits for, `(tokens,)` of truth values; None: all.
        """
        if not blocks:
            return like(self.model).new_zeros(0, self.model.module.config.vocab_size)  # type: ignore[union-attr]
        device = self.tokens.device
        blocks = [block.to(device) for block in blocks]
        places = [torch.ones_like(b, dtype=torch.bool) for b in blocks] if wanted is None else [w.to(device) for w in wanted]
        if self._kept is None:
            none = torch.zeros_like(self.tokens, dtype=torch.bool)
            return self.model(
                [torch.cat([self.tokens, block]) for block in blocks], [torch.cat([none, place]) for place in places]
            )
        asked = pad_sequence(places, batch_first=True)
        columns = asked.any(dim=0).nonzero().flatten()
        # the padding stands after all that is asked for, where a causal model does not see it
        logits = self._logits(_beside(self._kept, len(blocks)), pad_sequence(blocks, batch_first=True), columns)
        logits = logits[asked[:, columns]]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _read(self, cache: Any, tokens: torch.Tensor) -> Any:
        """The cache with these tokens in it too; None where there is no cache, or one that the model does not fill."""
        if cache is None:
            return None
        length = cache.get_seq_length() + len(tokens)
        self._logits(cache, tokens[None], 1)
        return cache if {layer.get_seq_length() for layer in cache.layers} == {length} else None

    def _logits(self, cache: Any, ids: torch.Tensor, columns: torch.Tensor | int) -> torch.Tensor:
        """Logits `(rows, columns, words)` of the columns alone; the cache grows."""
        module = self.model.module
        return module(input_ids=ids, use_cache=True, logits_to_keep=columns, **{_keyword(module): cache}).logits


def _keyword(module: nn.Module) -> str:
    """What the module calls its cache; transformers renamed it. Empty: it takes none, or not the columns that are wanted."""
    known = inspect.signature(module.forward).parameters
    return next((name for name in ("cache", "past_key_values") if name in known and "logits_to_keep" in known), "")


def _empty(module: nn.Module) -> Any:
    """An empty cache, where all that one holds for this module is keys and values that others are appended to; else None."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    if not _keyword(module):
        return None
    cache = DynamicCache(config=module.config)  # type: ignore[arg-type]
    return cache if all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers) else None


def _beside(cache: Any, rows: int) -> Any:
    """The same keys and values for so many sequences, in a cache that grows on its own; nothing is copied."""
    grown = copy.copy(cache)
    grown.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in grown.layers:
        layer.keys, layer.values = (kept.expand(rows, *kept.shape[1:]) for kept in (layer.keys, layer.values))
    return grown
