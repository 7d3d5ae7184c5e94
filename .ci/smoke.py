"""Whether an installed quickstudy does what it should with one extra: python -I smoke.py none | datasets | tune | ...

In an empty folder, with nothing of the repository in reach.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HEAVY = ("tensorflow", "gradio", "gymnasium", "mujoco", "optuna", "datasets", "setfit", "gguf", "pypdf", "torch", "transformers")
TABLE = "text,label\n" + "".join(f"{word} {i} times,{word}\n" for word in ("sun", "rain") for i in range(4))
RECIPE = """\
learner: {name: maml, inner_lr: 0.01, outer_lr: 0.005}
model: {mlp: [1, 8, 1]}
data: {source: sinusoids}
episodes: {shots: 5, queries: 5, tasks: 2}
validation: {shots: 5, queries: 5, episodes: 4, every: 2}
tune: {learner.inner_lr: [0.01, 0.02]}
steps: 4
"""


def run(command: str, code: int = 0) -> str:
    """What the command says; it must end with this code."""
    done = subprocess.run(["quickstudy", *command.split()], capture_output=True, text=True)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def none() -> None:
    """Everything that needs no extra; and the commands that do say so."""
    begun = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-I", "-c", "import quickstudy, sys, json; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - begun
    imported = {name.partition(".")[0] for name in json.loads(found.stdout)} & set(HEAVY)
    assert not imported, imported
    assert seconds < 2, seconds
    print(f"import quickstudy: {seconds:.2f} s, and nothing heavy with it")
    assert run("--version").split()[1] == importlib.metadata.version("quickstudy")
    run("train recipe.yaml --out run")
    run("evaluate run")
    run("check recipe.yaml")
    run("plan recipe.yaml")
    run("data check mine.csv")
    run("adapt --support mine.csv --out clf")
    assert "sun" in run("predict clf sun")
    run("evaluate default --data mine.csv --ways 2 --shots 1 --queries 1 --baselines none --report report.html")
    assert Path("report.html").stat().st_size > 10_000
    run("demo")
    for command, extra in {
        "tune recipe.yaml --out search": "tune",
        "playground": "playground",
        "robots record reach-v3 --out demos": "robots",
        "adapt --text notes.txt --out adapter": "gguf",
        "evaluate savedmodel:module --data mine.csv": "tensorflow",
    }.items():
        assert f"quickstudy[{extra}]" in run(command, code=2), command


def datasets() -> None:
    """A table of Hugging Face datasets."""
    import datasets

    from quickstudy import Table

    assert len(Table.read(datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]}))) == 2


def tune() -> None:
    """A search."""
    run("tune recipe.yaml --trials 2 --out search")
    assert Path("search/best.yaml").is_file()


def gguf() -> None:
    """A language model from the packaged GGUF file."""
    run("adapt --text notes.txt --out adapter --steps 1")
    assert "hello" in run("generate adapter --prompt hello --tokens 4")


def pdf() -> None:
    """A PDF without text is refused for that, not for what is missing."""
    import pypdf

    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write("blank.pdf")
    assert "pip install" not in run("adapt --text blank.pdf --out adapter", code=2)


def rl() -> None:
    """An agent in one of Gymnasium's environments."""
    from quickstudy import Gymnasium

    assert Gymnasium("CartPole-v1")


def playground() -> None:
    """The page is served."""
    with subprocess.Popen(["quickstudy", "playground", "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        page = urllib.request.urlopen(address).read().decode()
        server.terminate()
    assert "quickstudy" in page


def compare() -> None:
    """SetFit stands beside ours."""
    import setfit

    assert setfit.SetFitModel


def tensorflow() -> None:
    """A SavedModel encodes sentences."""
    import tensorflow as tf

    class Lengths(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            return {"default": tf.cast(tf.strings.length(texts), tf.float32)[:, None] * tf.constant([[1.0, 2.0]])}

    module = Lengths()
    tf.saved_model.save(module, "lengths", signatures=module.__call__)
    from quickstudy import models

    assert models.load("savedmodel:lengths")(["abc"]).tolist() == [[3.0, 6.0]]


def robots() -> None:
    """A demonstration is recorded."""
    run("robots record reach-v3 --goals 1 --each 1 --out demos")


def all() -> None:
    """What `all` promises is there."""
    for each in (datasets, tune, gguf, pdf, rl, robots):
        each()


if __name__ == "__main__":
    Path("mine.csv").write_text(TABLE)
    Path("recipe.yaml").write_text(RECIPE)
    Path("notes.txt").write_text("".join(f"Gear {i} turns the spindle of lathe {i + 1}.\n" for i in range(200)))
    Path("module").mkdir()
    Path("module", "saved_model.pb").touch()
    globals()[sys.argv[1]]()
    print(f"{sys.argv[1]}: works")
