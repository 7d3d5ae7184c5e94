"""`quickstudy adapt smollm2 --text notes/ --out adapter`: what `adapt` does with plain text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from quickstudy.cli.warn import warn
from quickstudy.errors import QuickstudyError
from quickstudy.wording import counted

PROSE = Path(__file__).parents[1] / "samples" / "prose.txt"
"""A page of plain prose, by which it is seen what a model forgets."""
BLOCK = 256
"""Tokens of a block."""


def adapt_text(
    model: str | None, source: str, out: Path, *, steps: int | None, lr: float | None, keep: Path | None, device: str
) -> None:
    """Learns a text, prints what that changed, and writes an adapter that PEFT opens."""
    from quickstudy.cli.progress import progress_bar
    from quickstudy.cli.resolve import DEFAULT_TEXT_MODEL, resolve_for_text
    from quickstudy.evaluation.watched import learn_watched, nats_of
    from quickstudy.folder import require_new
    from quickstudy.models.device import chosen
    from quickstudy.runs.text_card import Learned, text_card
    from quickstudy.tasks.documents import documents
    from quickstudy.tasks.own_text import divided, whole

    require_new(out)
    if steps is not None and steps < 1:
        raise QuickstudyError(f"--steps {steps}: give at least 1; to see the model as it is, use `quickstudy evaluate`")
    if lr is not None and not lr > 0:
        raise QuickstudyError(f"--lr {lr}: give a rate above 0, such as 0.002")
    read, other = documents(source), documents(keep or PROSE)
    name = model or DEFAULT_TEXT_MODEL
    learner = resolve_for_text(name, steps=steps, lr=lr).to(chosen(device))
    tokenizer = learner.model.tokenizer
    text = divided(read, tokenizer, block=BLOCK)
    if text.copies:
        warn(f"{source}: {text.copies} documents are copies of others and are left out")
    if not text.held_out:
        warn(f"{source}: a single document, so none is held out: how much better the model gets is not known")
    elsewhere = whole(other, tokenizer, block=BLOCK)
    begun = time.perf_counter()
    with progress_bar() as show:
        found = learn_watched(learner, text.support, text.held_out, progress=show)
    seconds = time.perf_counter() - begun
    if found.stopped:
        warn(f"{found.stopped}: kept is the state after {found.kept} of {learner.inner_steps} steps")
    before = _plain(learner)
    was = [nats_of(before, document) for document in text.held_out]
    learned = Learned(
        text.documents,
        text.tokens,
        found.kept,
        seconds,
        _compared(was, found.curve[found.kept], text.held_out) if text.held_out else None,
        (nats_of(before, elsewhere), nats_of(found.adapted, elsewhere)),
        keep.name if keep else "a page of prose",
    )
    found.adapted.save_pretrained(out, card=text_card(learned, name, learner, out))
    what = f"{counted(learned.documents, 'document')} ({learned.tokens:,} tokens)"
    typer.echo(f"{out}: learned {what} in {found.kept} steps, {seconds:.0f} s, from {name}.")
    for line in learned.sentences():
        typer.echo(line)
    typer.echo(f'Next: quickstudy generate {out} --prompt "..."')


def _plain(learner: Any) -> Any:
    """The base as it comes, without any adapter."""
    from quickstudy.learners.baselines.zero_step import ZeroStep
    from quickstudy.models.adapters import without_adapters
    from quickstudy.tasks.batch import Batch

    return ZeroStep(without_adapters(learner.model)).adapt(Batch([], []))


def _compared(was: list[float], now: list[float], held_out: list[Any]) -> tuple[float, float, int, list[float] | None]:
    from quickstudy.evaluation.statistics import FEW, paired_bootstrap
    from quickstudy.evaluation.watched import average, tokens_of

    tokens = list(map(tokens_of, held_out))
    interval = paired_bootstrap(now, was)[1] if len(held_out) >= FEW else None
    return average(was, tokens), average(now, tokens), len(held_out), interval
