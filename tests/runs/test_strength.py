"""The strength of an adapter: scaled exactly, chosen on validation tasks, kept only where the gate lets it through."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from quickstudy import models
from quickstudy.cli.main import run as command_line
from quickstudy.errors import QuickstudyError
from quickstudy.runs import checkpoint, strength
from quickstudy.runs.build import build_learner, validation_episodes
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.record import RunFolder
from quickstudy.runs.shipped import find_recipe, shipped
from quickstudy.runs.train import train
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

WORDS = [f"word{i}" for i in range(30)]
SCRIPT = (
    "import sys; from quickstudy.runs.processes import Processes; from quickstudy.runs.recipe import Recipe\n"
    "from quickstudy.runs.train import train\n"
    "with Processes.join() as together:\n"
    "    found = train(Recipe.read(sys.argv[1]), sys.argv[2], processes=together)['strength']\n"
    "    print(f'{found}\\n', end='', flush=True)\n"
)


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a tiny random BERT."""
    import transformers

    folder = tmp_path_factory.mktemp("model")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "label"]))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(
            transformers.BertConfig(vocab_size=len(WORDS) + 6, **sizes, initializer_range=0.5)
        ).save_pretrained(folder)
    return folder


def write_table(path: Path, labels: int) -> None:
    rows = [f"{WORDS[2 * i]} {WORDS[(2 * i + 1 + row) % 30]} {WORDS[row]},label_{i}" for i in range(labels) for row in range(5)]
    path.write_text("\n".join(["text,label", *rows]))


@pytest.fixture
def recipe(tmp_path, model):
    write_table(tmp_path / "my.csv", 15)
    (tmp_path / "recipe.yaml").write_text(
        f"learner: {{name: prototypical, outer_lr: 0.05}}\nmodel: {{name: {model}, lora: 2}}\n"
        f"data: {{table: {tmp_path}/my.csv}}\n"
        "episodes: {ways: all, queries: 2, names: true}\nsteps: 3\ncheckpoint_every: 2\n"
        "validation: {ways: all, queries: 3, episodes: 4, every: 1, names: true}\nstrength: [0, 0.5, 1]\n"
    )
    return lambda *overrides: Recipe.read(tmp_path / "recipe.yaml", overrides)


