"""A progress bar with the time left, for whatever reports (what, done, of)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Gives `show(what, done, of)`; each `what` has a line, with the time it took or has left. On standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(file=sys.stderr), refresh_per_second=4, disable=not sys.stderr.isatty())
    lines: dict[str, Any] = {}

    def show(what: str, done: int, of: int) -> None:
        if what not in lines:
            lines[what] = bar.add_task(what, total=of)
        bar.update(lines[what], completed=done, total=of)

    with bar:
        yield show


@contextmanager
def training_bar(*, quiet: bool = False) -> Iterator[Callable[[int, int, dict], None]]:
    """Gives `show(step, steps, numbers)` for an outer loop. Without a terminal it prints a line ten times a run."""
    with progress_bar() as show:

        def report(step: int, steps: int, numbers: dict) -> None:
            if quiet:
                return
            shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if isinstance(value, float))
            if sys.stderr.isatty():
                show("meta-training", step, steps)
                if "skipped" in numbers:
                    show("steps skipped", int(numbers["skipped"]), steps)
            elif step % max(1, steps // 10) == 0 or step == steps:
                print(f"step {step} of {steps}  {shown}", file=sys.stderr, flush=True)

        yield report
