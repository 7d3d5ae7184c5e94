"""On what does second order pay: MAML exact, first order, Reptile and joint training over K and over the diversity of tasks.

python benchmarks/second_order.py OUT            # one line a cell; those that are there are skipped
python benchmarks/second_order.py table OUT
python benchmarks/second_order.py figure OUT     # docs/results/second-order.svg
python benchmarks/second_order.py times
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quickstudy import MAML, Batch, Episodes, Reptile, Task
from quickstudy.evaluation.report.svg import Scale, line, mark, tag, text
from quickstudy.evaluation.statistics import paired_bootstrap
from quickstudy.inner.loop import InnerLoop
from quickstudy.learners.gradient import GradientLearner
from quickstudy.learners.together.nets import StackedNets
from quickstudy.models.networks import mlp

DIVERSITIES, STEPS = (0.1, 0.4, 1.0), (1, 3, 10)
TUNING_SEEDS, SEEDS = (0, 1), (0, 1, 2, 3, 4)
RATES = (0.003, 0.01, 0.03)
OUTER, TRAINING = 0.01, 500
FINE_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
FIGURE = Path(__file__).parents[1] / "docs/results/second-order.svg"


@dataclass(frozen=True)
class Curves:
    """y = a sin(x + b), a and b uniform around 2.55 and pi/2: `diversity` 0 is one task, 1 is a in [0.1, 5], b in [0, pi]."""

    diversity: float

    def draw(self, generator: np.random.Generator, shots: int, queries: int) -> tuple[Batch, Batch]:
        """Points of one curve, `(points, 1)` each."""
        a = 2.55 + 2.45 * self.diversity * generator.uniform(-1, 1)
        b = np.pi / 2 * (1 + self.diversity * generator.uniform(-1, 1))
        x = generator.uniform(-5, 5, size=(shots + queries, 1))
        x, y = (torch.tensor(values, dtype=torch.float32) for values in (x, a * np.sin(x + b)))
        return Batch(x[:shots], y[:shots]), Batch(x[shots:], y[shots:])


def pooled(task: Task) -> Task:
    """All twenty points in both places, for methods that know no query."""
    inputs, targets = (torch.cat([getattr(b, part) for b in (task.support, task.query)]) for part in ("inputs", "targets"))
    return Task(Batch(inputs, targets), Batch(inputs, targets), seed=task.seed)


EXACT, FIRST, REPTILE, JOINT = "MAML, exact", "MAML, first order", "Reptile", "joint"
METHODS: dict[str, tuple[Callable[..., GradientLearner], Callable[[Task], Task]]] = {
    EXACT: (lambda model, rate, k: MAML(model, rate, inner_steps=k), lambda task: task),
    FIRST: (lambda model, rate, k: MAML(model, rate, inner_steps=k, gradient="first_order"), lambda task: task),
    REPTILE: (lambda model, rate, k: Reptile(model, rate, inner_steps=k), pooled),
    JOINT: (lambda model, rate, k: MAML(model, rate, inner_steps=0), pooled),
}
TWICE, UNADAPTED, TUNED = ", twice the steps", "joint, not adapted", "joint, fine-tuned"
VALIDATION = {d: Episodes(Curves(d), shots=10, queries=50, tasks=100, seed=98)[0] for d in DIVERSITIES}
TEST = {d: Episodes(Curves(d), shots=10, queries=50, tasks=500, seed=99)[0] for d in DIVERSITIES}


def errors(learner: GradientLearner, tasks: Sequence[Task]) -> list[float]:
    """Each task's squared error after adapting; side by side, the first compared with `adapt`."""
    side = StackedNets.of(learner)
    assert side is not None
    support, query = side.stacked([t.support for t in tasks]), side.stacked([t.query for t in tasks])
    phi = {name: p.detach().expand(len(tasks), *p.shape) for name, p in learner.model.named_parameters()}
    phi = InnerLoop(side.derivatives, learner.rule, learner.model).learn(phi, [support] * learner.inner_steps).phi
    answer = torch.func.vmap(lambda phi, x: torch.func.functional_call(learner.model, phi, (x,)))
    found = (answer(phi, query.inputs) - query.targets).square().mean(dim=(1, 2)).tolist()
    alone = tasks[0].score(learner.adapt(tasks[0].support))["squared_error"]
    assert abs(found[0] - alone) <= 1e-3 * max(alone, 1e-3), (found[0], alone)
    return found


