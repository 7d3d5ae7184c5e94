"""higher, its names in quickstudy.compat.higher, and a quickstudy learner: the same numbers, and what they cost.

    python -m venv V && V/bin/pip install torch transformers higher
    python benchmarks/against_higher.py equal V/bin/python
    python benchmarks/against_higher.py cost V/bin/python [--out docs/results/higher.md]

`equal`: parameters, meta-gradients and the gradient of a learned rate after four steps in double precision, over a grid of
settings of each optimizer, in the interpreter with higher and in this one. `cost`: seconds and memory of an outer step, each row
in a process of its own, on one thread, the median of five steps. glibc gives freed blocks back at once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
HIGHER, COMPAT, NATIVE, KEPT = "higher", "compat.higher", "quickstudy", "quickstudy, graph kept"
MODELS, STEPS, ROUNDS = ("conv net", "BERT"), (5, 20), 5
WAYS, SHOTS, QUERIES, TASKS, RATE = 5, 5, 5, 4, 0.01
TOKENS, VOCABULARY = 16, 1000


def grid(**choices: list) -> list[dict]:
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


DECAY = {"weight_decay": [0.0, 0.1]}
GRID: dict[str, list[dict]] = {
    "SGD": [*grid(momentum=[0.0, 0.9], dampening=[0.0, 0.3], **DECAY), *grid(momentum=[0.5, 0.9], nesterov=[True], **DECAY)],
    "Adam": grid(betas=[(0.9, 0.999), (0.5, 0.9)], eps=[1e-8, 1e-2], amsgrad=[False, True], **DECAY),
    "AdamW": grid(betas=[(0.9, 0.999), (0.5, 0.9)], eps=[1e-8, 1e-2], amsgrad=[False, True], **DECAY),
    "RMSprop": grid(alpha=[0.99, 0.5], eps=[1e-8, 1e-2], momentum=[0.0, 0.8], centered=[False, True], **DECAY),
    "Adagrad": grid(lr_decay=[0.0, 0.1], initial_accumulator_value=[0.0, 0.5], **DECAY),
    "Adadelta": grid(rho=[0.9, 0.5], eps=[1e-6, 1e-2], **DECAY),
    "Adamax": grid(betas=[(0.9, 0.999), (0.5, 0.9)], eps=[1e-8, 1e-2], **DECAY),
    "ASGD": grid(lambd=[1e-4, 0.1], alpha=[0.75, 0.5], t0=[1e6, 1], **DECAY),
    "Rprop": grid(etas=[(0.5, 1.2), (0.3, 1.5)]),
}


def main() -> None:
    """Either comparison, or one part of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["equal", "cost"])
    parser.add_argument("python", nargs="?", help="an interpreter that has higher")
    parser.add_argument("--out", type=Path, help="a Markdown file for the table of costs")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps((unrolled if given.what == "equal" else measured)(**given.one)))
    elif given.what == "equal":
        equal(given.python)
    else:
        cost(given.python, given.out)


def child(what: str, python: str, **one: object) -> dict:
    """What a process of its own found."""
    command = [python, __file__, what, "--one", json.dumps(one)]
    environment = {**os.environ, **ALLOCATOR, "PYTHONWARNINGS": "ignore"}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout)


def library(name: str):
    """higher, or its names here."""
    if name == HIGHER:
        import higher
    else:
        import quickstudy.compat.higher as higher
    return higher


def equal(python: str) -> None:
    """The largest differences of each optimizer, one line of JSON each."""
    theirs, ours = child("equal", python, who=HIGHER), child("equal", sys.executable, who=COMPAT)
    for name, settings in GRID.items():
        if theirs[name] is None:
            print(json.dumps({"optimizer": name, "cases": "higher does not have it"}))
            continue
        found: dict[str, object] = {"optimizer": name, "cases": len(settings)}
        for what in ("parameters", "meta-gradient", "rate"):
            gaps = [difference(theirs[name][case][what], ours[name][case][what]) for case in map(json.dumps, settings)]
            found[what] = float(f"{max(gaps):.1e}")
        print(json.dumps(found), flush=True)


