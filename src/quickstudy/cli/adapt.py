"""`quickstudy adapt [MODEL] --support my.csv --out clf`, `quickstudy adapt [MODEL] --text notes/ --out adapter`"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from quickstudy.cli.adapt_text import adapt_text
from quickstudy.cli.device import Device
from quickstudy.cli.warn import warn
from quickstudy.errors import QuickstudyError


def adapt(
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    support: Annotated[
        str | None,
        typer.Option(help="A handful a label: sentences (CSV, TSV, JSONL), or a folder with a subfolder of images a label."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="With --support: the column of the sentences. Without: text for a language model, a folder or a file "
            "(.txt, .md, .jsonl, .pdf)."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Argument(
            help="A run, a Hugging Face model folder or id, or a name. Default: minilm; of images efficientnet-lite0; of text "
            "smollm2."
        ),
    ] = None,
    names: Annotated[
        str, typer.Option(help="Whether the labels are words that say what they mean: auto (looks whether they do), yes or no.")
    ] = "auto",
    unlabelled: Annotated[Path | None, typer.Option(help="A text file of sentences without labels, one a line.")] = None,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Try LoRA fine-tuning too: 40 sentences take 4 to 5 minutes, not 6 seconds."),
    ] = False,
    more: Annotated[Path | None, typer.Option(help="A classifier whose sentences are learned again, with these.")] = None,
    label: Annotated[str, typer.Option(help="The column of the labels.")] = "label",
    steps: Annotated[int | None, typer.Option(help="Of text: steps of Adam. Default: 8.")] = None,
    lr: Annotated[float | None, typer.Option(help="Of text: Adam's rate. Default: the model's own.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Of text: other text, to see what is forgotten. Default: a page of prose.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Learn these labels from a handful of sentences or images; or teach a language model a text."""
    from quickstudy.cli.progress import progress_bar
    from quickstudy.cli.resolve import default_model, require_reader, resolve_for_adapting
    from quickstudy.evaluation.cross_validation import embedded_once
    from quickstudy.evaluation.held_out import held_out_accuracy
    from quickstudy.folder import require_new
    from quickstudy.models.legibility import unread
    from quickstudy.models.sentence_encoder import SentenceEncoder
    from quickstudy.runs.card import card
    from quickstudy.tasks.batch import Batch
    from quickstudy.tasks.checkup import checkup, refuse_many_labels
    from quickstudy.tasks.table import Table

    if support is None:
        _refuse({"--unlabelled": unlabelled, "--more": more, "--thorough": thorough, "--names": names != "auto"}, "--support")
        if text is None:
            raise QuickstudyError("give --support with a table of sentences or a folder of images, or --text with a text")
        return adapt_text(model, text, out, steps=steps, lr=lr, keep=keep, device=device)
    _refuse({"--steps": steps, "--lr": lr, "--keep": keep}, "--text alone")
    text = text or "text"
    require_new(out)
    if names not in ("auto", "yes", "no"):
        raise QuickstudyError(f"--names {names}: it is auto, yes or no")
    table = Table.read(support, text=text, label=label)
    if more is not None:
        table = _joined(table, more)
    table.require(classes=2, per_class=1)
    refuse_many_labels(table)
    sentences = _sentences(unlabelled) if unlabelled else []
    model = model or default_model(table)
    learner = resolve_for_adapting(model, names=names, unlabelled=sentences, thorough=thorough)
    require_reader(learner, table, model)
    encoder = getattr(learner, "model", None)
    for warning in (*checkup(table).warnings, *(unread(encoder, table.texts) if isinstance(encoder, SentenceEncoder) else ())):
        warn(f"{table.name}: {warning}")
    batch = Batch(table.texts, table.labels)
    begun = time.perf_counter()
    with progress_bar() as show, embedded_once(learner, batch, lambda done, of: show(f"reading the {table.reads}s", done, of)):
        estimate = held_out_accuracy(learner, batch, progress=show)
        adapted = learner.adapt(batch)
    seconds = time.perf_counter() - begun
    adapted.save_pretrained(out, card=card(table, adapted, learner, model, estimate, out))
    how = next(iter(adapted.candidates), type(learner).__name__)
    learned = f"learned {len(table.classes)} labels from {len(table)} {table.reads}s"
    typer.echo(f"{out}: {learned} in {seconds:.1f} s: {how} on {model}.")
    typer.echo(estimate.sentence(table.reads))
    asked = '"a sentence"' if table.reads == "sentence" else "photo.jpg"
    typer.echo(f"Next: quickstudy predict {out} {asked}")


def _refuse(given: dict[str, Any], other: str) -> None:
    for option, value in given.items():
        if value:
            raise QuickstudyError(f"{option} goes with {other}; leave it out")


def _sentences(file: Path) -> list[str]:
    from quickstudy.tasks.reading import lines

    found = list(lines(file))
    if not found:
        raise QuickstudyError(f"--unlabelled {file}: it holds no sentence; give one a line, or leave it out")
    return found


def _joined(table: Any, classifier: Path) -> Any:
    """The sentences that a classifier learned from, and then these."""
    from quickstudy.learners.artefact import CONFIG, is_artefact, read_config
    from quickstudy.tasks.batch import Batch
    from quickstudy.tasks.names import are_names
    from quickstudy.tasks.table import Table

    if not is_artefact(classifier):
        raise QuickstudyError(f"--more {classifier}: not a classifier; give a folder that `quickstudy adapt` wrote")
    config = read_config(classifier)
    if config.examples is None or config.classes is None:
        raise QuickstudyError(f"{classifier} did not keep the sentences that it learned from; give all of them in --support")
    if not all(0 <= target < len(config.classes) for target in config.examples.targets):
        raise QuickstudyError(f"{classifier / CONFIG} names a label that is not there; give all sentences in --support")
    before = Batch(config.examples.texts, [str(config.classes[i]) for i in config.examples.targets])
    kept = [i for i, is_name in enumerate(are_names(before)) if not is_name]
    known = set(zip(table.texts, table.labels, strict=True))
    old = [pair for pair in ((before.inputs[i], before.targets[i]) for i in kept) if pair not in known]
    return Table([t for t, _ in old] + table.texts, [y for _, y in old] + table.labels, table.name, reads=table.reads)
