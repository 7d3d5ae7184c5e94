"""Leak check: sentences of one part of the data that are copies, exact or nearly so, of sentences of another.

Candidates come from MinHash LSH (Broder 1997; Indyk and Motwani 1998) over the sentences' words. Words, not character
n-grams: a changed word then costs one element, however long it is. Every candidate is verified by its edit distance.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Literal, cast

SHORTEST = 4
"""Near copies have so many words at least: of three words, two shared are mere chance."""
BANDS, ROWS = 40, 3
"""LSH finds a pair of Jaccard similarity s with probability 1 - (1 - s^ROWS)^BANDS; four words, one changed: 0.9999."""


@dataclass(frozen=True)
class Leak:
    """A sentence of `part` that copies one of `other_part`, a part named earlier.

    Args:
        part, index: the sentence.
        other_part, other_index: what it copies.
        kind: "exact": the same but for case, punctuation and white space; "near": one word in ten differs at most, or
            one word of fewer than ten.
        similarity: 1 - (words changed, dropped or inserted) / (words of the longer).
    """

    part: str
    index: int
    other_part: str
    other_index: int
    kind: Literal["exact", "near"]
    similarity: float


def leaks(parts: Mapping[str, Sequence[str]], *, seed: int = 1) -> list[Leak]:
    """Finds exact and near copies across parts; copies within a part are none of its business.

    Every sentence that leaks is named at least once. Of a sentence that stands in a part repeatedly, the further
    copies are paired with the first one's counterpart only, so that the list stays short.

    Args:
        parts: part -> its sentences.
        seed: of the hash functions; it decides which of the rarest misses happen.

    Returns:
        Leaks in the order of part, index, other part and other index.
    """
    order = {part: place for place, part in enumerate(parts)}
    forms: dict[str, tuple[str, ...]] = {}
    places: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for part, sentences in parts.items():
        for index, sentence in enumerate(sentences):
            form = words(sentence)
            letters = "".join(form)  # "top-up", "top up" and "topup" are the same
            forms.setdefault(letters, form)
            places[letters].setdefault(part, []).append(index)
    homes = list(places.values())
    copies = [(a, a, 1.0) for a, home in enumerate(homes) if len(home) > 1]
    found = []
    for a, b, similarity in chain(copies, _near(list(forms.values()), [frozenset(home) for home in homes], seed)):
        for late, early in {(a, b), (b, a)}:
            for (part, rows), (other, others) in product(homes[late].items(), homes[early].items()):
                if order[part] > order[other]:
                    pairs = [(row, others[0]) for row in rows] + [(rows[0], row) for row in others[1:]]
                    kind = "exact" if a == b else "near"
                    found += [Leak(part, row, other, other_row, kind, similarity) for row, other_row in pairs]
    return sorted(found, key=lambda leak: (order[leak.part], leak.index, order[leak.other_part], leak.other_index))


def words(text: str) -> tuple[str, ...]:
    """What of a sentence is compared: what stands between its spaces, without case, punctuation and symbols.

    Where a script puts no spaces between words (Chinese, Japanese, Thai), each character. A text of nothing but
    symbols is one word.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_FOLD)
    return tuple(_UNSPACED.sub(r" \g<0> ", plain).split()) or (text.strip(),)


def _near(forms: list[tuple[str, ...]], homes: list[frozenset[str]], seed: int) -> Iterator[tuple[int, int, float]]:
    """Yields (form, form, similarity) of near copies that stand in different parts."""
    from datasketch import MinHash, MinHashLSH

    sets = [frozenset(numbered_words(form)) for form in forms]
    allowed = [allowed_changes(form) for form in forms]
    lsh = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    hashes = MinHash.generator(([w.encode() for w in s] for s in sets), num_perm=BANDS * ROWS, seed=seed)
    for a, minhash in enumerate(hashes):
        for b in cast(list[int], lsh.query(minhash)):
            longer = max(len(forms[a]), len(forms[b]))
            limit = max(allowed[a], allowed[b])
            # Distance is at least the number of words not shared, which is quickly counted.
            if longer - len(sets[a] & sets[b]) <= limit and (len(homes[a]) > 1 or homes[a] != homes[b]):
                distance = _distance(forms[a], forms[b], limit)
                if distance <= limit:
                    yield a, b, 1 - distance / longer
        lsh.insert(a, minhash)


def numbered_words(form: tuple[str, ...]) -> Iterator[str]:
    """Words made distinct by counting repeats, so that sets of them intersect as multisets do."""
    seen: Counter[str] = Counter()
    for word in form:
        seen[word] += 1
        yield f"{word} {seen[word]}"


def allowed_changes(form: tuple[str, ...]) -> int:
    """How many elements may differ from a sentence this long: one word in ten, or one; none in the shortest.

    A word of a script without spaces is taken to have two characters, as most in Chinese have.
    """
    unit = 2 if 2 * sum(map(bool, map(_UNSPACED.match, form))) > len(form) else 1
    count = len(form) // unit
    return unit * max(1, count // 10) if count >= SHORTEST else 0


def _distance(a: tuple[str, ...], b: tuple[str, ...], limit: int) -> int:
    """Levenshtein distance in words, or anything above `limit` where it is above."""
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, start=1):
        first, last = max(1, i - limit), min(len(b), i + limit)
        previous, row = row, [limit + 1] * (len(b) + 1)
        row[0] = i
        for j in range(first, last + 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (word != b[j - 1]))
    return row[-1]


class _Fold(dict[int, str]):
    """Character -> what stands for it in comparison: letters, their marks, digits and spaces stay, the rest goes."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = char if char.isspace() or unicodedata.category(char)[0] in "LMN" else ""
        return self[code]


_FOLD = _Fold()
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