def difference(one: list[list[float]], other: list[list[float]]) -> float:
    """The largest of any number, relative to the largest number."""
    first, second = (list(itertools.chain(*tensors)) for tensors in (one, other))
    return max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0.0) / max(map(abs, second), default=1.0)


def unrolled(who: str) -> dict:
    """For each case what `unroll` finds; None for an optimizer that is not there."""
    higher, found = library(who), {}
    for name, settings in GRID.items():
        try:
            found[name] = {json.dumps(case): unroll(higher, name, case) for case in settings}
        except ValueError:
            found[name] = None
    return found


def unroll(higher, name: str, case: dict) -> dict[str, list[list[float]]]:
    """phi_K, dL/dphi_0 and dL/dlr; of two parameter groups, with rates of their own where none is learned."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    *inner, (x, y) = [(torch.randn(6, 3).double(), torch.randn(6, 2).double()) for _ in range(5)]
    groups = [{"params": list(model[0].parameters()), "lr": 0.03}, {"params": list(model[2].parameters())}]
    opt = getattr(torch.optim, name)(groups, lr=0.1, **case)
    rates = [torch.tensor(0.05, dtype=torch.float64, requires_grad=True)] if name != "Rprop" else []  # higher's has no gradient
    override = {"lr": rates} if rates else None
    with higher.innerloop_ctx(model, opt, copy_initial_weights=False, override=override) as (fmodel, diffopt):
        for inputs, targets in inner:
            diffopt.step((fmodel(inputs) - targets).square().mean())
        (fmodel(x) - y).square().mean().backward()
    found = {"parameters": fmodel.parameters(), "meta-gradient": [p.grad for p in model.parameters()]}
    found["rate"] = [rate.grad for rate in rates]
    return {what: [t.flatten().tolist() for t in tensors] for what, tensors in found.items()}


def cost(python: str, out: Path | None) -> None:
    """One row after the other."""
    rows = []
    for name, steps, who in itertools.product(MODELS, STEPS, (HIGHER, COMPAT, NATIVE, KEPT)):
        rows.append(child("cost", python if who == HIGHER else sys.executable, who=who, name=name, steps=steps))
        print(json.dumps(rows[-1]), flush=True)
    print(text := page(rows))
    if out:
        out.write_text(text, encoding="utf-8")


def measured(who: str, name: str, steps: int) -> dict:
    """Processor seconds of outer steps after the first, the gradient's size, and the process's memory in MiB."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, tasks = conv_net() if name == "conv net" else bert()
    step = unrolling(library(who), model, steps) if who in (HIGHER, COMPAT) else learning(model, steps, who == KEPT)
    before, seconds = peak(), []
    for _ in range(ROUNDS + 1):
        model.zero_grad()
        begun = time.process_time()
        step(tasks)
        seconds.append(time.process_time() - begun)
    norm = sum(float(p.grad.double().square().sum()) for p in model.parameters() if p.grad is not None) ** 0.5
    found = {"model": name, "steps": steps, "who": who, "seconds": [round(each, 3) for each in seconds[1:]]}
    return found | {"before_mib": before, "peak_mib": peak(), "gradient": float(f"{norm:.5g}"), "torch": torch.__version__}


def unrolling(higher, model, steps: int):
    """An outer step as higher's own example writes it."""
    import torch
    import torch.nn.functional as F

    def step(tasks) -> None:
        inner_opt = torch.optim.SGD(model.parameters(), lr=RATE)
        for (x_support, y_support), (x_query, y_query) in tasks:
            with higher.innerloop_ctx(model, inner_opt, copy_initial_weights=False) as (fmodel, diffopt):
                for _ in range(steps):
                    diffopt.step(F.cross_entropy(fmodel(x_support), y_support))
                (F.cross_entropy(fmodel(x_query), y_query) / len(tasks)).backward()

    return step


