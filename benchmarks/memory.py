"""Measures the peak memory of one exact MAML forward and backward: GPT-2 (6 layers, 256 wide), LoRA r=8, 256 tokens.

    python benchmarks/memory.py [--seed 0] [--out docs/results/memory.md]

Each configuration runs in a process of its own, on one thread; glibc gives freed blocks back at once
(MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_), else one measures the allocator. Prints one JSON line a
configuration and then a Markdown table; `--out` writes the table to a file as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

TOKENS, VOCABULARY, QUERIES = 256, 2000, 4
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
CONFIGURATIONS = [
    *({"steps": k, "support": 4, "micro_batch": None, "keep_graph": False} for k in (2, 8, 32)),
    *({"steps": k, "support": 4, "micro_batch": None, "keep_graph": True} for k in (2, 4, 8)),
    *({"steps": 2, "support": n, "micro_batch": 4, "keep_graph": False} for n in (4, 16, 64)),
]
ALLOWED = 0.05
"""How much the peak may grow from the smallest to the largest of a series."""


def main() -> None:
    """Runs every configuration and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a Markdown file to write the table to")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(measure(given.one, given.seed)))
        return
    rows = [run(configuration, given.seed) for configuration in CONFIGURATIONS]
    text = table(rows, given.seed)
    print(f"\n{text}")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, encoding="utf-8")


def run(configuration: dict, seed: int) -> dict:
    """One configuration in a fresh process."""
    command = [sys.executable, __file__, "--seed", str(seed), "--one", json.dumps(configuration)]
    answer = subprocess.run(command, env=os.environ | ALLOCATOR, stdout=subprocess.PIPE, text=True, check=True)
    print(answer.stdout.strip(), flush=True)
    return json.loads(answer.stdout)


def measure(configuration: dict, seed: int) -> dict:
    """Peak resident memory in MiB, before and after one outer step, and its processor seconds."""
    import torch

    from quickstudy import MAML

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    settings = {"keep_graph": configuration["keep_graph"], "micro_batch": configuration["micro_batch"]}
    learner = MAML(model(), inner_lr=0.01, inner_steps=configuration["steps"], **settings)
    task = draw(configuration["support"])
    before, begun = peak(), time.process_time()
    loss = learner([task])
    loss.backward()
    seconds = time.process_time() - begun
    return {**configuration, "before_mib": before, "peak_mib": peak(), "seconds": round(seconds, 1), "loss": loss.item()}


def model():
    """GPT-2 with adapters whose B is not zero, so that nothing is zero by accident."""
    import peft
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_layer": 6, "n_embd": 256, "n_head": 4, "n_positions": TOKENS, "vocab_size": VOCABULARY}
    quiet = {"bos_token_id": None, "eos_token_id": None, "use_cache": False}
    plain = GPT2LMHeadModel(GPT2Config(**sizes, **quiet, attn_implementation="eager"))
    adapted = peft.get_peft_model(plain, peft.LoraConfig(r=8, target_modules=["c_attn"], fan_in_fan_out=True))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.02)
    return adapted.eval()


def draw(support: int):
    """Random tokens; each predicts the next."""
    import torch

    from quickstudy import Batch, Task

    def batch(count: int) -> Batch:
        tokens = torch.randint(VOCABULARY, (count, TOKENS + 1))
        inputs = {"input_ids": tokens[:, :-1].contiguous(), "attention_mask": torch.ones(count, TOKENS, dtype=torch.long)}
        return Batch(inputs, tokens[:, 1:].contiguous())

    return Task(batch(support), batch(QUERIES))


def peak() -> float:
    """The most memory this process has had resident so far, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def table(rows: list[dict], seed: int) -> str:
    """The measurements as a Markdown page, the verdicts first."""
    import peft
    import torch
    import transformers

    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, PEFT {peft.__version__}"
    environment = " ".join(f"{name}={value}" for name, value in ALLOCATOR.items())
    lines = [
        "# Memory of the exact gradient",
        "",
        'One forward and backward of `MAML(gradient="exact")` on one task: GPT-2, 6 layers, 256 wide, 4 heads,',
        f"vocabulary of {VOCABULARY:,}, eager attention, float32; LoRA of rank 8 on `c_attn`; sequences of {TOKENS} tokens,",
        f"{QUERIES} of them in the query. Command:",
        "",
        "```",
        f"python benchmarks/memory.py --seed {seed} --out docs/results/memory.md",
        "```",
        "",
        f"- {verdict('From K=2 to K=32 steps', rows[:3])}",
        f"- {verdict('From 4 to 64 support sequences with `micro_batch=4`', rows[-3:])}",
        "",
        "| K | support | micro_batch | keep_graph | peak (MiB) | of which this step (MiB) |",
        "| ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in rows:
        grown = row["peak_mib"] - row["before_mib"]
        cells = [row["steps"], row["support"], row["micro_batch"] or "whole", row["keep_graph"]]
        lines.append("| " + " | ".join(map(str, [*cells, f"{row['peak_mib']:.0f}", f"{grown:.0f}"])) + " |")
    return "\n".join(
        [
            *lines,
            "",
            'Peak: `ru_maxrss` of a fresh process for each row; "of which this step" leaves out what Python, the libraries, the',
            "model and the data had taken before. With `keep_graph=False` a step leaves its parameters and its gradient behind,",
            "nothing else; with `keep_graph=True` the graph of all K steps is kept.",
            "",
            f"Set by the command: `{environment}`. {versions}, Python",
            f"{platform.python_version()}, {platform.machine()}, one thread.",
            "",
            "## Log",
            "",
            "```",
            *(json.dumps(row) for row in rows),
            "```",
            "",
        ]
    )


def verdict(what: str, rows: list[dict]) -> str:
    """How much the peak grew over a series, against what is allowed."""
    first, last = rows[0]["peak_mib"], rows[-1]["peak_mib"]
    step = (last - rows[-1]["before_mib"]) / (first - rows[0]["before_mib"]) - 1
    growth = last / first - 1
    target = f"target: at most {100 * ALLOWED:.0f}%, {'met' if growth <= ALLOWED else 'missed'}"
    return (
        f"{what} the peak grows by {100 * growth:.1f}%, from {first:.0f} to {last:.0f} MiB ({target}); "
        f"the part above what was there before the step by {100 * step:.1f}%."
    )


if __name__ == "__main__":
    main()
