"""`quickstudy plan RECIPE`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quickstudy.cli.device import Device
from quickstudy.errors import QuickstudyError

if TYPE_CHECKING:
    from quickstudy.runs.plan.base import Base
    from quickstudy.runs.plan.lower import Lower
    from quickstudy.runs.plan.plan import Plan

SHOWN = 4
"""Settings that are shown for memory, and for time."""
CALLS = {
    "slope": "gradients",
    "taped": "gradients that keep their tape",
    "product": "Hessian-vector products",
    "product of a tape": "Hessian-vector products from a tape",
    "step": "inner steps with their graphs",
    "graph": "the query with its graph",
    "embedded": "embeddings and the way back",
    "value": "losses",
}


def plan(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML), or the name of a shipped one.")],
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set steps=10")] = None,
    base: Annotated[
        list[str] | None, typer.Option(help="A larger base by its shapes: 1B, 8B, a folder or a config.json. Loads no weights.")
    ] = None,
    tokens: Annotated[int, typer.Option(help="Tokens of a sentence, for --base.")] = 128,
    device: Device = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """How much memory and time will a recipe take, and what would lower them? Before it runs."""
    from quickstudy.atomic import require_place, write_json
    from quickstudy.runs.plan.base import estimate
    from quickstudy.runs.plan.lower import lower
    from quickstudy.runs.plan.plan import Planner
    from quickstudy.runs.recipe import Recipe
    from quickstudy.runs.shipped import find_recipe
    from quickstudy.runs.yaml_positions import read

    if tokens < 1:
        raise QuickstudyError(f"--tokens {tokens}: give a number of at least 1")
    if json_file:
        require_place(json_file, "--json")
    file, given = find_recipe(recipe), list(changes or [])
    if "data" not in read(file).data and not any(change.startswith("data") for change in given):
        raise QuickstudyError(f"{file.stem} leaves the data to you: add --set data.table=FILE, or data.unlabelled=FOLDER")
    planner = Planner(Recipe.read(file, given), device=device)
    found = planner.plan()
    typer.echo(_said(found))
    bases = [estimate(name, planner, found, tokens=tokens, precision=each) for name in base or [] for each in ("fp32", "bf16")]
    if bases:
        typer.echo(f"\nwith another base, {tokens} tokens a sentence: an estimate, not measured")
    for each in bases:
        typer.echo(_of_base(each))
    memory, seconds = lower(planner, found)
    for what, several in (("memory", memory), ("time", seconds)):
        if several:
            typer.echo(f"\nto lower {what}")
        width = max((len(each.change) for each in several[:SHOWN]), default=0)
        for each in several[:SHOWN]:
            typer.echo(f"  {each.change:<{width}}  {_against(each, found)}")
    if json_file:
        numbers = found.numbers() | {"bases": [each.numbers() for each in bases]}
        for name, several in (("lower_memory", memory), ("lower_time", seconds)):
            numbers[name] = {each.change: each.plan.numbers() for each in several}
        write_json(json_file, numbers)


def _said(plan: Plan) -> str:
    memory = {
        "weights": plan.weights,
        "the outer optimizer": plan.optimizer,
        "what the steps keep": plan.kept,
        f"activations of {CALLS[plan.call[0]]}": plan.activations,
        "the frozen layers' output, kept by sentence": plan.frozen,
    }
    rest = plan.step - sum(plan.calls.values())
    spent = {CALLS[what]: seconds for what, seconds in plan.calls.items()} | {"the rest": rest}
    each = ", ".join(f"{_duration(seconds)} {what}" for what, seconds in spent.items() if seconds >= 0.005 * plan.step)
    whole = f"{_duration(plan.seconds)} for {plan.steps:,} steps"
    if plan.validations:
        whole += f" and {plan.validations} validations of {_duration(plan.validation)}"
    if plan.beside >= 0.005 * plan.seconds:
        whole += f"; the frozen layers once a sentence, {_duration(plan.beside)}, are in it"
    parts = ", ".join(f"{_size(value)} {what}" for what, value in memory.items() if value >= 0.005 * plan.memory)
    lines = [
        f"memory  {_size(plan.memory)} at the peak, beside Python and its libraries",
        f"        {parts}",
        f"time    {_duration(plan.step)} a step",
        f"        {each}",
        f"        {whole}",
    ]
    return "\n".join(lines)


def _of_base(base: Base) -> str:
    parts = (
        f"{_size(base.weights)} weights, {_size(base.adapters)} adapters and optimizer, {_size(base.kept)} what the steps keep"
    )
    size = f"{base.parameters / 1e9:.2f} billion parameters"
    return f"  {base.name} {base.precision}  {_size(base.memory)}: {parts}, {_size(base.activations)} activations ({size})"


def _against(lower: Lower, plan: Plan) -> str:
    memory, step = lower.plan.memory / plan.memory - 1, lower.plan.step / plan.step - 1
    numbers = "the same numbers" if lower.same else "other numbers"
    return f"{_size(lower.plan.memory)} ({memory:+.0%}), {_duration(lower.plan.step)} a step ({step:+.0%}); {numbers}"


def _size(count: float) -> str:
    """Bytes for a person, in decimal units."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.{0 if count >= 100 * size else 1}f} {unit}"
    return f"{count / 1e3:.0f} kB"


def _duration(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{1000 * seconds:.{0 if seconds >= 0.00995 else 1}f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 60:
        return f"{minutes:.0f} min"
    return f"{int(hours)} h {int(minutes) % 60} min"
