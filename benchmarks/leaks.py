"""Measures the leak check on real sentences: planted copies found, false alarms on clean splits, processor seconds.

    python benchmarks/leaks.py [--seeds 10] [--bands 40 --rows 3]

Prints one JSON line. A split is 500 + 500 sentences of two halves of the intents of a set. It is made clean without the
leak check: of all 250,000 pairs across it, counted in full, none shares 60% of its words (Jaccard similarity, which one
word changed in four leaves); sentences that do are replaced by further draws. `as_drawn` are the splits before that.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from quickstudy.tasks import leaks as leak_check
from quickstudy.tasks.leaks import leaks, words
from quickstudy.tasks.named import named

SETS = ("clinc150", "banking77")
HALF, PLANTS = 500, 100


def main() -> None:
    """Runs all of it and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--bands", type=int, default=leak_check.BANDS)
    parser.add_argument("--rows", type=int, default=leak_check.ROWS)
    given = parser.parse_args()
    leak_check.BANDS, leak_check.ROWS = given.bands, given.rows
    print(json.dumps({name: measure(name, range(given.seeds)) for name in SETS} | {"speed": speed()}))


def measure(name: str, seeds: range) -> dict:
    """Recall by kind of planted copy, and alarms a split, over all seeds."""
    found: dict[str, list[bool]] = {}
    alarms: dict[str, list[int]] = {"clean": [], "as_drawn": []}
    for seed in seeds:
        draw = random.Random(seed)
        halves = named(name).divide(fractions={"one": 0.5, "two": 0.5}, seed=seed)
        one, spare = (draw.sample(half.texts, len(half)) for half in halves.values())
        one = one[:HALF]
        alarms["as_drawn"].append(len(leaks({"one": one, "two": spare[:HALF]})))
        two = clean(one, spare)[:HALF]
        alarms["clean"].append(len(leaks({"one": one, "two": two})))
        vocabulary = sorted({word for sentence in one + two for word in sentence.split()})
        for kind in ("exact", "replaced", "dropped", "inserted"):
            chosen = draw.sample(range(HALF), PLANTS)
            planted = [plant(one[row], kind, vocabulary, draw) for row in chosen]
            reported = {(leak.index, leak.other_index) for leak in leaks({"one": one, "two": two + planted})}
            hits = [(HALF + place, row) in reported for place, row in enumerate(chosen)]
            long = [len(words(one[row])) >= leak_check.SHORTEST for row in chosen]
            found.setdefault(kind, []).extend(hits)
            found.setdefault(f"{kind}, of 4 words or more", []).extend(
                hit for hit, is_long in zip(hits, long, strict=True) if is_long
            )
    changed = [hit for kind in ("replaced", "dropped", "inserted") for hit in found[kind]]
    return {
        "recall": {kind: round(float(np.mean(hits)), 4) for kind, hits in found.items()},
        "recall, one word changed": round(float(np.mean(changed)), 4),
        "plants of each kind": PLANTS * len(seeds),
        "alarms a split": alarms,
    }


def clean(one: list[str], two: list[str]) -> list[str]:
    """Those of `two` that share less than 60% of their words with each of `one`, by counting every pair."""
    bare = CountVectorizer(binary=True, preprocessor=lambda text: re.sub(r"[^\w\s]", "", text.lower()), token_pattern=r"\S+")
    counter = bare.fit(one + two)
    a, b = counter.transform(two).astype(np.int32), counter.transform(one).astype(np.int32)
    shared = (a @ b.T).toarray()
    jaccard = shared / np.maximum(1, a.sum(1) + b.sum(1).T - shared)
    return [sentence for sentence, highest in zip(two, np.asarray(jaccard.max(1)).ravel(), strict=True) if highest < 0.6]


def plant(sentence: str, kind: str, vocabulary: list[str], draw: random.Random) -> str:
    """A copy: with other case and a full stop more, or with one word replaced, dropped or inserted anywhere."""
    if kind == "exact":
        return sentence.upper() + " ."
    copied = sentence.split()
    place = draw.randrange(len(copied))
    if kind == "replaced":
        copied[place] = draw.choice([word for word in vocabulary if word.casefold() != copied[place].casefold()])
    elif kind == "dropped":
        del copied[place]
    else:
        copied.insert(place, draw.choice(vocabulary))
    return " ".join(copied)


def speed() -> dict:
    """Processor seconds for 20,000 sentences in two parts of different classes."""
    halves = named("clinc150").divide(fractions={"one": 0.5, "two": 0.5}, seed=0)
    parts = {part: random.Random(0).sample(half.texts, 10_000) for part, half in halves.items()}
    start = time.process_time()
    found = leaks(parts)
    return {"sentences": 20_000, "cpu_seconds": round(time.process_time() - start, 1), "reported": len(found)}


if __name__ == "__main__":
    main()
