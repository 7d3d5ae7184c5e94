"""Whether documents that a language model is judged on were among those that it learned from."""

from __future__ import annotations

from typing import Any

from quickstudy.evaluation.leakage import counted
from quickstudy.tasks.text_domains import TextDomains, shared_documents


def copied(learned_from: TextDomains, judged_on: TextDomains) -> dict[str, Any]:
    """Counts documents that are exact and near copies; `examples` holds a few pairs (judged, learned from), exact ones first."""
    texts = [[document.text for document in of.documents] for of in (learned_from, judged_on)]
    return {"documents": len(texts[1]), **counted(shared_documents(learned_from, judged_on), *texts)}


def copied_sentence(found: dict[str, Any] | None, why: str = "") -> str:
    """The outcome in words.

    Args:
        found: what `copied` gave; None where it was not asked.
        why: it was not.
    """
    if found is None:
        return f"Leak check: {why}."
    documents = f"{found['documents']:,} documents"
    if not found["exact"] and not found["near"]:
        return f"Leak check: none of the {documents} here is a copy, or nearly one, of those it learned from."
    copies = f"{found['exact']:,} are exact copies of documents it learned from, and {found['near']:,} differ in a few words"
    return f"Leak check: of the {documents} here, {copies}; its scores are flattered."
