"""`quickstudy demo`: the main job, start to end, on real sentences."""

from __future__ import annotations

import csv
import json
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from quickstudy.errors import QuickstudyError

MARK = ".quickstudy-demo"
SHOTS = 5


def demo(
    data: Annotated[str, typer.Option(help="A named set; helpdesk comes with the package.")] = "helpdesk",
    out: Annotated[Path, typer.Option(help="The folder to write; an earlier demo there is replaced.")] = Path("runs/demo"),
) -> None:
    """Meta-train on some intents, judge on others, learn labels from five sentences each, predict."""
    from quickstudy.cli.adapt import adapt
    from quickstudy.cli.evaluate import evaluate
    from quickstudy.cli.predict import predict
    from quickstudy.cli.train import train
    from quickstudy.runs.shipped import shipped_recipe
    from quickstudy.tasks.named import folds, named

    begun = time.perf_counter()
    recipe = shipped_recipe("text/helpdesk.yaml")
    classes = folds(data)[0]
    table = named(data)
    _empty(out)
    run, small, clf = out / "run", out / "five_a_label.csv", out / "clf"
    _say(
        f"{data}: {len(table)} sentences, {len(table.classes)} intents in three groups that share none: "
        f"{len(classes['train'])} to learn "
        f"how to learn from, {len(classes['valid'])} to choose the best moment, {len(classes['test'])} that "
        "are never seen before the end."
    )

    _step(1, "Learn to learn from many small tasks", f"quickstudy train {_short(recipe)} --out {run}" + _changed(data))
    train(recipe, run, changes=[f"data.set={data}"])

    _step(
        2,
        "Judge it on intents it never saw, beside models that learned nothing beforehand",
        f"quickstudy evaluate {run} --ways 5 --shots 5 --episodes 200 --names",
    )
    numbers = out / "evaluation.json"
    evaluate(str(run), ways="5", shots="5", queries="5", episodes=200, names=True, json_file=numbers)
    typer.echo(_in_plain_words(json.loads(numbers.read_text(encoding="utf-8"))))

    asked = _write_small(table.select(classes=classes["test"]), small)
    _step(
        3,
        f"Learn {len(classes['test'])} new labels from {SHOTS} sentences each",
        f"quickstudy adapt {run} --support {small} --out {clf}",
    )
    adapt(clf, str(small), model=str(run))

    shown = " ".join(f'"{text}"' for text, _ in asked)
    _step(4, "Predict three sentences that it has not seen", f"quickstudy predict {clf} {shown}")
    predict(clf, [text for text, _ in asked])
    typer.echo("The right answers: " + ", ".join(label for _, label in asked) + ".")

    _step(5, "On your own data", "")
    typer.echo(
        "A table with the columns text and label is enough (CSV, TSV or JSONL). The run above already "
        "learned how to learn, so this needs\n"
        "no training of yours:\n"
        "  quickstudy data check my.csv                                  what is in it, what is wrong with it\n"
        f"  quickstudy evaluate {run} --data my.csv --ways all --shots 5   how well it would do\n"
        f"  quickstudy adapt {run} --support my.csv --out my_clf           learn your labels\n"
        '  quickstudy predict my_clf "a sentence"                        use it\n'
        "With many labels of your own to learn how to learn from: quickstudy train own-labels --data my.csv --out runs/mine"
    )
    _say(f"\nThe whole demo took {time.perf_counter() - begun:.0f} seconds; everything it made is in {out}.")


def _in_plain_words(result: dict[str, Any]) -> str:
    rows = {row["learner"]: row["mean"] for row in result["results"]}
    judged = result["results"][0]["learner"]
    baseline = max((name for name in rows if name != judged), key=rows.__getitem__)
    gain = 100 * (rows[judged] - rows[baseline])
    what = "helped" if gain > 0 else "did not help"
    return (
        "In plain words: of five intents it never saw, five sentences each were enough to tell "
        f"{100 * rows[judged]:.0f} of 100 sentences "
        f"right (guessing: 20). Learning to learn beforehand {what} here: {gain:+.1f} against {baseline}, "
        "which only read the sentences."
    )


def _write_small(table, path: Path) -> list[tuple[str, str]]:
    """Writes five sentences a label, and returns three others with their labels."""
    from quickstudy.tasks.episodes import Episodes

    task = Episodes(table, ways="all", shots=SHOTS, queries=1, seed=0)[0][0]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(task.support.inputs, task.support.targets, strict=True))
    return list(zip(task.query.inputs, task.query.targets, strict=True))[:3]


def _empty(out: Path) -> None:
    """Makes an empty folder with our mark, replacing only what an earlier demo left."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise QuickstudyError(f"{out} is not empty and no earlier demo; give another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _changed(data: str) -> str:
    return "" if data == "helpdesk" else f" --set data.set={data}"


def _step(number: int, what: str, command: str) -> None:
    typer.echo(f"\n{number}. {what}" + (f"\n   $ {command}" if command else ""))


def _say(text: str) -> None:
    typer.echo(text)
