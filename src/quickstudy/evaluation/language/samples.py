"""`continuations`: how a language model goes on before and after it learned a task, beside the text itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.language.holding import holding
from quickstudy.evaluation.language.method import Method
from quickstudy.models.language_model import LanguageModel
from quickstudy.tasks.task import Task

PROMPT, WRITTEN = 20, 40
"""Tokens that it is given, and that it writes."""


@dataclass(frozen=True)
class Continuation:
    """The beginning of a query document, and three ways in which it goes on."""

    task: int
    prompt: str
    text: str
    before: str
    after: str


def continuations(
    method: Method,
    base: LanguageModel,
    tasks: Sequence[Task],
    steps: int,
    factor: float,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Continuation]:
    """One of each task's first query block; none where what was learned is not in the model's own parameters.

    Args:
        base: before learning.
        steps, factor: how the method learns.
        seed: of the choice of words.
    """
    found = []
    for number, task in enumerate(tasks if method.takes_steps else ()):
        adapted = method.adapted(task, steps, factor)
        ids = [*task.query.inputs[0].tolist(), int(task.query.targets[0][-1])]
        length = min(PROMPT, len(ids) // 2)
        prompt, whole = (base.tokenizer.decode(ids[:end]) for end in (length, length + WRITTEN))
        models = [base, holding(adapted.model, adapted.phi)]  # type: ignore[arg-type]
        written = [model.continued(prompt, tokens=WRITTEN, seed=seed) for model in models]
        found.append(Continuation(number, prompt, whole[len(prompt) :], *written))
        if progress:
            progress("samples", number + 1, len(tasks))
    return found
