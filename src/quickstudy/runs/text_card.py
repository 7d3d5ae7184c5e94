"""The model card of an adapter that learned a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from quickstudy import __version__


class Learned(Protocol):
    """What a text taught."""

    documents: int
    tokens: int
    steps: int

    def sentences(self) -> list[str]:
        """How much that changed, in words, a line each."""
        ...


def text_card(learned: Learned, model: str, learner: Any, folder: Path) -> str:
    """What was learned, from how much, with what outcome, and how to use it: Markdown with the front matter of a model card."""
    network = learner.model
    numbers = "\n\n".join(learned.sentences())
    what = f"{learned.documents} document{'s' * (learned.documents != 1)} ({learned.tokens:,} tokens)"
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

A LoRA adapter for `{model}`, learned from {what} in {learned.steps} steps of Adam.
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
