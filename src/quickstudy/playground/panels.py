"""What the page says, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from quickstudy.evaluation.report.svg import tag
from quickstudy.evaluation.report.words import difference
from quickstudy.playground.drawing import Map, accuracy_curve
from quickstudy.playground.learning import Answer, Classifier, Learned, commands
from quickstudy.playground.one_more import LEAST, Curve
from quickstudy.playground.words import LANGUAGES, TAGS, Say
from quickstudy.tasks.table import Table

SHOWN = 5
"""Labels whose probabilities are drawn."""
SMALLEST_GAIN = 0.001
"""Of accuracy; less is next to nothing."""
UNCHECKED = 5
"""Labels that are named."""


def header(say: Say) -> str:
    """The page's name, what it is for, and the way to the other language."""
    others = [(code, name) for code, name in LANGUAGES.items() if code != say.language]
    links = "".join(tag("a", name, href=f"../{code}/", lang=TAGS[code], hreflang=TAGS[code]) for code, name in others)
    return tag("div", tag("h1", say.html("title")) + tag("p", say.html("about")) + tag("nav", links), class_="about")


def drop_zone(say: Say, kinds: Sequence[str]) -> str:
    """Where a table is dropped or chosen."""
    words = tag("span", say.html("drop"), class_="strong") + tag("span", say.html("drop_what"), class_="note")
    return tag("label", words + tag("input", type="file", accept=",".join(kinds)), class_="drop")


def trouble(message: str) -> str:
    """What is wrong."""
    return tag("p", escape(message), class_="trouble", role="alert")


def note(words: str) -> str:
    """A word beside the matter."""
    return tag("p", words, class_="note")


def summary(learned: Learned, say: Say) -> str:
    """What was learned, and what is doubtful about it."""
    table = learned.table
    numbers = {"labels": len(table.classes), "sentences": len(table), "seconds": f"{learned.seconds:.1f}"}
    how = next(iter(learned.adapted.candidates))
    doubts = [*learned.warnings, *([say("each_its_own")] if len(table.classes) == len(table) > 2 else [])]
    said = tag("p", say.html("learned", how=how, model=learned.model, **numbers))
    return said + "".join(tag("p", escape(doubt), class_="doubt") for doubt in doubts)


def opened(classifier: Classifier, folder: Path, say: Say) -> str:
    """What was opened."""
    return tag("p", say.html("opened", folder=folder, labels=len(classifier.adapted.classes or ())))


def filled(table: Table, say: Say) -> str:
    """What a file held."""
    return tag("p", say.html("filled", name=table.name, sentences=len(table), labels=len(table.classes)))


def answer(found: Answer, say: Say) -> str:
    """The label, how probable each is, and the sentences that are most like the new one."""
    label = found.probabilities[0][0]
    said = [tag("p", say.html("none") if found.none else tag("bdi", escape(label)), class_="answer")]
    if found.none:
        said.append(note(say.html("none_why", label=label)))
    said += [
        tag("h3", say.html("probabilities")),
        tag("ol", "".join(_bar(*each) for each in found.probabilities[:SHOWN]), class_="bars"),
    ]
    if len(found.probabilities) > SHOWN:
        said.append(note(say.html("others", count=len(found.probabilities) - SHOWN)))
    if found.nearest:
        rows = [
            tag("li", tag("bdi", escape(sentence)) + tag("span", f"{escape(its)} · {cosine:.2f}", class_="note"))
            for sentence, its, cosine in found.nearest
        ]
        said += [tag("h3", say.html("nearest")), tag("ol", "".join(rows), class_="nearest")]
    return "".join(said)


def _bar(label: str, probability: float) -> str:
    bar = tag("span", "", class_="share", style=f"width:{100 * probability:.1f}%")
    return tag(
        "li",
        tag("bdi", escape(label)) + tag("span", bar, class_="track") + tag("span", f"{100 * probability:.0f}%", class_="number"),
    )


def plane(drawn: Map | None, say: Say, new: Sequence[float] | None = None) -> str:
    """The map of the sentences, with the new one's embedding in it where there is one."""
    if drawn is None:
        return tag("h2", say.html("map")) + note(say.html("map_none"))
    shown = len(set(drawn.plane.labels))
    how = say.html("map_how", share=f"{100 * drawn.plane.share:.0f}")
    some = " " + say.html("map_some", shown=shown, labels=drawn.labels) if shown < drawn.labels else ""
    return tag("h2", say.html("map")) + drawn.draw(say, drawn.place(new) if new else None) + note(how + some)


def waiting(key: str, say: Say) -> str:
    """That a number is on its way."""
    return tag("h2", say.html(key)) + note(say.html("measuring"))


def accuracy(learned: Learned, say: Say) -> str:
    """What accuracy to expect, how sure that is, and what it does not cover."""
    estimate = learned.estimate
    assert estimate is not None, "measured before it is shown"
    said = [tag("h2", say.html("accuracy"))]
    if estimate.accuracy is None or estimate.interval is None:
        return "".join(said) + note(say.html("accuracy_unknown"))
    low, high = (f"{100 * end:.0f}" for end in estimate.interval)
    between = tag("span", say.html("accuracy_between", low=low, high=high), class_="between")
    said.append(tag("p", f"{100 * estimate.accuracy:.0f}% {between}", class_="big"))
    said.append(note(say.html("accuracy_how", judged=estimate.judged, folds=estimate.folds)))
    if estimate.unchecked:
        some = ", ".join(estimate.unchecked[:UNCHECKED]) + ("…" if len(estimate.unchecked) > UNCHECKED else "")
        said.append(note(say.html("unchecked", labels=some)))
    return "".join(said)


def one_more(found: Curve | None, table: Table, say: Say) -> str:
    """What one more sentence of each label would bring."""
    title = tag("h2", say.html("more"))
    if found is None:
        label, count = min(table.counts.items(), key=lambda each: each[1])
        return title + note(say.html("more_unknown", least=LEAST, label=label, count=count))
    gain = difference(found.gain, "accuracy", unit=False)
    said = say.html("more_gain", gain=gain) if found.gain >= SMALLEST_GAIN else say.html("more_nothing")
    return title + tag("p", said, class_="say") + accuracy_curve(found, say)


def take(learned: Learned, token: str, say: Say) -> str:
    """The way to what was learned, and how to do the same without the page."""
    shell, python = commands(learned.model)
    link = tag("a", say.html("download"), href=f"../clf/{token}", download="clf.zip", class_="button")
    code = "".join(
        tag("h3", say.html(key)) + tag("pre", tag("code", escape(lines)), tabindex=0)
        for key, lines in (("in_shell", shell), ("in_python", python))
    )
    return tag("h2", say.html("take")) + tag("p", link) + note(say.html("download_what")) + code
