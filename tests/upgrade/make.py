"""Writes one of each artefact with the version of quickstudy that is installed, for later versions to open.

    python tests/upgrade/make.py tests/upgrade/0.1.0          (from a checkout of that version; needs minilm)

What each answers is in `expected.json`. See `test_upgrade.py`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

import quickstudy
from quickstudy import Batch, Episodes, FineTune, Sinusoids, evaluate, models
from quickstudy.cli.main import run
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

ARM = f"{Path(__file__).parents[1] / 'tasks' / 'robots' / 'my_arm.py'}:arm"
TEXTS = {
    "refund": ["I want my money back", "please refund the second charge", "return the payment for this order"],
    "delivery": ["where is my parcel", "the package has not arrived", "when will it be delivered"],
    "password": ["I cannot log in", "my password does not work", "the account is locked"],
}
ASKED = ["give me the money back", "is the parcel on its way", "I forgot my password"]
GRADIENT = """\
learner: {name: maml, inner_lr: 0.01, outer_lr: 0.03, inner_steps: 2, rates: {per: layer}}
model: {mlp: [1, 8, 1]}
data: {source: sinusoids}
episodes: {shots: 5, queries: 5, tasks: 2}
outer: {optimizer: adamw, weight_decay: 0.01, schedule: cosine, warmup: 0.1}
validation: {shots: 5, queries: 5, episodes: 4, every: 4}
checkpoint_every: 1
steps: 8
"""
TUNE = "tune: {learner.inner_lr: [0.01, 0.02]}\n"
METRIC = """\
learner: {name: prototypical, outer_lr: 0.02}
model: {name: minilm, lora: {r: 1, layers: 1}}
data: {set: helpdesk, fold: 1}
episodes: {ways: 3, shots: 1, queries: 1, tasks: 1, names: true}
steps: 4
"""
AGENT = """\
learner: {name: rl2, outer_lr: 0.01}
model: {gru: 8}
data: {trials: {bandits: {arms: 3}, episodes: 5}}
episodes: {tasks: 16}
steps: 4
"""


def main(folder: Path) -> None:
    """Makes the folder, and writes all of it there."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    rows = [f"{text},{label}" for label, texts in TEXTS.items() for text in texts]
    Path("mine.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    for name, recipe in {"gradient": GRADIENT, "tune": GRADIENT + TUNE, "metric": METRIC, "agent": AGENT}.items():
        Path(f"{name}.yaml").write_text(recipe)
    for command in (
        "train gradient.yaml --out run",
        "train metric.yaml --out metric",
        "train agent.yaml --out agent",
        "tune tune.yaml --trials 2 --out search",
        "adapt --support mine.csv --out clf",
        "adapt metric --support mine.csv --out clf_of_run",
    ):
        assert run(command.split()) == 0
    assert run(["robots", "record", ARM, "--out", "demos", "--goals", "2", "--each", "1", "--steps", "8"]) == 0
    break_off("gradient.yaml", "half", after=4)
    tuned = FineTune(models.load("minilm", lora={"r": 1, "layers": 1}), steps=2)
    labels = [label for label, texts in TEXTS.items() for _ in texts]
    tuned.adapt(Batch([text for texts in TEXTS.values() for text in texts], labels)).save_pretrained("tuned")
    Path("expected.json").write_text(json.dumps(answers(), indent=1) + "\n")


def break_off(recipe: str, out: str, after: int) -> None:
    """A training that is stopped, as by Ctrl-C, after so many steps."""

    def stop(step, steps, numbers):
        if step == after:
            os.kill(os.getpid(), 2)

    try:
        train(Recipe.read(recipe), out, progress=stop)
    except quickstudy.QuickstudyError:
        return
    raise AssertionError("it was not stopped")


def answers() -> dict[str, object]:
    """What the artefacts in this folder say."""
    found = {}
    for name in ("clf", "clf_of_run", "tuned"):
        classifier = quickstudy.load(name)
        found[name] = {"labels": classifier.predict(ASKED), "probabilities": classifier.predict_proba(ASKED).tolist()}
    for name in ("run", "metric", "agent", "search/trials/000", "search/trials/001"):
        if Path(name, "learner").is_dir():
            found[name] = float(sum(p.detach().double().abs().sum() for p in open_run(name)[1].parameters()))
    tasks = Episodes(Sinusoids(), shots=5, queries=5, tasks=20, seed=1)[0]
    found["loss"] = evaluate(open_run("run")[1], tasks)["results"][0]["mean"]
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
