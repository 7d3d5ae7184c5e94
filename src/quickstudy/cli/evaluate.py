"""`quickstudy evaluate MODEL --data ...`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from quickstudy.cli.device import Device
from quickstudy.cli.evaluate_imitation import evaluate_imitation, imitates
from quickstudy.cli.evaluate_text import evaluate_text, reads_text, refuse_labelled
from quickstudy.cli.evaluate_trials import acts, evaluate_trials
from quickstudy.errors import QuickstudyError


def evaluate(
    model: Annotated[str, typer.Argument(help="`default`, a run, a Hugging Face model folder or id, or a name.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="A table, a folder of images or a named set; for a language model a folder or file of text (.txt, .md, .jsonl, "
            ".pdf). Default: the run's own test part."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The part of a named set.")] = "test",
    fold: Annotated[int | None, typer.Option(help="A published class split of a named set, from 1.")] = None,
    ways: Annotated[str, typer.Option(help="Classes a task: a number, a range (3-7) or 'all'. Default: 5.")] = "",
    shots: Annotated[
        str, typer.Option(help="Examples a class to learn from: a number or a range (1-5). Default: 5; of text 4 blocks.")
    ] = "",
    queries: Annotated[
        str,
        typer.Option(
            help="Examples a class to be judged on: a number or 'all'. Default: 5, or all where ways are all; of text 4 blocks."
        ),
    ] = "",
    episodes: Annotated[
        int | None,
        typer.Option(
            help="How many tasks. Default: 100; 10 where ways are all; of text 20, of trials 20,000 or 128, of a robot all."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the tasks.")] = 0,
    names: Annotated[bool, typer.Option("--names", help="The class name is one more example, for every learner alike.")] = False,
    baselines: Annotated[
        str,
        typer.Option(help="none, standard, or full (adds three ways of fine-tuning, and joint training, on the first 50 tasks)."),
    ] = "standard",
    thorough: Annotated[
        bool, typer.Option("--thorough", help="MODEL `default` tries fine-tuning too, as `adapt --thorough` does.")
    ] = False,
    steps: Annotated[
        str | None, typer.Option(help="Of a language model: after how many steps it is judged. Default: 0,1,2,4,8.")
    ] = None,
    text: Annotated[str, typer.Option(help="The column of the sentences.")] = "text",
    label: Annotated[str, typer.Option(help="The column of the labels.")] = "label",
    robot: Annotated[
        str | None, typer.Option(help="Of a run that imitates: a robot of yours, my_arm.py:arm. Default: that of Meta-World.")
    ] = None,
    device: Device = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page about all of it here (one HTML file).")] = None,
) -> None:
    """Judge a run on tasks it never saw, beside honest baselines; or the baselines alone, on a plain model."""
    from quickstudy.atomic import require_place, write_json
    from quickstudy.cli.progress import progress_bar
    from quickstudy.cli.resolve import default_model, require_reader, resolve
    from quickstudy.evaluation.evaluate import evaluate as judge
    from quickstudy.evaluation.evaluate import ranking
    from quickstudy.evaluation.leakage import leak_sentence, leakage
    from quickstudy.evaluation.report import page
    from quickstudy.evaluation.report.observed import Observed
    from quickstudy.evaluation.table import render
    from quickstudy.models.device import chosen
    from quickstudy.models.image_loading import seen_before
    from quickstudy.runs.baselines import baselines_for
    from quickstudy.runs.history import validation_curve
    from quickstudy.tasks.episodes import Episodes
    from quickstudy.tasks.named import divided_by_class
    from quickstudy.tasks.table import Table

    if baselines not in ("none", "standard", "full"):
        raise QuickstudyError(f"--baselines {baselines}: give none, standard or full")
    if report:
        page.check_place(report)
    if json_file:
        require_place(json_file, "--json")
    if imitates(model):
        refused = {"--ways": ways, "--shots": shots, "--queries": queries, "--steps": steps}
        refused |= {"--split": split != "test", "--fold": fold, "--names": names, "--thorough": thorough}
        refused |= {"--text": text != "text", "--label": label != "label"}
        if wrong := next((option for option, value in refused.items() if value), None):
            raise QuickstudyError(f"{wrong}: {model} learned from demonstrations; leave {wrong} out")
        asked: dict[str, Any] = {"robot": robot, "tasks": episodes, "seed": seed, "baselines": baselines, "device": device}
        return evaluate_imitation(model, data, **asked, json_file=json_file, report=report)
    if robot is not None:
        raise QuickstudyError(f"--robot belongs to a run that learned from demonstrations, and {model} is none; leave it out")
    if acts(model):
        refused = {"--data": data, "--ways": ways, "--shots": shots, "--queries": queries, "--steps": steps}
        refused |= {"--split": split != "test", "--fold": fold, "--names": names, "--thorough": thorough}
        refused |= {"--text": text != "text", "--label": label != "label", "--baselines full": baselines == "full"}
        if wrong := next((option for option, value in refused.items() if value), None):
            raise QuickstudyError(f"{wrong}: {model} learned to act, and its recipe says in what; leave {wrong} out")
        numbers = {"trials": episodes, "seed": seed}
        return evaluate_trials(model, **numbers, baselines=baselines, device=device, json_file=json_file, report=report)
    if reads_text(model):
        given = {"--split": split != "test", "--fold": fold, "--ways": ways, "--names": names, "--thorough": thorough}
        refuse_labelled(model, given | {"--text": text != "text", "--label": label != "label"})
        numbers = {"steps": steps, "shots": shots, "queries": queries, "episodes": episodes, "seed": seed}
        return evaluate_text(model, data, **numbers, baselines=baselines, device=device, json_file=json_file, report=report)
    if steps is not None:
        raise QuickstudyError(f"--steps belongs to a language model that learns text, and {model} is none; leave it out")
    ways, shots = ways or "5", shots or "5"
    everything = ways == "all"
    if fold is None and data is not None and divided_by_class(data):
        fold = 1
    source, support = _source(model, data, split, fold, text, label)
    learner, name = resolve(model, thorough=thorough, base=default_model(source))
    learner.to(chosen(device))
    inputs = _inputs(model)
    require_reader(learner, source, model, inputs=inputs)
    tasks = Episodes(
        source,
        ways="all" if everything else _range("ways", ways),
        shots=_range("shots", shots),
        queries="all" if queries == "all" or (everything and not queries) else _number("queries", queries or "5"),
        tasks=_positive("episodes", episodes if episodes is not None else (10 if everything else 100)),
        seed=seed,
        support=support,
        names=names,
        inputs=inputs,
    )
    with progress_bar() as show:
        labels = source.classes if isinstance(source, Table) else ()
        standard, slow = baselines_for(learner, model, name, baselines, labels=labels, progress=show)
        observed = Observed() if report else None
        result = judge(learner, tasks, baselines=standard, slow_baselines=slow, progress=show, observe=observed)
    typer.echo(render(result))
    best = ranking(result)[0][0]["learner"]
    if not names and getattr(source, "reads", "") == "sentence" and best.startswith(("ZeroStep", "Default")):
        typer.echo(f"{best} reads the label names, which the others were not given; --names gives them to every learner alike.")
    if (learned_from := _learned_from(model)) and isinstance(source, Table):
        result["leaks"] = leakage(learned_from, source.texts, reads=source.reads)
        typer.echo(leak_sentence(result["leaks"]))
    if divided_by_class(data or "") and (said := seen_before(name)):
        typer.echo(f"{said} On {data} that is a check of transfer, not of learning new classes.")
    if (Path(model) / "recipe.yaml").is_file():
        result["meta_training_curve"] = validation_curve(model)
    if json_file:
        write_json(json_file, result)
    if report and observed:
        from quickstudy.evaluation.report.gather import gather

        part = _part(data, split, fold, support is not None)
        with progress_bar() as show:
            found = gather(result, observed, [learner, *standard], tasks, model=model, part=part, progress=show)
        page.write(report, found)
        typer.echo(f"Report: {report}")


def _source(model: str, data: str | None, split: str, fold: int | None, text: str, label: str) -> tuple[Any, Any]:
    """Where the queries and, if elsewhere, the shots come from."""
    from quickstudy.runs.build import data_part
    from quickstudy.runs.recipe import Recipe
    from quickstudy.tasks.named import select_part
    from quickstudy.tasks.table import Table

    if data is None:
        recipe = Path(model) / "recipe.yaml"
        if not recipe.is_file():
            raise QuickstudyError("--data is missing: give a table (CSV, TSV, JSONL) or the name of a set")
        return data_part(Recipe.read(recipe), "test"), None
    if Path(data).suffix or Path(data).exists() or data.startswith("hf:"):
        if fold is not None:
            raise QuickstudyError(f"--fold belongs to the named sets; {data} is a table of your own")
        return Table.read(data, text=text, label=label), None
    pool, support = select_part(data, split=split, fold=fold)
    return pool, None if support is pool or support.texts == pool.texts else support


def _part(data: str | None, split: str, fold: int | None, divided: bool) -> str:
    """The part of the data that was judged on, in words."""
    if data is None:
        return "test, as the run's recipe divides the data"
    if fold is not None:
        return f"{split}, by the classes of published fold {fold}"
    return f"{split}; examples to learn from are of train" if divided else "all rows"


def _inputs(model: str) -> Any:
    """What makes references into what a run's network takes; None where it takes them, or sentences, itself."""
    from quickstudy.runs.image_network import pictures_of
    from quickstudy.runs.recipe import Recipe

    recipe = Path(model) / "recipe.yaml"
    return pictures_of(Recipe.read(recipe)) if recipe.is_file() else None


def _learned_from(model: str) -> list[str]:
    """The sentences that a run was meta-trained on; none for a plain model."""
    from quickstudy.runs.build import data_part
    from quickstudy.runs.recipe import Recipe
    from quickstudy.tasks.table import Table

    recipe = Path(model) / "recipe.yaml"
    part = data_part(Recipe.read(recipe), "train") if recipe.is_file() else None
    return part.texts if isinstance(part, Table) else []


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise QuickstudyError(f"--{name} {value}: give a whole number") from None


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise QuickstudyError(f"--{name} {value}: give a number of at least 1")
    return value


def _range(name: str, value: str) -> int | tuple[int, int]:
    least, dash, most = value.partition("-")
    return (_number(name, least), _number(name, most)) if dash and least else _number(name, value)
