"""`quickstudy evaluate` of a language model, from the command line to the page, with a tiny model."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

from quickstudy import load
from quickstudy.cli.main import run

WORDS = "my card is lost stolen gone it late waiting slow now the refund back return wrong money please help and"
RECIPE = """\
learner: {{name: reptile, inner_lr: 0.01, inner_steps: 2, outer_lr: 0.5, rule: adam}}
model: {{name: {model}, lora: {{r: 2, layers: 1}}}}
data:
  domains: {{folder: texts, train: [cards, waits], valid: [{valid}], test: [{test}], size: 4, block: 16}}
episodes: {{shots: 2, queries: 2, tasks: 1}}
outer: {{optimizer: sgd}}
steps: 2
validation: null
"""
SMALL = ["--shots", "2", "--queries", "2", "--steps", "0,1,2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = random.Random(0)
    for domain in ("cards", "waits", "money", "notes"):
        (tmp_path / "texts" / domain).mkdir(parents=True)
        for i in range(12):
            some = generator.sample(WORDS.split(), 5)
            (tmp_path / "texts" / domain / f"{i}.txt").write_text(" ".join(generator.choice(some) for _ in range(40)))
    return tmp_path


@pytest.fixture
def trained(folder, tiny_llama, capfd):
    def make(valid: str = "money", test: str = "notes") -> None:
        (folder / "recipe.yaml").write_text(RECIPE.format(model=tiny_llama, valid=valid, test=test))
        assert run(["train", "recipe.yaml", "--out", "mine"]) == 0
        capfd.readouterr()

    return make


def evaluated(*arguments: str) -> dict:
    assert run(["evaluate", *arguments, *SMALL, "--json", "r.json"]) == 0
    return json.loads(Path("r.json").read_text())


def test_a_run_on_its_own_test_domains(trained, capfd):
    trained()
    result = evaluated("mine", "--episodes", "4", "--baselines", "full", "--report", "r.html")
    said = capfd.readouterr().out
    names = ["Reptile", "ZeroStep", "Fresh LoRA", "In context", "Full tuning", "Joint training", "Long tuning"]
    assert [method["learner"] for method in result["methods"]] == names
    assert result["steps"] == [0, 1, 2]
    assert result["episodes"]["domains"] == {"notes": 3}
    assert result["rates"] == {"tasks": 3, "domains": ["money"], "why": ""}
    assert result["leaks"] == {"exact": 0, "near": 0, "documents": 12, "examples": []}
    scores = {name: np.array(rows) for name, rows in result["scores"].items()}
    for row in result["comparisons"]:
        at = result["steps"].index(row["steps"])
        assert row["difference"] == pytest.approx((scores["Reptile"] - scores[row["against"]])[:, at].mean())
    assert result["methods"][-1]["ceiling"] in (5, 10, 15, 20, 25, 30)
    assert np.abs(scores["Joint training"][:, 0] - scores["Fresh LoRA"][:, 0]).max() > 1e-6
    assert "The text has 3 topics, so there are 3 tasks, not 4" in said
    assert "none of the 12 documents here is a copy" in said
    assert said.splitlines()[-1] == "Report: r.html"
    page = Path("r.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="(\w+)"', page) == [
        *("methods", "differences", "tokens", "samples", "forgetting", "text", "cost", "protocol")
    ]
    assert "test, as the run&#39;s recipe divides the domains" in page


def test_a_model_by_name_on_ones_own_text(folder, tiny_llama, capfd):
    result = evaluated(tiny_llama, "--data", "texts", "--episodes", "5")
    said = capfd.readouterr().out
    assert [method["learner"] for method in result["methods"]] == ["Fresh LoRA", "ZeroStep", "In context"]
    assert result["episodes"]["domains"] == {"cards": 2, "money": 1, "notes": 1, "waits": 1}
    assert (result["episodes"]["block"], result["leaks"]) == (128, None)
    assert result["methods"][0]["rates"] == [None, 0.002, 0.002]
    assert "Rates were not tuned here, for any method: " in said
    assert "Leak check: not done, since " in said
    again = evaluated(tiny_llama, "--data", "texts", "--episodes", "5")
    assert again["scores"] == result["scores"]
    assert (
        evaluated(tiny_llama, "--data", "texts", "--episodes", "5", "--seed", "1")["episodes"]["hash"]
        != again["episodes"]["hash"]
    )


def test_an_adapter_is_a_start_of_its_own(folder, tiny_llama, capfd):
    assert run(["adapt", tiny_llama, "--text", "texts/cards", "--out", "cards", "--steps", "3", "--lr", "0.05"]) == 0
    result = evaluated("cards", "--data", "texts/notes", "--episodes", "3")
    assert [method["learner"] for method in result["methods"]] == ["cards", "ZeroStep", "Fresh LoRA", "In context"]
    scores = {name: np.array(rows) for name, rows in result["scores"].items()}
    assert scores["Fresh LoRA"][:, 0] == pytest.approx(scores["ZeroStep"][:, 0], abs=1e-5)
    assert np.abs(scores["cards"][:, 0] - scores["ZeroStep"][:, 0]).max() > 1e-3
    assert load("cards").model is not None


def test_rates_are_never_chosen_on_what_is_judged(trained, capfd):
    trained(valid="money")
    result = evaluated("mine", "--data", "texts/money", "--episodes", "2", "--baselines", "none")
    assert result["rates"]["tasks"] == 0
    assert "names no validation domains but those judged on" in result["rates"]["why"]
    assert result["comparisons"] == []
    assert "Reptile was judged alone." in capfd.readouterr().out


def test_text_that_is_not_at_hand_any_more(trained, folder, capfd):
    trained()
    (folder / "texts" / "notes").rename(folder / "kept")
    (folder / "texts").rename(folder / "gone")
    result = evaluated("mine", "--data", "kept", "--episodes", "2", "--baselines", "none")
    assert "are not at hand" in result["rates"]["why"]
    assert "Leak check: not done, since the text that mine learned from is not at hand" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "texts", "--ways", "5"], "--ways belongs to examples with labels"),
        (["--data", "texts", "--names"], "--names belongs to examples with labels"),
        (["--data", "texts", "--fold", "1"], "--fold belongs to examples with labels"),
        (["--data", "texts", "--split", "valid"], "--split belongs to examples with labels"),
        (["--data", "texts", "--label", "topic"], "--label belongs to examples with labels"),
        (["--data", "texts", "--text", "body"], "--text belongs to examples with labels"),
        (["--data", "texts", "--thorough"], "--thorough belongs to examples with labels"),
        (["--data", "texts", "--steps", "1,two"], "--steps 1,two: give whole numbers of steps with commas"),
        (["--data", "texts", "--steps", "-1"], "--steps -1: give whole numbers"),
        (["--data", "texts", "--shots", "1-5"], "--shots 1-5: of text, give a whole number of at least 1"),
        (["--data", "texts", "--queries", "all"], "--queries all: of text, give a whole number"),
        (["--data", "texts", "--episodes", "0"], "--episodes 0: of text, give a whole number of at least 1"),
        (["--data", "texts", "--seed", "-1"], "--seed -1: give a whole number of at least 0"),
        (["--data", "texts", "--baselines", "all"], "--baselines all: give none, standard or full"),
        ([], "--data is missing: give .* a folder of text"),
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--data", "empty"], "empty is empty; put texts there"),
        (["--data", "single"], "'single' has a single document"),
        (["--data", "short"], "'short' has no text of more than 8 tokens"),
        (["--data", "binary"], "binary/b.txt .* binary"),
        (["--data", "texts", "--report", "nowhere/r.html"], "the folder nowhere does not exist"),
        (["--data", "texts", "--device", "nowhere"], "device 'nowhere' is not there"),
    ],
)
def test_bad_input_is_one_sentence(folder, tiny_llama, capfd, arguments, message):
    for name in ("empty", "single", "short", "binary"):
        (folder / name).mkdir()
    (folder / "single" / "a.txt").write_text("my card is lost " * 9)
    for i in range(3):
        (folder / "short" / f"{i}.txt").write_text("my card is lost")
    (folder / "binary" / "b.txt").write_bytes(b"ab\0cd")
    before = sorted(map(str, Path().rglob("*")))
    assert run(["evaluate", tiny_llama, *arguments]) == 2
    said = capfd.readouterr().err
    assert re.search(message, said), said
    assert len(said.strip().splitlines()) == 1
    assert sorted(map(str, Path().rglob("*"))) == before


def test_a_domain_that_was_learned_from_is_refused(trained, capfd):
    trained()
    assert run(["evaluate", "mine", "--data", "texts"]) == 2
    assert "mine has learned from the domain 'cards'; leave it out" in capfd.readouterr().err


def test_a_run_without_test_domains_needs_data(trained, folder, capfd):
    trained(test="")
    assert run(["evaluate", "mine"]) == 2
    assert "names no test domains; give --data" in capfd.readouterr().err


def test_steps_are_for_language_models_alone(folder, tiny_bert, capfd):
    (folder / "my.csv").write_text("text,label\nmy card,a\nit is late,b\n")
    assert run(["evaluate", tiny_bert, "--data", "my.csv", "--steps", "1"]) == 2
    assert "--steps belongs to a language model" in capfd.readouterr().err