def train(method: str, d: float, k: int, rate: float, seed: int) -> tuple[torch.nn.Module, int]:
    """The trained model, and how many steps diverged; Adam, its rate going to zero. In joint training `rate` is that rate."""
    steps = TRAINING * (2 if method.endswith(TWICE) else 1)
    make, shown = METHODS[method.removesuffix(TWICE)]
    model, skipped = mlp([1, 40, 40, 1], seed=seed), 0
    learner, outer = make(model, rate, k), rate if method == JOINT else OUTER
    optimizer = torch.optim.Adam(learner.parameters(), lr=outer)
    for step, tasks in enumerate(islice(Episodes(Curves(d), shots=10, queries=10, tasks=8, seed=1 + seed), steps)):
        optimizer.param_groups[0]["lr"] = outer * (1 - step / steps)
        optimizer.zero_grad()
        try:
            learner([shown(task) for task in tasks]).backward()
        except ValueError:  # diverged: no step, as in a run
            skipped += 1
            continue
        optimizer.step()
    return model, skipped


def score(model: torch.nn.Module, d: float, k: int, rate: float, tasks: dict[float, list[Task]]) -> list[float]:
    """Errors after K steps at this rate; infinite where one diverges."""
    try:
        return [float(f"{e:.4g}") for e in errors(MAML(model, rate, inner_steps=k), tasks[d])]
    except ValueError:
        return [float("inf")] * len(tasks[d])


def cell(method: str, d: float, k: int, rate: float, seed: int) -> dict[str, Any]:
    """One training run, judged; joint training for every K and fine-tuning rate."""
    model, skipped = train(method, d, k, rate, seed)
    tried = [(0, 0.0), *product(STEPS, FINE_RATES)] if method == JOINT else [(k, rate)]
    scores = {f"{n} {r:g}": [score(model, d, n, r, tasks) for tasks in (VALIDATION, TEST)] for n, r in tried}
    found = {key: {"validation": float(np.mean(v)), "test": t} for key, (v, t) in scores.items()}
    return {"cell": [method, d, k, rate, seed], "skipped": skipped, "scores": found}


class Cells:
    """What was measured; reading and adding."""

    def __init__(self, path: Path):
        self.path, self.known = path, {}
        for row in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            found = json.loads(row)
            self.known[tuple(found["cell"])] = found

    def __call__(self, *key: Any) -> dict[str, Any]:
        """A cell, measured if it is not there yet."""
        if key not in self.known:
            self.known[key] = cell(*key)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.known[key]) + "\n")
            best = min(s["validation"] for s in self.known[key]["scores"].values())
            print(json.dumps({"cell": key, "skipped": self.known[key]["skipped"], "validation": round(best, 4)}), flush=True)
        return self.known[key]

    def chosen(self, method: str, d: float, k: int) -> tuple[float, str]:
        """The rate of training, and the key of the scores, that were best on the validation tasks, mean of two seeds."""
        joint, base = method in (UNADAPTED, TUNED), JOINT if method in (UNADAPTED, TUNED) else method.removesuffix(TWICE)
        steps, sums = 0 if method == UNADAPTED else k, {}
        for rate, seed in product(RATES, TUNING_SEEDS):
            for key, found in self(base, d, 0 if joint else k, rate, seed)["scores"].items():
                if int(key.split()[0]) == steps:
                    sums[rate, key] = sums.get((rate, key), 0.0) + found["validation"]
        return min(sums, key=sums.__getitem__)

    def runs(self, method: str, d: float, k: int) -> list[list[float]]:
        """The test tasks' errors, for each seed."""
        rate, key = self.chosen(method, d, k)
        place = (JOINT, d, 0) if method in (UNADAPTED, TUNED) else (method, d, k)
        return [self(*place, rate, seed)["scores"][key]["test"] for seed in SEEDS]


