"""What a support becomes before a query in the context window: text as it is, or examples put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from quickstudy.errors import QuickstudyError
from quickstudy.models.device import like
from quickstudy.models.functional import Parameters
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.prefix import Prefix
from quickstudy.models.prompts import Wording
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import IGNORED, classes_of, numbered

ROWS = 8
"""Answers that are judged in one call of the model."""


@dataclass(frozen=True)
class Question:
    """What training asks: after the support, the tokens that follow at some positions of a block.

    Args:
        block: token ids, `(tokens,)`.
        wanted: the positions that are judged, `(tokens,)` of truth values.
        targets: the token that follows each of them, `(positions,)`.
        weight: of each position.
        length: tokens that it takes of the window.
    """

    block: torch.Tensor
    wanted: torch.Tensor
    targets: torch.Tensor
    weight: float
    length: int


class Window:
    """The support of one task in the context window, called with queries as `Adapted` calls a model.

    Args:
        model: the language model that reads it.
        context: tokens that the support and a query may have together.
    """

    classes: Sequence[str] | Sequence[int] | None = None  # of a task without labels

    def __init__(self, model: LanguageModel, context: int):
        self.model, self.context = model, context
        self._read: tuple[Any, Prefix] | None = None

    def __call__(self, phi: Parameters, inputs: Any) -> torch.Tensor:
        """The logits of queries; phi is empty."""
        raise NotImplementedError

    def before(self, length: int) -> torch.Tensor:
        """What of the support fits before a query of so many tokens, `(tokens,)`."""
        raise NotImplementedError

    def questions(self, query: Batch) -> list[Question]:
        """What training asks of these examples."""
        raise NotImplementedError

    def grouped(self, lengths: Sequence[int]) -> list[tuple[torch.Tensor, list[int]]]:
        """Queries of so many tokens by what of the support stands before them: those tokens, and which queries.

        Raises:
            QuickstudyError: a query is longer than the window.
        """
        if lengths and max(lengths) > self.context:
            raise QuickstudyError(
                f"a query of {max(lengths)} tokens does not fit into a context of {self.context}; "
                "give a larger context=, or shorter queries"
            )
        groups: dict[bytes, tuple[torch.Tensor, list[int]]] = {}
        for at, length in enumerate(lengths):
            tokens = self.before(length).cpu()
            groups.setdefault(tokens.numpy().tobytes(), (tokens, []))[1].append(at)
        return list(groups.values())

    def prefix(self, tokens: torch.Tensor) -> Prefix:
        """The model after these tokens, read once for all queries while its parameters stay as they are."""
        state, known = (tokens.tolist(), [(p.data_ptr(), p._version) for p in self.model.parameters()]), self._read
        if known is None or known[0] != state or any(module.training for module in self.model.modules()):
            known = self._read = state, Prefix(self.model, tokens)  # in training mode anew, as dropout is
        return known[1]


class Text(Window):
    """Blocks of tokens one after the other; of what does not fit the last tokens stay.

    Args:
        support: blocks as `LanguageModel` takes them.
    """

    def __init__(self, model: LanguageModel, context: int, support: Batch):
        super().__init__(model, context)
        self.tokens = torch.cat(_blocks(support.inputs)[0])

    def before(self, length: int) -> torch.Tensor:
        """The last tokens of the support that fit."""
        return self.tokens[max(0, len(self.tokens) + length - self.context) :]

    def __call__(self, phi: Parameters, inputs: Any) -> torch.Tensor:
        """What the model gives for these blocks, at their own positions alone."""
        blocks, wanted = _blocks(inputs)
        rows: dict[int, torch.Tensor] = {}
        for tokens, chosen in self.grouped([len(block) for block in blocks]):
            logits = self.prefix(tokens)([blocks[at] for at in chosen], [wanted[at] for at in chosen])
            rows |= dict(zip(chosen, logits.split([int(wanted[at].sum()) for at in chosen]), strict=True))
        if not rows:
            return self.prefix(self.tokens[:0])([])
        logits = torch.cat([rows[at] for at in range(len(rows))])
        return logits.unflatten(0, inputs.shape) if isinstance(inputs, torch.Tensor) else logits

    def questions(self, query: Batch) -> list[Question]:
        """Each block for all its targets that are judged."""
        questions = []
        for block, wanted, targets in zip(*_blocks(query.inputs), query.targets, strict=True):
            judged = targets.to(wanted.device) != IGNORED
            if len(judged) != wanted.sum():
                raise QuickstudyError(f"a block has {len(judged)} targets for {int(wanted.sum())} positions; give one for each")
            asked = wanted.clone()
            asked[wanted] = judged
            questions.append(Question(block, asked, targets[judged], 1.0, len(block)))
        return questions


class Demonstrations(Window):
    """Sentences with labels, in an order drawn from the task's seed.

    Of what does not fit, the first of each class stays, then the second, and so on, each where there is still room.

    Args:
        support: sentences, with a label or a class index each.
    """

    def __init__(self, model: LanguageModel, context: int, support: Batch, wording: Wording):
        super().__init__(model, context)
        self.wording, self.classes = wording, classes_of(support.targets)
        numbers = numbered(support.targets, self.classes).tolist()
        order = torch.randperm(len(support), generator=torch.Generator().manual_seed(support.seed)).tolist()
        self.labels = [wording.label(label) for label in self.classes]
        self.longest = max(map(len, self.labels))
        self.examples = [
            torch.cat(wording.ordered(wording.sentence(support.inputs[at]), self.labels[numbers[at]])) for at in order
        ]
        shown: Counter[int] = Counter()  # of each class, so far
        rounds = []
        for at in order:
            rounds.append(shown[numbers[at]])
            shown[numbers[at]] += 1
        self._by_round = sorted(range(len(order)), key=rounds.__getitem__)
        self.start = wording.start

    def before(self, length: int) -> torch.Tensor:
        """The demonstrations that fit."""
        room, fitting = self.context - length - len(self.start), []
        for at in self._by_round:
            if len(self.examples[at]) <= room:
                room -= len(self.examples[at])
                fitting.append(at)
        return torch.cat([self.start, *(self.examples[at] for at in sorted(fitting))])

    def __call__(self, phi: Parameters, inputs: Sequence[str]) -> torch.Tensor:
        """Logits `(examples, classes)`: of each class's label after the sentence, or of the sentence after the label."""
        if not all(isinstance(each, str) for each in inputs):
            raise QuickstudyError("the task was learned from sentences; ask about a list of sentences")
        sentences = [self.wording.sentence(text) for text in inputs]
        logits = like(self.model).new_zeros(len(sentences), len(self.labels))
        for tokens, chosen in self.grouped([len(sentence) + self.longest for sentence in sentences]):
            prefix, asked = self.prefix(tokens), [sentences[at] for at in chosen]
            if self.wording.method == "direct":
                rows = [[said.mean() for said in log_probabilities(prefix, sentence, self.labels)] for sentence in asked]
            else:
                rows = [[said.sum() for said in log_probabilities(prefix, label, asked)] for label in self.labels]
            values = torch.stack([torch.stack(row) for row in rows]).to(logits)
            logits[chosen] = values if self.wording.method == "direct" else values.T
        return logits

    def questions(self, query: Batch) -> list[Question]:
        """Each example's answer after what is given; the mean over its tokens counts, whatever its length."""
        questions = []
        for text, number in zip(query.inputs, numbered(query.targets, self.classes or ()).tolist(), strict=True):
            sentence = self.wording.sentence(text)
            given, answer = self.wording.ordered(sentence, self.labels[number])
            block = torch.cat([given, answer])
            wanted = torch.arange(len(block) - 1) >= len(given) - 1
            questions.append(Question(block[:-1], wanted, answer, 1 / len(answer), len(sentence) + self.longest))
        return questions