def learning(model, steps: int, keep_graph: bool):
    """The same outer step of a learner."""
    from quickstudy import MAML, Batch, Task

    maml = MAML(model, RATE, inner_steps=steps, keep_graph=keep_graph)

    def step(tasks) -> None:
        maml([Task(Batch(*support), Batch(*query)) for support, query in tasks]).backward()

    return step


def conv_net():
    """higher's network for Omniglot, 32 channels wide, and tasks of noise."""
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for channels in (1, 32, 32):
        layers += [nn.Conv2d(channels, 32, 3), nn.BatchNorm2d(32, momentum=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, WAYS)), drawn(lambda n: torch.randn(n, 1, 28, 28))


def bert():
    """BERT of two layers, 128 wide, a linear head on its first token, and tasks of random tokens."""
    import torch
    from torch import nn
    from transformers import BertConfig, BertModel

    class Classifier(nn.Module):
        """Tokens `(sentences, tokens)` to logits."""

        def __init__(self):
            super().__init__()
            sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
            config = BertConfig(vocab_size=VOCABULARY, **sizes, attn_implementation="eager")
            self.body, self.head = BertModel(config, add_pooling_layer=False), nn.Linear(128, WAYS)

        def forward(self, tokens):
            return self.head(self.body(tokens).last_hidden_state[:, 0])

    return Classifier().eval(), drawn(lambda n: torch.randint(VOCABULARY, (n, TOKENS)))


def drawn(inputs) -> list:
    """Tasks of `(inputs, labels)` for support and query."""
    import torch

    return [[(inputs(WAYS * n), torch.arange(WAYS).repeat(n)) for n in (SHOTS, QUERIES)] for _ in range(TASKS)]


def peak() -> int:
    """The most memory this process has had resident so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def page(rows: list[dict]) -> str:
    """The medians as a Markdown page."""
    lines = [
        "# Against higher",
        "",
        f"One outer step of MAML on {TASKS} tasks of {WAYS} ways, {SHOTS} shots and {QUERIES} queries a class, K inner steps of",
        f"SGD at {RATE}, all parameters moving, the exact gradient: higher's own loop in higher 0.2.1 and in",
        "`quickstudy.compat.higher`, and `MAML` of quickstudy, without and with `keep_graph=True`. The conv net is higher's for",
        "Omniglot, 32 channels wide; BERT has two layers, 128 wide, all of which move. Command:",
        "",
        "```",
        "python -m venv V && V/bin/pip install torch transformers higher",
        "python benchmarks/against_higher.py cost V/bin/python --out docs/results/higher.md",
        "```",
        "",
        "| model | K | | time, of higher's | memory (MiB) | of higher's | gradient's norm |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    first = {(row["model"], row["steps"]): row for row in rows if row["who"] == HIGHER}
    for row in rows:
        seconds, memory = middle(row)
        base_seconds, base_memory = middle(first[row["model"], row["steps"]])
        shares = f"{seconds / base_seconds:.2f} | {memory} | {memory / base_memory:.2f}"
        lines.append(f"| {row['model']} | {row['steps']} | {row['who']} | {shares} | {row['gradient']:g} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Processor time, median of {ROUNDS} steps after a first; each row in a process of its own, on one thread. Memory:",
            "`ru_maxrss` above what Python, the libraries and the model had taken before. Seed 0.",
            f"torch {rows[0]['torch']}, Python {platform.python_version()}, {platform.machine()}.",
            "",
            "## Log",
            "",
            "```",
            *map(json.dumps, rows),
            "```",
            "",
        ]
    )


def middle(row: dict) -> tuple[float, int]:
    """Median seconds, and MiB above the start."""
    return statistics.median(row["seconds"]), row["peak_mib"] - row["before_mib"]


if __name__ == "__main__":
    main()