ALL = (EXACT, FIRST, FIRST + TWICE, REPTILE, REPTILE + TWICE, TUNED, UNADAPTED)


@dataclass(frozen=True)
class Compared:
    """A method beside exact: the mean error of each, the interval of the difference over tasks, whether all seeds agree."""

    mean: float
    exact: float
    ends: list[float]
    agree: bool

    @property
    def certain(self) -> bool:
        return self.agree and (min(self.ends) > 0 or max(self.ends) < 0)

    @property
    def ratios(self) -> list[float]:
        """The error as a multiple of that of exact, and the ends of its interval."""
        return [self.mean / self.exact, *(max(0.01, (self.exact + end) / self.exact) for end in self.ends)]


def compared(cells: Cells, method: str, d: float, k: int) -> Compared:
    """Errors are averaged over seeds for each task; the interval is over tasks."""
    runs, exact = np.array(cells.runs(method, d, k)), np.array(cells.runs(EXACT, d, k))
    difference, ends = paired_bootstrap(runs.mean(axis=0), exact.mean(axis=0))
    agree = len(set(np.sign((runs - exact).mean(axis=1)))) == 1
    return Compared(float(runs.mean()), float(exact.mean()), ends or [difference] * 2, agree)


def table(cells: Cells) -> str:
    """Mean squared errors and, but for exact, the difference to it, bold where it is certain; then each seed's mean."""
    rows = ["| diversity | K | method | squared error | minus exact (95%) | rate |", "| --- | --- | --- | --- | --- | --- |"]
    log = []
    for d, k, method in product(DIVERSITIES, STEPS, ALL):
        rate, key = cells.chosen(method, d, k)
        c = compared(cells, method, d, k)
        shown = f"{c.mean - c.exact:+.2g} ({c.ends[0]:+.2g} to {c.ends[1]:+.2g})"
        shown = "" if method == EXACT else f"**{shown}**" if c.certain else shown
        used = {TUNED: key.split()[-1], UNADAPTED: ""}.get(method, f"{rate:g}")
        rows.append(f"| {d:g} | {k} | {method} | {c.mean:.3g} | {shown} | {used} |")
        log.append(json.dumps([d, k, method, [float(f"{np.mean(run):.3g}") for run in cells.runs(method, d, k)]]))
    return "\n".join([*rows, "", *log])


LOOKS = {FIRST: ("#0072b2", ""), FIRST + TWICE: ("#0072b2", "5 4"), REPTILE: ("#d55e00", ""), REPTILE + TWICE: ("#d55e00", "5 4")}
LOOKS |= {TUNED: ("#5f6368", "")}
WIDE, HIGH, TOP, PANEL, APART = 940, 290, 110, 270, 294


