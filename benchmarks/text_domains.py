"""How much the topics of a text domain differ, and how much of a query its support says already.

python benchmarks/text_domains.py [DOMAIN ...]     (default: the two medical sets)
"""

from __future__ import annotations

import json
import sys

from quickstudy.models.loading import tokenizer
from quickstudy.tasks.documents import documents
from quickstudy.tasks.named import data_folder
from quickstudy.tasks.text_domains import TextDomains
from quickstudy.tasks.text_overlap import diversity, overlap

SIZE = 8
"""Documents of a topic."""


def measured(name: str) -> dict[str, object]:
    folder = data_folder()
    assert folder is not None, "set QUICKSTUDY_DATA"
    domains = TextDomains(documents(folder / "domain_text" / f"{name}.jsonl.gz"), tokenizer("smollm2"), size=SIZE)
    found = diversity(domains.each(8, 8))
    return {
        "domain": name,
        "documents": len(domains.documents),
        "copies": domains.copies,
        "topics": len(domains),
        "tokens": domains.tokens,
        "overlap of 8-grams, 4 + 4 blocks": round(overlap(domains.each(4, 4), n=8), 4),
        "bits between topics, 8 + 8 blocks": round(found.between, 3),
        "bits within a topic": round(found.within, 3),
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or ["medical_pubmedqa", "medical_medquad"]:
        print(json.dumps(measured(name)), flush=True)
