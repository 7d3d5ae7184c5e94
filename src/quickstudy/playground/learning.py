"""What the page does with sentences: learn, answer, measure, and hand over what was learned."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.held_out import Estimate, held_out_accuracy
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.artefact import load as load_artefact
from quickstudy.learners.artefact import read_config
from quickstudy.learners.default import Default
from quickstudy.models.encoder import Encoder, Memory, reads_images
from quickstudy.models.legibility import unread
from quickstudy.models.loading import load
from quickstudy.models.sentence_encoder import SentenceEncoder
from quickstudy.models.threads import one_thread
from quickstudy.playground.one_more import Curve, learning_curve
from quickstudy.playground.sentences import as_csv
from quickstudy.runs.card import card
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.checkup import checkup, refuse_many_labels
from quickstudy.tasks.names import are_names, readable
from quickstudy.tasks.table import Table

ENCODERS = ("minilm", "ngrams")
"""Those on offer."""
FOLDER, TABLE = "clf", "my.csv"
"""What the archive holds."""
FEW = 500
"""Sentences that one thread reads in seconds; a second would take a core from whoever else learns here."""


@dataclass(frozen=True)
class Classifier:
    """What answers.

    Args:
        adapted: what was learned.
        table: the sentences that it learned from; None where an artefact did not keep them.
    """

    adapted: Adapted
    table: Table | None


@dataclass(frozen=True)
class Learned(Classifier):
    """What was learned on this page.

    Args:
        adapted: the classifier.
        table: the sentences.
        model: the name of the encoder.
        learner: what learned them.
        memory: their embeddings.
        seconds: how long that took.
        warnings: what is doubtful, a plain sentence each.
        estimate: what accuracy to expect, once that is measured.
    """

    table: Table
    model: str
    learner: Default
    memory: Memory
    seconds: float
    warnings: Sequence[str]
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Answer:
    """What a classifier says of a sentence.

    Args:
        probabilities: (label, probability), the most probable first.
        none: whether it fits none of the labels.
        nearest: the sentences most like it, with label and cosine; none where they were not kept.
        embedding: the sentence's, `(dim,)`.
    """

    probabilities: Sequence[tuple[str, float]]
    none: bool
    nearest: Sequence[tuple[str, str, float]]
    embedding: Sequence[float]


class Workshop:
    """Encoders that are loaded once for all who use the page, and one computation at a time."""

    def __init__(self):
        self._lock = threading.RLock()
        self._encoders: dict[str, Encoder] = {}

    def encoder(self, name: str) -> Encoder:
        """The pretrained encoder of this name, one of `ENCODERS`: a browser asks, and a name can be a path or a hub id."""
        if name not in ENCODERS:
            raise QuickstudyError(f"{name!r} is not on offer here; choose {' or '.join(ENCODERS)}")
        with self._lock:
            if name not in self._encoders:
                self._encoders[name] = load(name)
            return self._encoders[name]

    def learn(self, table: Table, model: str, *, progress: Callable[[int, int], None] | None = None) -> Learned:
        """What `quickstudy adapt` learns from this table on this encoder, with what it warns of.

        Args:
            progress: called with how many sentences are read, and of how many.

        Raises:
            QuickstudyError: fewer than two labels, or too many to be labels.
        """
        table.require(classes=2, per_class=1)
        refuse_many_labels(table)
        with self._lock:
            encoder, begun = self.encoder(model), time.perf_counter()
            learner = Default(encoder)
            with one_thread() if len(table) < FEW else nullcontext():
                memory = encoder.memory([*table.texts, *map(readable, table.classes)], progress=progress)
            with encoder.remember(memory), one_thread():
                adapted = learner.adapt(Batch(table.texts, table.labels))
            seconds = time.perf_counter() - begun
            cut = unread(encoder, table.texts) if isinstance(encoder, SentenceEncoder) else []
        return Learned(adapted, table, model, learner, memory, seconds, [*checkup(table).warnings, *cut])

    def open(self, folder: Path) -> Classifier:
        """A classifier that `quickstudy adapt` wrote, with its sentences where it kept them.

        Raises:
            QuickstudyError: it is no classifier of sentences, or damaged.
        """
        config = read_config(folder)
        if config.classes is None:
            raise QuickstudyError(f"{folder} has no labels to answer with; open it in Python with quickstudy.load")
        adapted = load_artefact(folder)
        if not isinstance(adapted.model, Encoder) or reads_images(adapted.model):
            raise QuickstudyError(f"{folder} does not read sentences, which this page is for; use `quickstudy predict {folder}`")
        return Classifier(adapted, kept(adapted))

    def measured(self, learned: Learned) -> Learned:
        """The same with the accuracy to expect, as `quickstudy adapt` measures it."""
        with self._lock, self.encoder(learned.model).remember(learned.memory), one_thread():
            return replace(learned, estimate=held_out_accuracy(learned.learner, Batch(learned.table.texts, learned.table.labels)))

    def curve(self, learned: Learned) -> Curve | None:
        """What one more sentence a label would bring; None where some label has too few to see."""
        with self._lock, self.encoder(learned.model).remember(learned.memory), one_thread():
            return learning_curve(learned.learner, learned.adapted, learned.table)

    def answer(self, learned: Classifier, sentence: str) -> Answer:
        """What `quickstudy predict` says of a sentence."""
        adapted = learned.adapted
        with self._lock, one_thread(), adapted.remember([sentence]):
            row, like = adapted.predict_proba([sentence])[0].tolist(), adapted.likeness([sentence])
            embedding = adapted.embed([sentence])[0].tolist()
        labels: Sequence[str] = adapted.classes or ()  # type: ignore[assignment]
        ordered = sorted(zip(labels, row, strict=True), key=lambda each: -each[1])
        near = [(text, labels[place], cosine) for text, place, cosine in like[0].nearest] if like else []
        return Answer(ordered, bool(like and like[0].none), near, embedding)


def kept(adapted: Adapted) -> Table | None:
    """The sentences that an artefact keeps, without class names that are examples; None where it keeps none."""
    if adapted.examples is None or adapted.classes is None:
        return None
    texts, labels = list(adapted.examples.texts), [str(adapted.classes[i]) for i in adapted.examples.targets.tolist()]
    rows = [i for i, is_name in enumerate(are_names(Batch(texts, labels))) if not is_name]
    return Table([texts[i] for i in rows], [labels[i] for i in rows])


def archive(learned: Learned) -> bytes:
    """A zip of the folder that `quickstudy adapt --out clf` would have written, and of the table beside it."""
    assert learned.estimate is not None, "measured before it is handed over"
    written = card(learned.table, learned.adapted, learned.learner, learned.model, learned.estimate, Path(FOLDER))
    packed = io.BytesIO()
    with TemporaryDirectory() as place, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        folder = Path(place) / FOLDER
        learned.adapted.save_pretrained(folder, card=written)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(place))
        file.writestr(TABLE, as_csv(learned.table))
    return packed.getvalue()


def commands(model: str) -> tuple[str, str]:
    """What does the same as the page: on the command line, and in Python."""
    named = "" if model == "minilm" else f"{model} "
    shell = f'quickstudy adapt {named}--support {TABLE} --out {FOLDER}\nquickstudy predict {FOLDER} "a sentence"'
    python = f"""\
from quickstudy import Batch, Default, Table, models

table = Table.read("{TABLE}")
learner = Default(models.load("{model}"))
classifier = learner.adapt(Batch(table.texts, table.labels))
classifier.predict_proba(["a sentence"])"""
    return shell, python