def figure(cells: Cells) -> str:
    """Errors as multiples of those of exact, one panel a diversity; in colours of its own, on white."""
    found = {key: compared(cells, *key).ratios for key in product(LOOKS, DIVERSITIES, STEPS)}
    places = [1.0, *(place for ratios in found.values() for place in ratios)]
    y = Scale(0.93 * min(places), 1.07 * max(places), length=HIGH, log=True)

    def point(method: str, x: float, at: object) -> str:
        colour, dash = LOOKS[method]
        shape = (FIRST, REPTILE, TUNED).index(method.removesuffix(TWICE))
        return mark(shape, x, at, fill="white" if dash else colour, stroke=colour, stroke_width=1.6)

    title = "Squared error after K inner steps, as a multiple of exact MAML's on the same tasks (95% intervals)"
    body = [tag("title", title), tag("rect", width=WIDE, height=TOP + HIGH + 64, fill="white"), text(title, 56, 26, font_size=15)]
    for number, (method, (colour, dash)) in enumerate(LOOKS.items()):
        x, at = 58 + APART * (number // 2), 50 + 20 * (number % 2)
        body += [line(x, at, x + 32, at, stroke=colour, stroke_width=2, stroke_dasharray=dash or None)]
        body += [point(method, x + 16, at), text(method, x + 40, at + 4)]
    for number, d in enumerate(DIVERSITIES):
        panel = [text(f"diversity {d:g}", PANEL / 2, -8, text_anchor="middle", font_weight="bold")]
        for at in (at for at in (0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20) if y.low <= at <= y.high):
            panel.append(line(0, y(at), PANEL, y(at), stroke="#222" if at == 1 else "#ddd"))
            panel.append(text(f"{at:g}" if at != 1 else "exact", -8, y(at), dy=4, text_anchor="end") if not number else "")
        middles = [PANEL * (place + 0.5) / len(STEPS) for place in range(len(STEPS))]
        panel += [text(f"K = {k}", x, HIGH + 20, text_anchor="middle") for k, x in zip(STEPS, middles, strict=True)]
        for order, (method, (colour, dash)) in enumerate(LOOKS.items()):
            points = [(x + 10 * (order - 2), *map(y, found[method, d, k])) for k, x in zip(STEPS, middles, strict=True)]
            way = "L".join(f"{x:.1f} {at}" for x, at, *_ in points)
            panel.append(tag("path", d=f"M{way}", fill="none", stroke=colour, stroke_dasharray=dash or None, stroke_opacity=0.6))
            panel += [line(x, low, x, high, stroke=colour, stroke_width=2) for x, _, low, high in points]
            panel += [point(method, x, at) for x, at, *_ in points]
        body.append(tag("g", "".join(panel), transform=f"translate({58 + APART * number} {TOP})"))
    note = f"Above the line: worse than exact. {len(TEST[d])} test tasks, {len(SEEDS)} seeds; rates chosen on other tasks."
    body.append(text(f"{note} Logarithmic scale.", 58, TOP + HIGH + 48, fill="#444"))
    style = {"font_family": "system-ui, sans-serif", "font_size": 13, "fill": "#222", "role": "img"}
    size = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDE} {TOP + HIGH + 64}"}
    return tag("svg", "".join(body), **size, **style) + "\n"


def times(k: int, count: int = 40) -> dict[str, float]:
    """Milliseconds of processor time of a training step, the methods in turn."""
    found: dict[str, list[float]] = {name: [] for name in (EXACT, FIRST, REPTILE)}
    learners = {name: METHODS[name][0](mlp([1, 40, 40, 1], seed=0), 0.01, k) for name in found}
    for tasks in islice(Episodes(Curves(1.0), shots=10, queries=10, tasks=8, seed=1), count):
        for name, learner in learners.items():
            shown, began = [METHODS[name][1](task) for task in tasks], time.process_time()
            learner(shown).backward()
            found[name].append(1000 * (time.process_time() - began))
    return {name: round(float(np.median(took)), 1) for name, took in found.items()}


def main(task: str, where: str) -> None:
    torch.set_num_threads(1)
    if task == "times":
        print(json.dumps({k: times(k) for k in STEPS}))
        return
    cells = Cells(Path(where))
    for d, k, method in sorted(product(DIVERSITIES[::-1], STEPS, ALL), key=lambda key: key[2] == REPTILE + TWICE):
        compared(cells, method, d, k)
    if task == "table":
        print(table(cells))
    elif task == "figure":
        FIGURE.write_text(figure(cells), encoding="utf-8")


if __name__ == "__main__":
    main(*(sys.argv[1:] if len(sys.argv) == 3 else (sys.argv[1], sys.argv[1])))
