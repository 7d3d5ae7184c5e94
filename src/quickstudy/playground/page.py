"""The page itself, in one language."""

from __future__ import annotations

import base64
import json
import secrets
import traceback
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]

from quickstudy.errors import QuickstudyError
from quickstudy.playground import panels, sinusoid
from quickstudy.playground.drawing import Map
from quickstudy.playground.learning import ENCODERS, Classifier, Learned, Workshop
from quickstudy.playground.sentences import COLUMNS, KINDS, LARGEST, as_csv, dropped, typed
from quickstudy.playground.words import Say

FIRST = {"en": "minilm", "zh": "ngrams"}
"""The encoder that is chosen at first, which reads the language."""
KEPT = 3600
"""Seconds after which what a user learned is forgotten, where nothing more is done with it."""
DIRECT: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
"""How all but learning is asked: each question with its own answer, and once more where something changed meanwhile, so that
what is shown last is of what was said last. What goes through Gradio's queue is answered on a stream that ends with the last
answer, and a question that crosses with its end is never answered; learning alone goes there, for its progress, and nothing
but the next learning follows it."""
ROWS = 8
"""Lines of the box that are seen at once."""
Shelf = MutableMapping[str, Learned]
"""What can be downloaded, by the part of its address that cannot be guessed."""
_DROP = (Path(__file__).parent / "drop.js").read_text(encoding="utf-8")


@dataclass
class Session:
    """What one user has learned.

    Args:
        classifier: what answers.
        map: of its sentences, drawn up once for every sentence that is typed later.
        current: whether the user has learned nothing since.
        measured: whether all that is measured of it has been.
    """

    classifier: Classifier
    map: Map | None
    current: bool = True
    measured: bool = False

    @classmethod
    def of(cls, classifier: Classifier) -> Session:
        """With its map."""
        return cls(classifier, Map.of(classifier))


