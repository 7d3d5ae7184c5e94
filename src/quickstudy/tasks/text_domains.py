"""`TextDomains`: tasks of plain text for language models; a task is a topic, a domain or a long document."""

from __future__ import annotations

import copy
import difflib
import zlib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, zip_longest
from typing import Literal, get_args

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.blocks import LEAST, as_batch, cut, halves
from quickstudy.tasks.documents import Document, DocumentSource, Domain, Tokenizer
from quickstudy.tasks.documents import documents as read
from quickstudy.tasks.leaks import Leak, leaks
from quickstudy.tasks.table import SPLIT_NAMES
from quickstudy.tasks.task import Task
from quickstudy.tasks.topics import topics

By = Literal["topic", "domain", "document"]


@dataclass(frozen=True, eq=False)
class Group:
    """What a task is drawn from.

    Args:
        domain: its name.
        documents: those of a topic, of the whole domain, or one.
        blocks: the blocks of tokens of each document; where it is one, those of its first half and of the rest.
    """

    domain: str
    documents: list[Document]
    blocks: list[list[np.ndarray]] = field(repr=False)

    @property
    def tokens(self) -> int:
        """Tokens that the blocks predict."""
        return sum(len(block) - 1 for block in chain(*self.blocks))


class TextDomains:
    """A source of tasks for `Episodes`: support and query are blocks of tokens, each to be predicted from those before it.

    An input is a block's tokens without the last, its target the same moved on by one, both `(tokens,)` of int64. A block
    holds text of one document. Blocks of a document follow each other with one token in common, so that every token but
    the first is predicted once; a rest of fewer than 8 is dropped, unless it is all there is. No document is in support
    and query of a task (by document: its first half is for the support, the rest for the query), and of documents of a
    domain that are copies, exact or nearly so, only the first is there. A domain is tokenized when it is first needed.

    Args:
        documents: documents, or what they are read from: a folder, a file, or several.
        tokenizer: a Hugging Face tokenizer.
        block: tokens that a block predicts, at most.
        by: what a task is: a topic (documents of one domain about the same thing), a whole domain, or one document.
        size: documents of a topic, where the domain has as many; one topic has those too that are left over.
        seed: of the topics, and of the tasks of `each`.

    Raises:
        QuickstudyError: no documents; a block of fewer than 8 tokens; a size below 2. On first use: a domain whose texts
            are all shorter than that, or that cannot be divided into support and query.
    """

    def __init__(
        self,
        documents: DocumentSource,
        tokenizer: Tokenizer,
        *,
        block: int = 128,
        by: By = "topic",
        size: int = 16,
        seed: int = 0,
    ):
        if by not in get_args(By):
            raise QuickstudyError(f"by={by!r}: no such kind of task; give one of {', '.join(get_args(By))}")
        if block < LEAST:
            raise QuickstudyError(f"block={block}: a block predicts at least {LEAST} tokens; give more, such as 128")
        if size < 2:
            raise QuickstudyError(f"size={size}: a topic is divided into support and query; give at least 2 documents")
        self.block, self.by, self.size, self.seed = block, by, size, seed
        self.part: str | None = None
        of_domain: dict[str, list[Document]] = defaultdict(list)
        for document in read(documents):
            of_domain[document.domain].append(document)
        self._domains = {name: Domain(its, tokenizer) for name, its in of_domain.items()}

    def __len__(self) -> int:
        return len(self.groups)

    def draw(self, generator: np.random.Generator, shots: int, queries: int) -> tuple[Batch, Batch]:
        """Support and query of one task: of a domain, each as likely as another, and of a group in it, likewise.

        Of a topic or domain, documents are taken once each and give a random block; where there are more blocks wanted than
        documents, they give others in turn. Of one document, the query is blocks that follow each other.

        Args:
            generator: of everything that is drawn.
            shots, queries: blocks to learn from, and to be judged on; where there are fewer, those.
        """
        groups = self._groups[self.domains[generator.integers(len(self._domains))]]
        return self._draw(groups[generator.integers(len(groups))], generator, shots, queries)

    def each(self, shots: int, queries: int, *, per: int = 1) -> list[Task]:
        """`per` tasks of every group in turn, fixed by the seed, for tests: of one a group, no two share a document."""
        tasks = []
        for name, groups in self._groups.items():
            for at, count in ((at, count) for at in range(len(groups)) for count in range(per)):
                # Not by the number of the domain: its tasks are the same whichever other domains are there.
                generator = np.random.default_rng((self.seed, zlib.crc32(name.encode()), at, count))
                support, query = self._draw(groups[at], generator, shots, queries)
                tasks.append(Task(support, query, seed=int(generator.integers(2**31))))
        return tasks

    def only(self, domains: Collection[str], *, part: str | None = None) -> TextDomains:
        """The same of these domains, and of one part of their documents ("train", "valid", "test") where it is given.

        Raises:
            QuickstudyError: a domain that is not there, or that has no documents of this part.
        """
        wanted = [domains] if isinstance(domains, str) else list(domains)
        part = SPLIT_NAMES.get(part, part) if part else self.part
        for name in wanted or [""]:
            if name not in self._domains:
                near = difflib.get_close_matches(name, self.domains, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "give one of these"
                raise QuickstudyError(f"no domain {name!r} (known: {', '.join(self.domains)}); {hint}")
            parts = {document.part for document in self._domains[name].documents} if self.part is None else {self.part}
            if part and part not in parts:
                has = f"it has {', '.join(sorted(filter(None, parts)))}" if parts - {None} else "its documents have none"
                raise QuickstudyError(f"domain {name!r} has no part {part!r}; {has}, so give another or none")
        less = copy.copy(self)
        less.__dict__.pop("_groups", None)
        less.part, less._domains = part, {name: its for name, its in self._domains.items() if name in wanted}
        return less

    @property
    def domains(self) -> list[str]:
        """The domains' names."""
        return list(self._domains)

    @property
    def groups(self) -> list[Group]:
        """All that tasks are drawn from, domain by domain."""
        return [group for groups in self._groups.values() for group in groups]

    @property
    def documents(self) -> list[Document]:
        """All documents that tasks are drawn from."""
        return [document for group in self.groups for document in group.documents]

    @property
    def copies(self) -> int:
        """How many documents are left out, each a copy of an earlier one in its domain."""
        left_out = [its.documents[row] for its in self._domains.values() for row in its.copies]
        return sum(self.part in (None, document.part) for document in left_out)

    @property
    def tokens(self) -> int:
        """Tokens that the blocks of all groups predict."""
        return sum(group.tokens for group in self.groups)

    def describe(self) -> str:
        """What there is, a line a domain."""
        lines = [f"domains: {len(self.domains)}, a task is one {self.by}, {self.copies:,} copies left out"]
        for name, groups in self._groups.items():
            count, blocks = sum(len(g.documents) for g in groups), sum(map(len, chain(*(g.blocks for g in groups))))
            tokens = sum(group.tokens for group in groups)
            lines.append(f"{name}: {count:,} documents, {len(groups):,} groups, {blocks:,} blocks, {tokens:,} tokens to predict")
        return "\n".join(lines)

    @cached_property
    def _groups(self) -> dict[str, list[Group]]:
        return {name: self._grouped(name, domain) for name, domain in self._domains.items()}

    def _grouped(self, name: str, domain: Domain) -> list[Group]:
        whole = f"domain {name!r}" + (f", part {self.part!r}," if self.part else "")
        texts = [(its, tokens) for its, tokens in domain.tokenized if self.part in (None, its.part) and len(tokens) > 1]
        if all(len(tokens) <= LEAST for _, tokens in texts):
            raise QuickstudyError(
                f"{whole} has no text of more than {LEAST} tokens that is no copy; add some, or leave it out with only()"
            )
        if self.by == "document":
            parted = [(its, halves(tokens, self.block)) for its, tokens in texts]
            groups = [Group(name, [its], both) for its, both in parted if both]
            if not groups:
                why = f"no document of two blocks of {self.block} tokens, one to learn from and one to be judged on"
                raise QuickstudyError(f"{whole} has {why}; give a smaller block, longer documents, or leave it out with only()")
            return groups
        if len(texts) < 2:
            why = "a single document (copies do not count), and a task learns from one and is judged on another"
            raise QuickstudyError(f"{whole} has {why}; add documents, leave it out with only(), or give by='document'")
        every = [list(range(len(texts)))]
        rows = topics([its.text for its, _ in texts], self.size, seed=self.seed) if self.by == "topic" else every
        return [Group(name, [texts[i][0] for i in g], [cut(texts[i][1], self.block) for i in g]) for g in rows]

    def _draw(self, group: Group, generator: np.random.Generator, shots: int, queries: int) -> tuple[Batch, Batch]:
        if shots < 1 or queries < 1:
            raise QuickstudyError(f"shots={shots}, queries={queries}: a task of {group.domain!r} needs at least 1 of each")
        if self.by == "document":
            first, rest = group.blocks
            at = generator.integers(max(len(rest) - queries, 0) + 1)
            return as_batch([first[i] for i in generator.permutation(len(first))[:shots]]), as_batch(rest[at : at + queries])
        order = [group.blocks[i] for i in generator.permutation(len(group.blocks))]
        half = min(max(round(len(order) * shots / (shots + queries)), 1), len(order) - 1)
        return as_batch(_taken(order[:half], generator, shots)), as_batch(_taken(order[half:], generator, queries))


def refuse_shared(train: TextDomains, test: TextDomains) -> None:
    """Makes sure that no domain is trained and tested on, unless on different parts of its documents.

    Raises:
        QuickstudyError: a domain that both have; names it.
    """
    shared = [name for name in train.domains if name in test.domains]
    if shared and (train.part is None or test.part is None or train.part == test.part):
        remedy = 'take other domains with only(), or other documents with only(..., part="test")'
        raise QuickstudyError(f"domain {shared[0]!r} is in the training data and in the test data; {remedy}")


def shared_documents(train: TextDomains, test: TextDomains) -> list[Leak]:
    """Documents of `test` (`index`) that copy one of `train` (`other_index`), exactly or nearly; places in `documents`."""
    return leaks({"train": [its.text for its in train.documents], "test": [its.text for its in test.documents]})


def _taken(documents: list[list[np.ndarray]], generator: np.random.Generator, count: int) -> list[np.ndarray]:
    """`count` blocks, one a document in each round."""
    shuffled = [[blocks[i] for i in generator.permutation(len(blocks))] for blocks in documents[:count]]
    return [block for turn in zip_longest(*shuffled) for block in turn if block is not None][:count]
