"""What `judge` found as a table for the terminal, and its sentences: the verdict first."""

from __future__ import annotations

from typing import Any

from quickstudy.evaluation.language.verdict import after, ceilings, verdict
from quickstudy.wording import listed


def render(result: dict[str, Any]) -> str:
    """The verdict, every method after each number of steps, and what else was found, as plain text."""
    steps, count = result["steps"], result["results"][0]["count"]
    table = [["nats a token", *(f"k={k}" for k in steps), "tasks", "s per new task"]]
    for method in result["methods"]:
        rows = [row for row in result["results"] if row["learner"] == method["learner"]]
        shown = [f"{row['mean']:.3f}" for row in rows]
        table.append([method["learner"], *shown, str(rows[0]["count"]), f"{method['seconds_per_task']:.2f}"])
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    said = [verdict(result, ceilings(result)), "", *lines, ""]
    if len(result["domains"]) > 1:
        said += [f"{name}: {verdict(its, ceilings(result))}" for name, its in result["domains"].items()]
    said += [each for each in (forgetting(result), likeness(result), rates(result)) if each]
    episodes = result["episodes"]
    blocks = f"{episodes['shots']} blocks to learn from, {episodes['queries']} to be judged on, of {episodes['block']} tokens"
    said.append(f"The same {count} tasks for every method: {blocks}, seed {episodes['seed']} (hash {episodes['hash']}).")
    return "\n".join(said)


def forgetting(result: dict[str, Any]) -> str:
    """What learning a task costs elsewhere."""
    found, last = result["forgetting"], result["steps"][-1]
    if found is None:
        return ""
    before, now, when = found["before"], found["after"][-1], after([last])
    over = f"mean over {found['tasks']} tasks" if found["tasks"] != 1 else "one task"
    return f"On other text: {before:.3f} nats a token before, {now:.3f} {when} ({now - before:+.3f}, {over})."


def likeness(result: dict[str, Any]) -> str:
    """How alike support and query are, and how different the tasks."""
    text = result["text"]
    shared = "" if text["overlap"] is None else f"{100 * text['overlap']:.1f}% of a query's runs of 8 tokens are in its support"
    says = text["says"] or ""
    said = ". ".join(part.rstrip(".") for part in (shared, says and says[0].upper() + says[1:]) if part)
    return f"{said}." if said else ""


def rates(result: dict[str, Any]) -> str:
    """How each method's rates were chosen."""
    found = result["rates"]
    if not (result["steps"][-1] and any(method["takes_steps"] for method in result["methods"])):
        return "No step is taken, so there are no rates to choose."
    if found["tasks"]:
        tried = max(len(method["tried"]) for method in result["methods"])
        where = f"{found['tasks']} tasks of {listed(found['domains'])}"
        return f"Rates: for each method and number of steps the best of {tried} on {where}, which are not judged on."
    return f"Rates were not tuned here, for any method: {found['why']}."
