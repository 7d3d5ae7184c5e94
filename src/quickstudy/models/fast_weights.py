"""`FastWeightPolicy`: one whose memory is associations, written and asked for as it acts."""

from __future__ import annotations

import torch
from torch import nn

from quickstudy.models.policy import Policy

HEADS, KEYS = 8, 16
"""Memories side by side, and places in each."""

SHARPNESS = 4.0
"""What is multiplied before the softmax of a key: a flat one would write everywhere alike, and there is little to learn from."""

NOTHING = 0.1
"""What is added to how often a place was written, so that one that never was gives 0."""


class FastWeightPolicy(Policy):
    """A memory of places: each step writes a value at a key, and reads the mean of what was written at a query, and how much.

    Linear attention over the trial so far (Katharopoulos et al. 2020, equations 9 to 12), or fast weights (Schlag et al. 2021):
    W_t = W_{t-1} + k_t v_t^T, with keys and queries that are distributions over places. A table of what was seen, by state and
    action, takes a GRU long to learn, and is what this is made of. Each step knows what the one before it read as well, since
    what came of an action stands in the input that follows.
    """

    remembers = True

    def made(self, inputs: int) -> nn.Module:
        """As of `Policy`."""
        width, memory = self.width, HEADS * KEYS
        return nn.ModuleDict(
            {
                "embed": nn.Linear(2 * inputs, width),
                "query": nn.Linear(width, memory),
                "key": nn.Linear(width, memory),
                "value": nn.Linear(width, memory),
                "out": nn.Sequential(nn.Linear(width + memory + HEADS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
            }
        )

    def begin(self, trials: int) -> torch.Tensor:
        """As of `Policy`: what was read last, and W with the counts, in one row for each trial."""
        return self.critic.weight.new_zeros(1, trials, self.inputs + HEADS * KEYS * (KEYS + 1))

    def states(self, read: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As of `Policy`; a whole trial at once, or a step."""
        last, written = memory.split([self.inputs, memory.shape[-1] - self.inputs], dim=-1)
        written = written[0].unflatten(1, (HEADS, KEYS, KEYS + 1))
        embedded = self.body["embed"](torch.cat([read, torch.cat([last, read[:-1]])], dim=-1)).tanh()  # type: ignore[index]
        query, key, value = (self._by_head(name, embedded) for name in ("query", "key", "value"))
        query, key = ((SHARPNESS * each).softmax(-1) for each in (query, key))
        value = torch.cat([value, torch.ones_like(value[..., :1])], dim=-1)  # which counts what is written
        found = (query @ key.mT).tril() @ value + query @ written
        mean, count = found[..., :-1] / (found[..., -1:] + NOTHING), found[..., -1:]
        known = torch.cat([mean, count], dim=-1).permute(2, 0, 1, 3).flatten(2)
        written = written + key.mT @ value
        memory = torch.cat([read[-1], written.flatten(1)], dim=-1)[None]
        return self.body["out"](torch.cat([embedded, known], dim=-1)), memory  # type: ignore[index]

    def _by_head(self, name: str, embedded: torch.Tensor) -> torch.Tensor:
        """`(trials, heads, steps, places)`."""
        made: torch.Tensor = self.body[name](embedded)  # type: ignore[index]
        return made.unflatten(-1, (HEADS, KEYS)).permute(1, 2, 0, 3)
