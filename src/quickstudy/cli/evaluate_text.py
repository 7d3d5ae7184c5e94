"""`quickstudy evaluate MODEL` where MODEL is a language model: what `evaluate` does with plain text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from quickstudy.errors import QuickstudyError
from quickstudy.runs.shipped import find_run
from quickstudy.wording import counted

SHOTS, QUERIES, EPISODES, STEPS = "4", "4", 20, "0,1,2,4,8"
"""Blocks to learn from and to be judged on, tasks, and steps, where nobody says otherwise."""
VALIDATION = 6
"""Tasks that rates are chosen on."""


def reads_text(model: str) -> bool:
    """Whether MODEL is a language model to be judged on plain text: a run on text by domain, an adapter, or one by name."""
    from quickstudy.learners.artefact import is_artefact
    from quickstudy.models.loading import is_language_model
    from quickstudy.runs.recipe import Recipe

    folder = Path(model).expanduser()
    if (run := find_run(model)) is not None:
        return Recipe.read(run / "recipe.yaml").data.domains is not None
    if is_artefact(folder):
        return (folder / "adapter_config.json").is_file()  # at the top, where PEFT looks for it
    try:
        return model != "default" and is_language_model(model)
    except QuickstudyError:
        return False  # what is wrong is said where it is opened


def refuse_labelled(model: str, given: dict[str, Any]) -> None:
    """Makes sure that no option is given that is about examples with labels."""
    for option, value in given.items():
        if value:
            raise QuickstudyError(f"{option} belongs to examples with labels, and {model} is judged on plain text; leave it out")


def evaluate_text(
    model: str,
    data: str | None,
    *,
    steps: str | None,
    shots: str,
    queries: str,
    episodes: int | None,
    seed: int,
    baselines: Any,
    device: str,
    json_file: Path | None,
    report: Path | None,
) -> None:
    """Judges ways of adapting a language model to text, prints a table, and writes the numbers and a page."""
    from quickstudy.atomic import write_json
    from quickstudy.cli.progress import progress_bar
    from quickstudy.cli.resolve import RANK, TEXT
    from quickstudy.evaluation.language.copied import copied_sentence
    from quickstudy.evaluation.language.drawn import drawn
    from quickstudy.evaluation.language.judge import judge
    from quickstudy.evaluation.language.methods import methods
    from quickstudy.evaluation.language.table import render
    from quickstudy.models.device import chosen

    numbers, count = _steps(steps or STEPS), _count("episodes", EPISODES if episodes is None else episodes)
    sizes = _count("shots", shots or SHOTS), _count("queries", queries or QUERIES)
    if seed < 0:
        raise QuickstudyError(f"--seed {seed}: give a whole number of at least 0")
    if (run := find_run(model)) is None and data is None:
        raise QuickstudyError(f"--data is missing: give {model} a folder of text, or a file (.txt, .md, .jsonl, .pdf)")
    judged, recipe = _judged(model, run)
    judged.learner.to(chosen(device))
    tokenizer: Any = judged.learner.model.tokenizer  # type: ignore[union-attr]
    asked = drawn(_source(recipe, model, data, tokenizer, sum(sizes), count, seed), *sizes, count, seed=seed)
    settings = {key: TEXT[key] for key in ("lr", "micro_batch")}
    with progress_bar() as show:
        every = methods(judged, baselines, lora=RANK, **settings, recipe=recipe, progress=show)
        other = _prose(tokenizer, asked.source.block)
        validation = _validation(recipe, model, asked.source, *sizes)
        result, plans = judge(every, asked, numbers, validation=validation, other=other, progress=show)
        result["leaks"], why = _leaks(recipe, model, asked.source, show)
    typer.echo(render(result))
    typer.echo(copied_sentence(result["leaks"], why))
    if (there := len(asked.tasks)) < count:
        topics, tasks = counted(there, "topic"), counted(there, "task")
        typer.echo(f"The text has {topics}, so there are {tasks}, not {count:,}: no two of them share a document.")
    if json_file:
        write_json(json_file, result)
    if report:
        from quickstudy.evaluation.language.gather import gather
        from quickstudy.evaluation.language.page import write

        part = "all domains of --data" if data else "test, as the run's recipe divides the domains"
        protocol = {"Split": part} | ({"Seed of the run": str(recipe.seed)} if recipe else {})
        with progress_bar() as show:
            found = gather(result, every[0], plans[0], asked, model=model, data=data, why=why, protocol=protocol, progress=show)
        write(report, found)
        typer.echo(f"Report: {report}")


def _judged(model: str, run: Path | None) -> tuple[Any, Any]:
    """The method that MODEL is, and its recipe where it is a run."""
    from quickstudy.cli.resolve import TEXT, resolve_for_text
    from quickstudy.evaluation.language.method import Method
    from quickstudy.evaluation.language.methods import adam, fresh_adapters
    from quickstudy.learners.artefact import is_artefact
    from quickstudy.runs.opening import open_run

    if run is not None:
        recipe, learner = open_run(run)
        return Method(learner.title, learner, "the run that is judged, by its own rule"), recipe
    network, settings = resolve_for_text(model).model, {key: TEXT[key] for key in ("lr", "micro_batch")}
    if is_artefact(folder := Path(model).expanduser()):
        return Method(folder.resolve().name, adam(network, **settings), "the adapter that is judged, by Adam"), None
    return fresh_adapters(network, **settings), None


def _source(recipe: Any, model: str, data: str | None, tokenizer: Any, most: int, count: int, seed: int) -> Any:
    """The text that is judged on: the run's test domains, or all domains of --data."""
    from quickstudy.evaluation.language.drawn import own_domains
    from quickstudy.runs.build import data_part

    part: Any = recipe.data.domains if recipe else None
    if data is None:
        if not part.test:
            raise QuickstudyError(f"the recipe of {model} names no test domains; give --data with text that it has not seen")
        return data_part(recipe, "test")
    shape = {"block": part.block, "by": part.by} if part else {}
    source = own_domains(data, tokenizer, count, most, seed=seed, **shape)
    known = [name for name in source.domains if part and name in part.train]
    if known:
        what = f"--data {data}: {model} has learned from the domain {known[0]!r}"
        raise QuickstudyError(f"{what}; leave it out, or give it another name if it is other text")
    return source


