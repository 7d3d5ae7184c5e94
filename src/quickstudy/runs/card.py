"""The model card of an artefact."""

from __future__ import annotations

import math
from pathlib import Path

from quickstudy import __version__
from quickstudy.evaluation.held_out import Estimate
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.models.image_loading import seen_before
from quickstudy.tasks.table import Table


def card(table: Table, adapted: Adapted, learner: Learner, model: str, estimate: Estimate, folder: Path) -> str:
    """What was learned, from what, how well, and how to use it: Markdown with the front matter of a model card."""
    accuracy = f"\n  accuracy: {estimate.accuracy:.4f}" if estimate.accuracy is not None else ""
    reads, words = table.reads, table.reads == "sentence"
    kind, one, asked = ("A text", "A sentence", "a sentence") if words else ("An image", "An image", "photo.jpg")
    shown = f'"{asked}"' if words else asked
    kept = (
        "The folder keeps those sentences: treat it as you treat them." if words else "The folder keeps where those images are."
    )
    seen = "".join(f" {said}" for said in [seen_before(model)] if said)
    how = next(iter(adapted.candidates), type(learner).__name__)
    compared = "".join(
        f"\n| {name} | {'' if share is None else format(100 * share, '.1f')} |" for name, share in adapted.candidates.items()
    )
    chosen = f"\n\nChosen among these (accuracy on held-out {reads}s):\n\n| candidate | percent |\n| --- | --- |{compared}"
    chosen = chosen if len(adapted.candidates) > 1 else ""
    fits_none = (
        f"{one} that is like none of them is answered with none of the labels."
        if adapted.examples is not None and math.isfinite(adapted.examples.none_below)
        else "It always answers with one of its labels."
    )
    rows = "\n".join(f"| {label} | {table.counts[label]} |" for label in table.classes)
    return f"""---
library_name: quickstudy
pipeline_tag: {"text" if words else "image"}-classification
quickstudy:
  version: {__version__}
  learner: {type(learner).__name__}
  model: {model}{accuracy}
---

# {folder.name}

{kind} classifier for {len(table.classes)} labels, learned from {len(table)} {reads}s by {how} on `{model}`.
{kept}{seen}

## How good it is

{estimate.sentence(reads)}
{reads.capitalize()}s of another kind than those it learned from can be harder. {fits_none}{chosen}

## What it was trained on

| label | {reads}s |
| --- | --- |
{rows}

## How to use it

```
quickstudy predict {folder} {shown}
```

```python
import quickstudy

classifier = quickstudy.load("{folder}")
classifier.predict(["{asked}"])
classifier.predict_proba(["{asked}"])
```
"""