class Page:
    """What happens on the page of one language.

    Args:
        say: its words.
        workshop: where sentences are learned.
        shelf: where what was learned is put for download.
        curves: what the second tab draws.
        opened: a classifier that everyone begins with, and its folder.
    """

    def __init__(
        self, say: Say, workshop: Workshop, shelf: Shelf, curves: sinusoid.Curves, opened: tuple[Path, Classifier] | None = None
    ):
        self.say, self.workshop, self.shelf, self.curves = say, workshop, shelf, curves
        self.opened = Session.of(opened[1]) if opened else None
        self.greeting = panels.opened(opened[1], opened[0], say) if opened else ""

    def learn(
        self,
        box: str,
        text: str,
        label: str,
        model: str,
        before: Session | None,
        progress: Any = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        """What the button does first: a classifier, what is said of it, and places for what is to be measured."""
        say = self.say
        try:
            table = typed(box, say, _columns(text, label))
            learned = self.workshop.learn(table, model, progress=lambda done, of: progress((done, of), desc=say("learning")))
        except Exception as error:
            return [gr.skip(), self.trouble(error), *(gr.skip() for _ in range(3))]
        if before is not None:
            before.current = False
        return [Session.of(learned), panels.summary(learned, say), panels.waiting("accuracy", say), "", ""]

    def measure(self, session: Session | None) -> list[Any]:
        """What is done after the first answer of what was learned: the accuracy to expect, and the download."""
        say, learned, nothing = self.say, session and session.classifier, [gr.skip()] * 3
        if session is None or not isinstance(learned, Learned) or learned.estimate is not None:
            return nothing
        session.classifier = learned = self.workshop.measured(learned)
        token = secrets.token_urlsafe(16)
        self.shelf[token] = learned
        seen = [panels.accuracy(learned, say), panels.waiting("more", say), panels.take(learned, token, say)]
        return seen if session.current else nothing

    def one_more(self, session: Session | None) -> Any:
        """And last, once: what more sentences would bring."""
        learned = session and session.classifier
        if session is None or not isinstance(learned, Learned) or learned.estimate is None or session.measured:
            return gr.skip()
        seen = panels.one_more(self.workshop.curve(learned), learned.table, self.say)
        session.measured = True
        return seen if session.current else gr.skip()

    def answer(self, sentence: str, session: Session | None) -> list[str]:
        """What is said of a sentence, and where it lies, for whoever types it."""
        say, session = self.say, session or self.opened
        if session is None:
            return [panels.note(say.html("answer_first")), ""]
        if not sentence.strip():
            return [panels.note(say.html("answer_waits")), panels.plane(session.map, say)]
        found = self.workshop.answer(session.classifier, sentence)
        return [panels.answer(found, say), panels.plane(session.map, say, found.embedding)]

    def take_in(self, file: str | None, text: str, label: str) -> list[Any]:
        """A file's sentences for the box, and what it held; or what is wrong with it."""
        if not file:
            return [gr.skip(), gr.skip()]
        try:
            given, columns = json.loads(file), _columns(text, label)
            name = Path(str(given["name"])).name
            content = base64.b64decode(given["content"]) if given["content"] is not None else bytes(LARGEST * 1_000_000 + 1)
            table = dropped(name, content, self.say, columns)
            return [as_csv(table, columns), panels.filled(table, self.say)]
        except Exception as error:
            return [gr.skip(), self.trouble(error)]

    def curve(self, seed: int, steps: float, shots: float) -> str:
        """The curve of this seed after so many steps from so many points."""
        least, most = sinusoid.SHOTS
        learning = self.curves.learn(int(seed), min(max(int(shots), least), most))
        return sinusoid.draw(learning, min(max(int(steps), 0), sinusoid.STEPS), self.say)

    def trouble(self, error: Exception) -> str:
        """What is wrong, for the page; what only a programmer can mend goes to the terminal too."""
        if isinstance(error, QuickstudyError):
            return panels.trouble(str(error))
        traceback.print_exception(error)
        return panels.trouble(self.say("bug", kind=type(error).__name__))

    def blocks(self) -> gr.Blocks:
        """The page."""
        say = self.say
        with gr.Blocks(title=say("title"), analytics_enabled=False) as blocks:
            _html(panels.header(say), elem_id="header")
            with gr.Tabs():
                with gr.Tab(say("sentences_tab")):
                    self._sentences()
                with gr.Tab(say("curve_tab")):
                    self._curve()
        blocks.queue(default_concurrency_limit=8, api_open=False)  # learning; the workshop computes one thing at a time
        return blocks

    def _sentences(self) -> None:
        say, opened = self.say, self.opened
        table = opened.classifier.table if opened else None
        answer, plane = self.answer("", None)
        session = gr.State(None, time_to_live=KEPT)
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                box = gr.Textbox(
                    as_csv(table) if table else "",
                    label=say("sentences"),
                    info=say("sentences_how"),
                    placeholder=say("sentences_like"),
                    lines=ROWS,
                    max_lines=ROWS,
                    elem_id="box",
                )
                drop = _html(html_template=panels.drop_zone(say, KINDS), js_on_load=_DROP, elem_id="drop")
                with gr.Accordion(say("columns"), open=False), gr.Row():
                    text = gr.Textbox(COLUMNS[0], label=say("column_text"), max_lines=1, min_width=120)
                    label = gr.Textbox(COLUMNS[1], label=say("column_label"), max_lines=1, min_width=120)
                names = [(say(name), name) for name in ENCODERS]
                model = gr.Radio(names, value=FIRST[say.language], label=say("reads"))
                with gr.Row():
                    fill = gr.Button(say("fill"), min_width=120)
                    learn = gr.Button(say("learn"), variant="primary", min_width=120, elem_id="learn")
                status = _html(self.greeting, elem_id="status")
            with gr.Column(min_width=320):
                sentence = gr.Textbox(label=say("try"), placeholder=say("try_like"), max_lines=1, elem_id="sentence")
                said = _html(answer, elem_id="answer")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                drawn = _html(plane, elem_id="map")
            with gr.Column(min_width=320):
                accuracy, more = _html(elem_id="accuracy"), _html(elem_id="more")
        take = _html(elem_id="take")
        fill.click(lambda: say("example"), None, box, **DIRECT)
        gr.on([drop.upload, text.submit, label.submit], self.take_in, [drop, text, label], [box, status], **DIRECT)
        given, shown = [box, text, label, model, session], [session, status, accuracy, more, take]
        learn.click(self.learn, given, shown, show_progress_on=[status])
        answered = gr.on([sentence.change, session.change], self.answer, [sentence, session], [said, drawn], **DIRECT)
        answered.then(self.measure, session, [accuracy, more, take], **DIRECT).then(self.one_more, session, more, **DIRECT)

    def _curve(self) -> None:
        say = self.say
        seed = gr.Number(0, visible="hidden")
        _html(panels.note(say.html("curve_about")))
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                steps = gr.Slider(0, sinusoid.STEPS, value=0, step=1, label=say("curve_step"), elem_id="steps")
                shots = gr.Slider(*sinusoid.SHOTS, value=10, step=1, label=say("curve_shots"), elem_id="shots")
                another = gr.Button(say("curve_next"), elem_id="another")
            with gr.Column(scale=2, min_width=320):
                drawn = _html(self.curve(0, 0, 10), elem_id="curve")
        another.click(None, seed, seed, js="seed => seed + 1")
        moved = [seed.change, steps.change, shots.change]
        gr.on(moved, self.curve, [seed, steps, shots], drawn, **DIRECT)


def _html(value: str = "", **settings: Any) -> gr.HTML:
    """A part of the page with our styles alone."""
    return gr.HTML(value, apply_default_css=False, **settings)


def _columns(text: str, label: str) -> tuple[str, str]:
    return text.strip() or COLUMNS[0], label.strip() or COLUMNS[1]