def bytes_of(run: Path) -> dict[str, bytes]:
    files = [*run.glob("learner/*"), *run.glob("checkpoint/*"), run / "metrics.jsonl", run / "recipe.yaml"]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def moved(learner: torch.nn.Module) -> torch.nn.Module:
    """The learner, its adapters as if it had learned."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return learner


def size(named) -> float:
    """Of all B together: in proportion to the strength, and 0 before the first step."""
    return sum(float(value.detach().abs().sum()) for name, value in named if ".lora_B." in name)


@pytest.fixture
def trained_is_better(monkeypatch):
    """Validation while training likes the learner the better, the further it has come."""
    found = lambda learner, _: {"results": [{"metric": "accuracy", "mean": size(learner.named_parameters())}]}  # noqa: E731
    monkeypatch.setattr("quickstudy.runs.train.evaluate", found)


def planted(monkeypatch, accuracies: dict[float, float], on_test: dict[float, float] | None = None) -> None:
    """Encoders answer that well, by their strength; on the test classes perhaps otherwise."""
    judge = strength.judge

    def watched(recipe, folder, validation, step):
        whole = size(checkpoint.read(folder.learner, remedy="")[0].items())

        def rights(model, tasks):
            share = min(accuracies, key=lambda s: abs(s * whole - size(model.named_parameters())))
            generator, answers = np.random.default_rng(0), []
            for task in tasks:
                valid = on_test is None or any(task is each for each in validation)
                answers.append(generator.random(len(task.query.targets)) < (accuracies if valid else on_test)[share])
            return answers

        monkeypatch.setattr(strength, "rights", rights)
        return judge(recipe, folder, validation, step)

    monkeypatch.setattr(strength, "judge", watched)


def test_strength_scales_the_delta_exactly(recipe, model):
    learner = moved(build_learner(recipe("validation.every=9"))).eval().double()
    tensors = {name: value.clone() for name, value in checkpoint.learner_tensors(learner).items()}
    encoder, texts = learner.model, ["word1 word2", "word5", "word7 word1 label"]
    plain = models.load(model).double()
    start = {name: value.clone() for name, value in plain.state_dict().items()}
    facts = {"learner": "Prototypical"}
    for share in (0, 0.25, 1):
        checkpoint.put_learner(learner, strength.scaled(tensors, share), facts, Path("x"), remedy="")
        merged = dict(start)
        for name in tensors:
            if ".lora_A." in name:
                place = name.removeprefix("model.").replace(".lora_A.default.weight", "")
                delta = tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
                merged[f"{place}.weight"] = merged[f"{place}.weight"] + share * 2 * delta  # alpha / r
        plain.load_state_dict(merged)
        assert_close(encoder.embed(texts), plain.embed(texts), rtol=1e-12, atol=1e-12)
    plain.load_state_dict(start)
    checkpoint.put_learner(learner, strength.scaled(tensors, 0), facts, Path("x"), remedy="")
    assert torch.equal(encoder.embed(texts), plain.embed(texts))
    checkpoint.put_learner(learner, strength.scaled(tensors, 1), facts, Path("x"), remedy="")
    assert not torch.allclose(encoder.embed(texts), plain.embed(texts))


def test_the_best_and_the_smallest_among_equals():
    assert strength.best({0.0: 0.5, 0.25: 0.8, 0.5: 0.9, 1.0: 0.7}) == 0.5
    assert strength.best({0.0: 0.5, 1.0: 0.9, 0.5: 0.9}) == 0.5
    assert strength.best({0.0: 0.9, 0.5: 0.9, 1.0: 0.9}) == 0.0


@pytest.mark.usefixtures("trained_is_better")
def test_a_run_keeps_a_planted_gain(recipe, tmp_path, monkeypatch):
    planted(monkeypatch, {0: 0.1, 0.5: 1.0, 1: 0.8})
    train(recipe("steps=2", "strength=[1]"), tmp_path / "whole")
    found = train(recipe("steps=2"), tmp_path / "run")["strength"]
    assert (found["chosen"], found["strength"]) == (0.5, 0.5)
    assert found["classes"] == 6
    assert found["ci95"][0] > 0
    full, half = (checkpoint.read(tmp_path / run / "learner" / "learner.safetensors", remedy="")[0] for run in ("whole", "run"))
    assert size(full.items()) > 0
    for name, value in full.items():
        assert torch.equal(half[name], value / 2 if ".lora_B." in name else value)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last == {"step": 2, "strength": found}
    assert "the adapter is kept at strength 0.5" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("validation", "test", "said"),
    [
        (
            {0: 0.3, 0.5: 0.9, 1: 0.6},
            {0: 0.6, 0.5: 0.6, 1: 0.6},
            r"not kept: at strength 0.5, .* \+\d+.\d points .* may be chance",
        ),
        ({0: 0.6, 0.5: 0.6, 1: 0.6}, None, r"not kept: no strength above 0 is better .* at 0, .* at 0.5, .* at 1\)"),
    ],
)
@pytest.mark.usefixtures("trained_is_better")
def test_a_run_does_not_keep_the_rest(recipe, tmp_path, monkeypatch, model, validation, test, said):
    planted(monkeypatch, validation, test)
    found = train(recipe("steps=2"), tmp_path / "run")["strength"]
    assert found["strength"] == 0
    assert re.search(said, strength.sentence(found))
    assert re.search(said, (tmp_path / "run" / "log.txt").read_text())
    learner = open_run(tmp_path / "run")[1]
    texts = ["word1 word2", "word3 label"]
    assert torch.equal(learner.model.embed(texts), models.load(model).embed(texts))


def test_the_last_learner_is_judged_and_not_that_of_the_best_validation(recipe, tmp_path, monkeypatch, capsys):
    falls = lambda learner, _: {"results": [{"metric": "accuracy", "mean": -size(learner.named_parameters())}]}  # noqa: E731
    monkeypatch.setattr("quickstudy.runs.train.evaluate", falls)
    for choice, step in (("strength=null", 0), ("strength=[1]", 2)):
        run = tmp_path / choice
        assert train(recipe("steps=2", choice), run)["best_step"] == 0
        assert checkpoint.read(run / "learner" / "learner.safetensors", remedy="")[1]["step"] == step
    assert (
        command_line(["train", str(tmp_path / "recipe.yaml"), "--out", str(run), "--resume", "--set", "steps=2", "--set", choice])
        == 0
    )
    assert re.search(r"2 steps done; best on the validation tasks at step 0: accuracy -?0\.", capsys.readouterr().out)


def weighed(tasks: list[Task], plain: list[np.ndarray], adapted: list[np.ndarray]) -> dict:
    return strength.weigh([1.0], tasks, {0.0: plain, 1.0: adapted})


def test_a_smaller_share_is_kept_where_the_best_is_not_certain():
    """All of the adapter wins much on some classes and loses much on others; half of it wins a little on each."""
    labels = [str(c) for c in range(8) for _ in range(100)]
    right = lambda counts: [np.concatenate([np.arange(100) < count for count in counts])]  # noqa: E731
    answers = {0.0: right([50] * 8), 0.5: right([55, 56] * 4), 1.0: right([20, 100] * 4)}
    found = strength.weigh([0.0, 0.5, 1.0], [Task(Batch([], []), Batch(labels, labels))], answers)
    assert found["tried"]["1"] > found["tried"]["0.5"]
    assert (found["chosen"], found["strength"]) == (0.5, 0.5)
    assert found["gain"] == pytest.approx(0.055)
    del answers[0.5]
    found = strength.weigh([0.0, 1.0], [Task(Batch([], []), Batch(labels, labels))], answers)
    assert (found["chosen"], found["strength"]) == (1.0, 0.0)
    assert "not kept: at strength 1, the best, +10.0 points" in strength.sentence(found)


def drawn(classes: int, gains: np.ndarray, seed: int) -> tuple[list[Task], list[np.ndarray], list[np.ndarray]]:
    """Forty tasks of all classes, 5 of 20 sentences of each; each sentence is mostly answered alike by one encoder."""
    generator = np.random.default_rng(seed)
    hard = generator.random((classes, 20))
    tasks, plain, adapted = [], [], []
    for _ in range(40):
        rows = [(c, r) for c in range(classes) for r in generator.permutation(20)[:5]]
        tasks.append(Task(Batch([], []), Batch([f"{c} {r}" for c, r in rows], [str(c) for c, _ in rows])))
        plain.append(np.array([hard[c, r] < 0.6 for c, r in rows]))
        adapted.append(np.array([hard[c, r] < 0.6 + gains[c] for c, r in rows]))
    return tasks, plain, adapted


def test_the_gate_lets_a_gain_through_and_chance_not():
    """What is gained on some classes and lost on others is no gain on the next ones, however often the same ones are asked."""
    kept = {0.0: 0, 0.15: 0}
    for gain in kept:
        for seed in range(40):
            gains = np.random.default_rng((seed, 1)).normal(gain, 0.08, size=12)
            kept[gain] += weighed(*drawn(12, gains, seed))["strength"] > 0
    assert kept[0.0] <= 4
    assert kept[0.15] >= 38
    found = weighed(*drawn(2, np.array([0.4, -0.2]), 0))
    assert found["ci95"][0] < 0 < found["gain"]
    assert found["gain"] == pytest.approx(found["adapted"] - found["plain"])


@pytest.mark.usefixtures("trained_is_better")
def test_a_kill_in_any_write_changes_nothing(recipe, tmp_path, monkeypatch):
    short = recipe("steps=2", "checkpoint_every=1")
    found = {"tried": {}, "chosen": 0.5, "classes": 2, "plain": 0.1, "adapted": 0.2, "gain": 0.1, "ci95": [0.05, 0.2]}
    monkeypatch.setattr(strength, "weigh", lambda *_: {**found, "strength": 0.5})
    assert train(short, tmp_path / "whole")["strength"]["strength"] == 0.5
    rename, run = os.replace, tmp_path / "run"
    for fatal in range(4, 30):
        for when in ("before", "after"):
            shutil.rmtree(run, ignore_errors=True)
            renamed = []

            def replace(source, target, fatal=fatal, when=when, renamed=renamed):
                renamed.append(target)
                if when == "after" or len(renamed) != fatal:
                    rename(source, target)
                if len(renamed) == fatal:
                    raise Killed

            monkeypatch.setattr(os, "replace", replace)
            try:
                train(short, run)
            except Killed:
                monkeypatch.setattr(os, "replace", rename)
                train(short, run, resume=True)
                assert bytes_of(run) == bytes_of(tmp_path / "whole"), f"killed {when} writing {renamed[-1]}"
            finally:
                monkeypatch.setattr(os, "replace", rename)
        if len(renamed) < fatal:
            break
    assert renamed[-1].name == "learner.safetensors"
    assert fatal > 6
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert train(short, run, resume=True) == train(short, tmp_path / "whole", resume=True)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_two_processes_agree_with_one(recipe, tmp_path):
    whole = recipe("learner.outer_lr=0.5")
    (tmp_path / "script.py").write_text(SCRIPT)
    whole.write(tmp_path / "same.yaml")
    one = train(whole, tmp_path / "one")["strength"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    answer = subprocess.run(
        [*command, str(tmp_path / "script.py"), str(tmp_path / "same.yaml"), str(tmp_path / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    first, second = answer.stdout.strip().splitlines()
    assert first == second == str(one)
    assert len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) == 3 + 4 + 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (", lora: 2", "", "recipe.yaml:8:11: strength scales adapters, and the model has none; give model.lora"),
        ("[0, 0.5, 1]", "[0, 1.5]", "recipe.yaml:8:11: strength should be a list of different numbers from 0 to 1, one above 0"),
        ("[0, 0.5, 1]", "[-0.5, 1]", ", such as [0, 0.5, 1], not [-0.5, 1]"),
        ("[0, 0.5, 1]", "[0]", "recipe.yaml:8:11: strength should be a list"),
        ("[0, 0.5, 1]", "[1, 1]", "recipe.yaml:8:11: strength should be a list"),
        ("[0, 0.5, 1]", "[0, true]", "recipe.yaml:8:11: strength should be a list"),
        ("[0, 0.5, 1]", "0.5", "recipe.yaml:8:11: strength should be a list"),
        ("[0, 0.5, 1]", ".nan", "recipe.yaml:8:11: strength should be a list"),
        ("strength", "strenght", "recipe.yaml:8:1: unknown key 'strenght'; did you mean 'strength'?"),
    ],
)
def test_what_is_wrong_and_where(recipe, tmp_path, old, new, said):
    text = (tmp_path / "recipe.yaml").read_text()
    assert old in text
    (tmp_path / "recipe.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(QuickstudyError) as error:
        recipe()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["validation=null"], "strength is chosen on tasks like those of validation, which is null"),
        (["learner={name: maml}"], "recipe.yaml:8:11: strength is judged on embeddings as they are, and MAML moves them"),
        (["model.lora={r: 2, use_dora: true}"], "strength scales adapters alone, and this model learns model.module"),
        (["model.lora={r: 2, init_lora_weights: false}"], "but these adapters start elsewhere"),
        (["data={source: sinusoids}"], "strength is judged on labelled sentences"),
        (["validation.shots=5"], "has 5 sentences, 5 shots and 1 query need 6"),
    ],
)
def test_what_strength_cannot_be_of(recipe, tmp_path, changes, said):
    with pytest.raises(QuickstudyError, match=re.escape(said)):
        train(recipe(*changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("labels", [3, 14])
def test_too_few_labels(recipe, tmp_path, labels):
    write_table(tmp_path / "my.csv", labels)
    said = rf"recipe.yaml:3:15: my.csv has {labels} labels, .* at least 15, .*`quickstudy adapt --support FILE` alone"
    with pytest.raises(QuickstudyError, match=said):
        train(recipe(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recipes_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recipe("own-labels") == shipped()["own-labels"]
    assert find_recipe("own-labels").parts[-2:] == ("text", "own-labels.yaml")
    (tmp_path / "own-labels").write_text("mine")
    assert find_recipe("own-labels") == Path("own-labels")
    assert find_recipe("deep/own-labels.yaml") == Path("deep/own-labels.yaml")  # the reading says that it is not there
    with pytest.raises(QuickstudyError, match=r"own-label is neither a file nor a recipe .* did you mean 'own-labels'"):
        find_recipe("own-label")
    with pytest.raises(
        QuickstudyError,
        match=r"one of bandit-100pulls-5arms, .*own-labels, .*sinusoid-maml",
    ):
        find_recipe("xyz")


def test_own_labels_on_the_command_line(tmp_path, monkeypatch, capsys, model):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "my.csv", 15)
    (tmp_path / "my.csv").write_text((tmp_path / "my.csv").read_text().replace("text,label\n", "words,intent\n"))
    command = ["train", "own-labels", "--out", "run", "--set", f"model.name={model}", "--set", "steps=2"]
    own = ["--data", "my.csv", "--text", "words", "--label", "intent"]
    assert command_line(command) == 2
    assert "own-labels leaves the data to you: add --data FILE" in capsys.readouterr().err
    assert command_line([*command, "--data", "my.csv"]) == 2
    assert "--data my.csv: my.csv, line 1: no column 'text'" in capsys.readouterr().err
    assert not Path("run").exists()
    assert command_line([*command, *own]) == 0
    said = capsys.readouterr().out
    assert re.search(r"(?m)^The adapter is (not )?kept.*\.$", said)
    assert Recipe.read("run/recipe.yaml").data.model_dump(exclude_none=True) == {
        "table": "my.csv",
        "text": "words",
        "label": "intent",
        "seed": 0,
    }
    assert command_line([*command, *own, "--resume"]) == 0
    assert capsys.readouterr().out == said
    tasks = validation_episodes(open_run("run")[0])
    assert len(strength.rights(open_run("run")[1].model, tasks)) == 20
    assert RunFolder(Path("run")).learner.is_file()


def test_data_takes_the_place_of_what_the_recipe_says(tmp_path, monkeypatch):
    from quickstudy.cli.train import _data_changes

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text("learner: prototypical\nmodel: {mlp: [1, 2]}\ndata: {set: banking77, fold: 2, seed: 4}\n")
    assert Recipe.read(path, _data_changes("other.csv", None, "intent")).data.model_dump(exclude_none=True) == {
        "table": "other.csv",
        "text": "text",
        "label": "intent",
        "seed": 4,
    }
    data = Recipe.read(path, [*_data_changes("clinc150", None, None), "data.fold=3"]).data
    assert (data.set, data.fold, data.table) == ("clinc150", 3, None)
    (tmp_path / "clinc150").write_text("text,label\n")
    assert Recipe.read(path, _data_changes("clinc150", None, None)).data.table == "clinc150"
