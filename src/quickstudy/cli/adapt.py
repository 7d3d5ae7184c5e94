"""`quickstudy adapt MODEL --support my.csv --out clf`"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer


def adapt(
    model: Annotated[str, typer.Argument(help="A run, a Hugging Face model folder or id, or 'minilm'.")],
    support: Annotated[str, typer.Option(help="Labelled sentences (CSV, TSV, JSONL): a handful a label.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    names: Annotated[bool, typer.Option("--names", help="The labels are words: each one's name is one more example.")] = False,
    text: Annotated[str, typer.Option(help="The column of the sentences.")] = "text",
    label: Annotated[str, typer.Option(help="The column of the labels.")] = "label",
) -> None:
    """Learn these labels from a handful of sentences."""
    from quickstudy.cli.progress import progress_bar
    from quickstudy.cli.resolve import resolve
    from quickstudy.evaluation.held_out import held_out_accuracy
    from quickstudy.folder import refuse_full
    from quickstudy.runs.card import card
    from quickstudy.tasks.batch import Batch
    from quickstudy.tasks.names import with_names
    from quickstudy.tasks.table import Table

    refuse_full(out)
    table = Table.read(support, text=text, label=label)
    table.require(classes=2, per_class=1)
    batch = Batch(table.texts, table.labels)
    learner, name = resolve(model)
    begun = time.perf_counter()
    with progress_bar() as show:
        estimate = held_out_accuracy(learner, batch, names=names, progress=show)
        adapted = learner.adapt(with_names(batch) if names else batch)
    seconds = time.perf_counter() - begun
    adapted.save_pretrained(out, card=card(table, learner, model, estimate, out))
    typer.echo(
        f"{out}: learned {len(table.classes)} labels from {len(table)} sentences in {seconds:.1f} s with "
        f"{type(learner).__name__} on {name}."
    )
    typer.echo(estimate.sentence())
    typer.echo(f'Next: quickstudy predict {out} "a sentence"')
