"""Whether the sentences that a run is judged on were among those it learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quickstudy.tasks.image_files import contents
from quickstudy.tasks.leaks import Leak, leaks

SHOWN = 2


def leakage(learned_from: Sequence[str], judged_on: Sequence[str], *, reads: str = "sentence") -> dict[str, Any]:
    """Counts exact and near copies; `examples` holds a few pairs (judged, learned from), exact ones first.

    Of images exact ones alone, by what the files hold.
    """
    found = leaks({"learned": learned_from, "judged": judged_on}) if reads == "sentence" else _copies(learned_from, judged_on)
    return {"sentences": len(judged_on), "reads": reads, **counted(found, learned_from, judged_on)}


def counted(found: Sequence[Leak], learned_from: Sequence[str], judged_on: Sequence[str]) -> dict[str, Any]:
    """How many of what is judged are exact and near copies, and a few pairs of (judged, learned from), exact ones first."""
    copies = {kind: {leak.index for leak in found if leak.kind == kind} for kind in ("exact", "near")}
    pairs = sorted(found, key=lambda leak: (leak.kind != "exact", -leak.similarity))
    return {
        "exact": len(copies["exact"]),
        "near": len(copies["near"] - copies["exact"]),
        "examples": [[judged_on[leak.index], learned_from[leak.other_index]] for leak in pairs[:SHOWN]],
    }


def leak_sentence(found: dict[str, Any]) -> str:
    """The outcome in words."""
    if found.get("reads") == "image":
        among = f"of the {found['sentences']:,} images here, {found['exact'] or 'none'}"
        shown = "".join(f"; {judged} / {learned}" for judged, learned in found["examples"])
        return f"Leak check: {among} are byte by byte copies of images it learned from{shown}."
    if not found["exact"] and not found["near"]:
        return f"Leak check: none of the {found['sentences']} sentences here is a copy, or nearly one, of those it learned from."
    shown = "; ".join(f"{judged!r} / {learned!r}" for judged, learned in found["examples"])
    return (
        f"Leak check: of the {found['sentences']} sentences here, {found['exact']} are exact copies of sentences it learned from "
        f"(under other labels), and {found['near']} differ in a word or so: {shown}."
    )


def _copies(learned_from: Sequence[str], judged_on: Sequence[str]) -> list[Leak]:
    known: dict[str, int] = {}
    for row, content in enumerate(contents(learned_from)):
        known.setdefault(content, row)
    judged = enumerate(contents(judged_on))
    return [Leak("judged", row, "learned", known[content], "exact", 1.0) for row, content in judged if content in known]
