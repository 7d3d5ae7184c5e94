"""`HiddenStates`: what the frozen base of a language model makes of blocks of tokens, each read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.adapters import is_adapter, without_adapters
from quickstudy.models.device import device_of
from quickstudy.models.kept import Kept
from quickstudy.models.language_model import Blocks, LanguageModel, key_of

Keep = Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor]
"""`(states, block)` to what is kept; the states are those before the first layer and after each one, `(tokens, dim)`."""


class HiddenStates:
    """A language model's base as a reader: without its adapters, without a graph, as in evaluation whatever its mode.

    What it reads is a constant while adapters learn and move, so each block is read once. It is read alone: what is made of
    a block does not depend on its company.

    Args:
        model: a language model in which nothing learns beside adapters.
        keep: of the states of a block, which have single precision at least.
        room: bytes that are kept; what came first goes first.

    Raises:
        QuickstudyError: any other model.
    """

    def __init__(self, model: nn.Module, keep: Keep, room: int = 2**28):
        if not isinstance(model, LanguageModel):
            raise QuickstudyError(
                f"hidden states are read from a language model, and this is a {type(model).__name__}; "
                "give what models.load makes of a causal language model"
            )
        self.model, self.keep, self.kept = model, keep, Kept(room)
        self._now()

    @property
    def dim(self) -> int:
        """Of a state."""
        config: Any = self.model.module.config
        return int(config.get_text_config().hidden_size)

    def __call__(self, blocks: Blocks) -> list[torch.Tensor]:
        """What is kept of each block."""
        kept = self.kept.under(self._now())
        keys = list(map(key_of, blocks))
        found = {key: kept[key] for key in keys if key in kept}
        if new := {key: block for key, block in zip(keys, blocks, strict=True) if key not in found}:
            base = without_adapters(self.model.module.base_model).eval()  # type: ignore[arg-type]
            fresh = {key: self._read(base, block) for key, block in new.items()}
            found |= fresh
            self.kept.add(kept, fresh)
        return [found[key] for key in keys]

    @torch.no_grad()
    def _read(self, base: nn.Module, block: torch.Tensor) -> torch.Tensor:
        block = block.to(device_of(self.model))
        output = base(input_ids=block[None], use_cache=False, output_hidden_states=True)
        states = [each[0].to(torch.promote_types(each.dtype, torch.float32)) for each in output.hidden_states]
        return self.keep(states, block)

    def _now(self) -> tuple[Any, ...]:
        """Which values the base has, to see where they change."""
        own = {name: p for name, p in self.model.named_parameters() if not is_adapter(name)}
        if learns := [name for name, p in own.items() if p.requires_grad]:
            raise QuickstudyError(
                f"the base that reads the texts has to stay as it is, and here it learns (`{learns[0]}` requires a gradient, one "
                f"of {len(learns)}); freeze it and learn adapters: models.load(name, lora={{'r': 8, 'layers': 4}})"
            )
        return tuple((p.data_ptr(), p._version) for p in own.values())


def blocks_of(inputs: Any) -> Blocks:
    """The blocks of tokens among the inputs of a language model.

    Raises:
        QuickstudyError: there are none.
    """
    blocks = inputs.get("blocks") if isinstance(inputs, Mapping) else inputs
    if isinstance(blocks, torch.Tensor) and blocks.ndim == 2:
        blocks = list(blocks)
    if not isinstance(blocks, list) or not all(isinstance(block, torch.Tensor) and block.ndim == 1 for block in blocks):
        raise QuickstudyError(
            f"a language model reads a list of blocks of token ids, one tensor (tokens,) each, and these inputs are of another "
            f"kind ({type(inputs).__name__}); TextDomains makes blocks of documents"
        )
    if not blocks:
        raise QuickstudyError("a support without a block of tokens: there is nothing to learn from")
    return blocks
