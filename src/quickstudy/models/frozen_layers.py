"""The layers of a Transformer below the lowest one that moves or learns: the same for every step of every task."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from quickstudy.models.kept import Kept
from quickstudy.models.shell import shell

Key = Hashable
ARCHITECTURES = {
    "BertModel": ("encoder.layer", "embeddings", None),
    "RobertaModel": ("encoder.layer", "embeddings", None),
    "XLMRobertaModel": ("encoder.layer", "embeddings", None),
    "DistilBertModel": ("transformer.layer", "embeddings", None),
    "ModernBertModel": ("layers", "embeddings", "final_norm"),
    "LlamaModel": ("layers", None, "norm"),
    "MistralModel": ("layers", None, "norm"),
    "Qwen2Model": ("layers", None, "norm"),
    "Qwen3Model": ("layers", None, "norm"),
}
"""Where a Transformer has its layers, what makes their first input of `inputs_embeds`, what follows the last (None: nothing)."""
TOLERANCE, ROUNDINGS = 1e-5, 8
"""How far two ways of computing the same may lie apart, relative to the largest number: so far, or so many roundings."""


@dataclass(frozen=True)
class Lowered:
    """Inputs that have been through the first `depth` layers: one `(tokens, dim)` for each."""

    rows: Sequence[torch.Tensor]
    depth: int
    layers: FrozenLayers

    def __len__(self) -> int:
        return len(self.rows)


class FrozenLayers:
    """Which layers of a Transformer are frozen, and what they give, kept by input.

    Args:
        module: a Hugging Face model. One that is not among `ARCHITECTURES` has no frozen layers.
        room: bytes that are kept; what came first goes first.
        causal: whether a token sees those before it alone, so that padding on the right needs no mask.
    """

    def __init__(self, module: nn.Module, room: int = 2**28, *, causal: bool = False):
        self.module, self.causal, self.kept = module, causal, Kept(room)
        self.path, self.embeddings, self.norm = ARCHITECTURES.get(type(module).__name__, ("", None, None))

    def depth(self, moving: Collection[str]) -> int:
        """How many of the first layers hold nothing that requires a gradient or is in `moving` (by the module's names)."""
        if not self.path or self.module.training:
            return 0
        places = [self._place(name) for name, p in self.module.named_parameters() if p.requires_grad or name in moving]
        return max(0, min(places, default=0))

    def passed(
        self,
        keys: Sequence[Key],
        depth: int,
        size: int,
        *,
        tokens: Callable[[Sequence[Key]], Mapping[str, torch.Tensor]],
        same: Callable[[Sequence[Key], Lowered], bool],
        length: Callable[[Any], int] = lambda key: 0,
    ) -> Lowered | None:
        """What the first `depth` layers give of each input, computed once; None where the short way gives something else.

        Args:
            keys: the inputs, by what they are kept under.
            size: inputs in one call.
            tokens: the padded tokens of some.
            same: whether the other layers make of these what the whole model makes of them; asked before anything is kept.
            length: by which new inputs go through, the shortest first.
        """
        known = self.recall(depth)
        found = {key: known[key] for key in keys if key in known}
        new = sorted((key for key in dict.fromkeys(keys) if key not in found), key=length)
        for at in range(0, len(new), size):
            part = new[at : at + size]
            rows = self.lower(tokens(part), depth)
            if not known and not same(part, Lowered(rows, depth, self)):
                return None
            fresh = dict(zip(part, rows, strict=True))
            found |= fresh
            self.kept.add(known, fresh)
        return Lowered([found[key] for key in keys], depth, self)

    def recall(self, depth: int) -> dict[Key, torch.Tensor]:
        """What is kept of the first `depth` layers; empty where one of their parameters has changed since."""
        below = [p for name, p in self.module.named_parameters() if self._place(name) < depth]
        return self.kept.under((depth, *((p.data_ptr(), p._version) for p in below)))

    def __deepcopy__(self, memo: dict) -> FrozenLayers:
        return FrozenLayers(copy.deepcopy(self.module, memo), self.kept.room, causal=self.causal)

    @torch.no_grad()
    def lower(self, tokens: Mapping[str, torch.Tensor], depth: int) -> list[torch.Tensor]:
        """The states after the first `depth` layers, `(tokens, dim)` for each sentence, without padding."""
        stack: Any = self.module.get_submodule(self.path)
        below = self._skipping(self.module, range(depth, len(stack)))
        if self.norm:
            below.set_submodule(self.norm, nn.Identity())
        states = below(**(unmasked(tokens) if self.causal else tokens)).last_hidden_state
        return [row[: int(mask.sum())].clone() for row, mask in zip(states, tokens["attention_mask"], strict=True)]

    def upper(self, module: nn.Module, depth: int) -> nn.Module:
        """The other layers of `module` (this one, at whatever values its parameters have now), called with `inputs_embeds`."""
        above = self._skipping(module, range(depth))
        if self.embeddings:
            above.set_submodule(self.embeddings, _Passed())
        return above

    def _skipping(self, module: nn.Module, layers: Collection[int]) -> nn.Module:
        around = shell(module)
        stack: Any = around.get_submodule(self.path)
        for at in layers:
            stack[at] = _Skipped(stack[at])
        return around

    def _place(self, name: str) -> int:
        """The layer that a parameter belongs to; -1 for what makes the first layer's input."""
        if name.startswith(f"{self.path}."):
            return int(name[len(self.path) + 1 :].partition(".")[0])
        return -1 if "embed" in name else sys.maxsize


def agree(short: torch.Tensor, long: torch.Tensor, model: nn.Module) -> bool:
    """Whether two ways of computing the same differ in rounding alone, which is coarse in half precision and in TF32."""
    dtype = next(model.parameters()).dtype
    tf32 = dtype == torch.float32 and long.is_cuda and torch.backends.cuda.matmul.allow_tf32
    tolerance = max(TOLERANCE, ROUNDINGS * (2**-10 if tf32 else torch.finfo(dtype).eps))
    return bool((short - long).abs().max() <= tolerance * long.abs().max())


def unmasked(tokens: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without the mask: in double precision, rows of nothing but masked places make a sliding window's attention not a number."""
    return {name: value for name, value in tokens.items() if name != "attention_mask"}


def padded(rows: Sequence[torch.Tensor], name: str = "inputs_embeds") -> dict[str, torch.Tensor]:
    """Rows of several lengths as a Transformer takes them under this name: states for the other layers, or token ids."""
    whole = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=whole.device)
    mask = (torch.arange(whole.shape[1], device=whole.device) < lengths[:, None]).long()
    return {name: whole, "attention_mask": mask}


class _Skipped(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        # what the model around it reads of a layer before it calls it (its kind of attention)
        self.__dict__.update({name: value for name, value in vars(layer).items() if not name.startswith("_")})

    def forward(self, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return states


class _Passed(nn.Module):
    def forward(self, *args: Any, inputs_embeds: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
        if inputs_embeds is not None:
            return inputs_embeds
        return next(each for each in args if isinstance(each, torch.Tensor) and each.is_floating_point())