def _validation(recipe: Any, model: str, judged_on: Any, shots: int, queries: int) -> Any:
    """Tasks that rates are chosen on; or why there are none."""
    from quickstudy.evaluation.language.drawn import drawn
    from quickstudy.runs.build import data_part

    if recipe is None:
        return f"{model} is no run, so it has no validation domains"
    names = [name for name in recipe.data.domains.valid if name not in judged_on.domains]
    if not names:
        return f"the recipe of {model} names no validation domains" + " but those judged on" * bool(recipe.data.domains.valid)
    try:
        source: Any = data_part(recipe, "valid")
        return drawn(source.only(names), shots, queries, VALIDATION)
    except QuickstudyError as error:
        return f"the validation domains of {model} are not at hand ({error})"


def _leaks(recipe: Any, model: str, judged_on: Any, show: Any) -> tuple[dict[str, Any] | None, str]:
    """Copies of what a run learned from among what it is judged on; or None, and why."""
    from quickstudy.evaluation.language.copied import copied
    from quickstudy.runs.build import data_part

    if recipe is None:
        return None, f"not done, since {model} is no run, and what its base has read is not known here"
    try:
        show("leak check", 0, 1)
        learned_from: Any = data_part(recipe, "train")
        found = copied(learned_from, judged_on)
        show("leak check", 1, 1)
    except QuickstudyError as error:
        return None, f"not done, since the text that {model} learned from is not at hand ({error})"
    return found, ""


def _prose(tokenizer: Any, block: int) -> Any:
    """Other text, by which it is seen what is forgotten."""
    from quickstudy.cli.adapt_text import PROSE
    from quickstudy.tasks.documents import documents
    from quickstudy.tasks.own_text import whole

    return whole(documents(PROSE), tokenizer, block=block)


def _count(option: str, value: str | int) -> int:
    """A whole number of at least 1."""
    if not str(value).isdecimal() or int(value) < 1:
        raise QuickstudyError(f"--{option} {value}: of text, give a whole number of at least 1")
    return int(value)


def _steps(value: str) -> list[int]:
    """Numbers of steps, in order."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise QuickstudyError(f"--steps {value}: give whole numbers of steps with commas between them, such as {STEPS}")
    return sorted(set(map(int, parts)))
