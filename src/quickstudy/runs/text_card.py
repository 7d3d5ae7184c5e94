"""The model card of an adapter that learned a text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quickstudy import __version__
from quickstudy.wording import counted


@dataclass(frozen=True)
class Learned:
    """What a text taught, in numbers: nats a token before and after.

    Args:
        documents, tokens: what was learned from.
        steps: those whose state is kept.
        seconds: that learning took.
        held_out: on held-out documents, with how many and the paired 95% interval of the difference; None: there are none.
        kept: on other text.
        other: what that text is called.
    """

    documents: int
    tokens: int
    steps: int
    seconds: float
    held_out: tuple[float, float, int, list[float] | None] | None
    kept: tuple[float, float]
    other: str

    def sentences(self) -> list[str]:
        """In words, a line each."""
        lines = []
        if self.held_out:
            before, after, count, interval = self.held_out
            between = f", 95% interval {interval[0]:+.3f} to {interval[1]:+.3f} over documents" if interval else ""
            change = f"{before:.3f} -> {after:.3f} nats a token ({after - before:+.3f}{between})"
            perplexity = f"perplexity {math.exp(before):.1f} -> {math.exp(after):.1f}"
            lines.append(f"On {counted(count, 'held-out document')}: {change}; {perplexity}.")
        before, after = self.kept
        lines.append(f"On other text ({self.other}): {before:.3f} -> {after:.3f} nats a token ({after - before:+.3f}).")
        return lines


def text_card(learned: Learned, model: str, learner: Any, folder: Path) -> str:
    """What was learned, from how much, with what outcome, and how to use it: Markdown with the front matter of a model card."""
    network = learner.model
    numbers = "\n\n".join(learned.sentences())
    what = f"{counted(learned.documents, 'document')} ({learned.tokens:,} tokens)"
    return f"""---
base_model: {network.base}
library_name: peft
pipeline_tag: text-generation
tags: [lora, quickstudy]
quickstudy:
  version: {__version__}
  model: {model}
  steps: {learned.steps}
---

# {folder.name}

A LoRA adapter that began with `{model}` and learned from {what} in {learned.steps} steps of Adam.
It can repeat what those documents say: treat it as you treat them.

## What it changed

{numbers}

## How to use it

```
quickstudy generate {folder} --prompt "..."
```

With transformers and PEFT alone:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained("{network.base}")
tokenizer = AutoTokenizer.from_pretrained("{network.base}")
model = PeftModel.from_pretrained(base, "{folder}")
```
"""
