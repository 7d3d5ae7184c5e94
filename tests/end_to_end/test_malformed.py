"""Files that are damaged or tampered with, in every way that chance finds: a clear sentence, exit 2, and nothing lost.

MALFORMED=2000 pytest tests/end_to_end/test_malformed.py         (more of them)
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from quickstudy import QuickstudyError
from quickstudy.cli.main import run
from quickstudy.runs.recipe import Recipe

COUNT = int(os.environ.get("MALFORMED", "140"))
RECIPE = """\
learner: {name: maml, inner_lr: 0.01, outer_lr: 0.005, inner_steps: 1, rates: {per: layer}}
model: {mlp: [1, 6, 1]}
data: {source: sinusoids}
episodes: {shots: 2, queries: 2, tasks: 1}
outer: {optimizer: adamw, weight_decay: 0.01, schedule: cosine, warmup: 0.1, clip: 1.0}
steps: 3
validation: {shots: 2, queries: 2, episodes: 2, every: 2}
checkpoint_every: 1
"""
VALUES = ["null", "-1", "1e400", "[]", "{}", '""', "NaN", "true", "99999999999999999999", '"\\u0000"', "[[[[1]]]]", "../../x"]
TIMES = re.compile(rb"\d\d:\d\d")


def said(arguments: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it wrote to standard error."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = run(arguments)
    return code, errors.getvalue()


def state(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def broken(data: bytes, chance: np.random.Generator) -> bytes:
    """Cut off, flipped, taken from, added to, or with another value somewhere."""
    at, end = sorted(chance.integers(0, len(data) + 1, 2))
    kind = chance.integers(8)
    if kind == 0:
        return data[:at]
    if kind == 1:
        changed = bytearray(data)
        for place in chance.integers(0, len(data), 4):
            changed[place] ^= 1 << chance.integers(8)
        return bytes(changed)
    if kind == 2:
        return data[:at] + data[end:]
    if kind == 3:
        return data[:at] + data[at:end] * 2 + data[end:]
    if kind == 4:
        return data[:at] + chance.bytes(int(chance.integers(1, 40))) + data[at:]
    if kind == 5:  # the length that a tensor file says its header has
        return chance.bytes(8) + data[8:]
    places = [it.span(1) for it in re.finditer(rb'(?:[:,\[{ ]\s*)("[^"\n]*"|[\w.+-]+)', data[:4000])]
    if not places:
        return chance.bytes(64)
    start, stop = places[chance.integers(len(places))]
    return data[:start] + VALUES[chance.integers(len(VALUES))].encode() + data[stop:]


@pytest.fixture(scope="module")
def good(tmp_path_factory, tiny_bert, sentences) -> Path:
    """A recipe, a run of it, tables, what was learned from one, and adapters."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "recipe.yaml").write_text(RECIPE)
    texts, labels = sentences
    rows = list(zip(texts, labels, strict=True))
    (folder / "table.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    (folder / "table.jsonl").write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    (folder / "table.json").write_text(json.dumps([{"text": text, "label": label} for text, label in rows]))
    support = ["--support", str(folder / "table.csv")]
    assert said(["train", str(folder / "recipe.yaml"), "--out", str(folder / "run"), "--set", "steps=2"])[0] == 0
    assert said(["adapt", "ngrams", *support, "--out", str(folder / "clf")])[0] == 0
    many = "".join(f"{text} {i},{label} {i % 4}\n" for i, (text, label) in enumerate(rows * 4))
    (folder / "many.csv").write_text("text,label\n" + many)
    (folder / "own.yaml").write_text(f"""\
learner: {{name: prototypical}}
model: {{name: {tiny_bert}, lora: {{r: 2}}}}
data: {{table: {folder / "many.csv"}}}
episodes: {{ways: 2, shots: 2, queries: 2, tasks: 1}}
validation: {{ways: 2, shots: 2, queries: 2, episodes: 1, every: 1}}
steps: 1
checkpoint_every: 1
""")
    assert said(["train", str(folder / "own.yaml"), "--out", str(folder / "own")])[0] == 0
    assert said(["adapt", str(folder / "own"), *support, "--out", str(folder / "adapted")])[0] == 0
    return folder


CASES = {
    "recipe": ("recipe.yaml", []),
    "csv": ("table.csv", ["adapt", "ngrams", "--support", "{file}", "--out", "{new}"]),
    "jsonl": ("table.jsonl", ["adapt", "ngrams", "--support", "{file}", "--out", "{new}"]),
    "json": ("table.json", ["adapt", "ngrams", "--support", "{file}", "--out", "{new}"]),
    "a run's learner": ("run/learner/*", ["evaluate", "{run}", "--episodes", "2"]),
    "a run's recipe": ("run/recipe.yaml", ["evaluate", "{run}", "--episodes", "2"]),
    "a checkpoint": ("run/checkpoint/*", ["train", "{run}/recipe.yaml", "--out", "{run}", "--resume"]),
    "what was learned": ("clf/*", ["predict", "{clf}", "my card"]),
    "an adapter of a run": ("own/learner/**/*", ["evaluate", "{own}", "--episodes", "2"]),
    "what was learned by it": ("adapted/**/*", ["predict", "{adapted}", "my card"]),
}


@pytest.mark.parametrize("seed", range(COUNT))
def test_it_is_said_in_a_sentence_and_nothing_is_lost(good, tmp_path, seed):
    chance = np.random.default_rng(seed)
    name = list(CASES)[seed % len(CASES)]
    pattern, command = CASES[name]
    work = tmp_path / "work"
    shutil.copytree(good, work)
    files = [file for file in sorted(work.glob(pattern)) if file.is_file() and file.stat().st_size]
    file = files[chance.integers(len(files))]
    file.write_bytes(broken(file.read_bytes(), chance))
    if name == "recipe":  # a recipe that is whole after all may ask for days
        with contextlib.suppress(QuickstudyError):
            Recipe.read(file)
        return
    before = state(work)
    places = {"file": file, "new": work / "new", "run": work / "run", "clf": work / "clf"}
    places |= {"own": work / "own", "adapted": work / "adapted"}
    code, errors = said([part.format(**places) for part in command])
    assert code in (0, 2), errors
    if code == 2:
        lines = [line for line in errors.splitlines() if not line.startswith("quickstudy: warning: ")]
        assert [line[:12] for line in lines] == ["quickstudy: "], errors
        assert 20 < len(lines[0]) < 600, lines[0]
        assert state(work) == before