def log_probabilities(prefix: Prefix, given: torch.Tensor, answers: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The log-probability of each token of each answer after the prefix and what is given, `(tokens,)` each."""
    before, last = prefix.then(given[:-1]), given[-1:]
    found: list[torch.Tensor] = []
    for at in range(0, len(answers), ROWS):
        some = answers[at : at + ROWS]
        logits = before([torch.cat([last, answer[:-1]]) for answer in some])
        found += F.cross_entropy(logits, torch.cat([*some]).to(logits.device), reduction="none").neg().split([*map(len, some)])
    return found


def _blocks(inputs: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Blocks, and which of their positions are asked for, of what `LanguageModel` takes."""
    blocks, wanted = (inputs["blocks"], inputs.get("wanted")) if isinstance(inputs, Mapping) else (inputs, None)
    for each in blocks:
        if not isinstance(each, torch.Tensor) or each.ndim != 1 or each.is_floating_point():
            what = f"{each.dtype} of shape {tuple(each.shape)}" if isinstance(each, torch.Tensor) else repr(each)
            raise QuickstudyError(f"a block is token ids of shape (tokens,), and this one is {what}; tokenize it first")
    return list(blocks), [torch.ones_like(b, dtype=torch.bool) for b in blocks] if wanted is None else list(wanted)
