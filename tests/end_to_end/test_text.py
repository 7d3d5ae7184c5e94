"""`adapt --text` and `generate` on the real command line, with a tiny model."""

import json
import re
import subprocess
import sys

import pytest
import torch

from quickstudy import load
from quickstudy.cli.main import run

SOME = "my the card please help is it now lost stolen gone late waiting slow back return wrong"
WORDS = SOME.split()
OPENED_ELSEWHERE = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
assert "quickstudy" not in sys.modules
folder = sys.argv[1]
base = json.load(open(folder + "/adapter_config.json"))["base_model_name_or_path"]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder).eval()
with torch.no_grad():
    print(json.dumps(model(torch.tensor([[2, 5, 7, 3, 9]])).logits[0].tolist()))
"""


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for at in range(12):
        drawn = torch.randint(16, (40,), generator=generator).tolist()
        (folder / f"{at}.txt").write_text(" ".join(WORDS[i] for i in drawn))
    return folder


def adapt(model, notes, out, *more):
    return run(["adapt", str(model), "--text", str(notes), "--out", str(out), *map(str, more)])


def test_a_text_becomes_an_adapter_that_any_tool_opens(tiny_llama, notes, tmp_path, capfd):
    out = tmp_path / "adapter"
    assert adapt(tiny_llama, notes, out, "--steps", 5, "--lr", 0.02) == 0
    said = capfd.readouterr().out
    assert "learned 10 documents (390 tokens) in 5 steps" in said
    assert "On 2 held-out documents: " in said
    assert "On other text (a page of prose): " in said
    before, after = said.partition("documents: ")[2].partition(" nats")[0].split(" -> ")
    assert float(after) < float(before)
    assert {f.name for f in out.iterdir()} == {"adapter_config.json", "adapter_model.safetensors", "quickstudy.json", "README.md"}
    told = subprocess.run([sys.executable, "-c", OPENED_ELSEWHERE, str(out)], capture_output=True, text=True, check=True)
    elsewhere = torch.tensor(json.loads(told.stdout.splitlines()[-1]))
    torch.testing.assert_close(elsewhere, load(out).logits([torch.tensor([2, 5, 7, 3, 9])]), atol=1e-5, rtol=0)
    card = (out / "README.md").read_text()
    assert "library_name: peft" in card
    assert f"{before} -> {after} nats a token" in card


def test_an_adapter_learns_on(tiny_llama, notes, tmp_path, capfd):
    assert adapt(tiny_llama, notes, tmp_path / "a", "--steps", 3, "--lr", 0.02) == 0
    assert adapt(tmp_path / "a", notes, tmp_path / "b", "--steps", 3, "--lr", 0.02) == 0
    first, second = (line for line in capfd.readouterr().out.splitlines() if "held-out" in line)
    assert first.partition(" -> ")[0] == second.partition(" -> ")[0], "before is the plain model, each time"
    assert float(second.split(" -> ")[1].split()[0]) < float(first.split(" -> ")[1].split()[0])


def test_before_and_after_stand_side_by_side(tiny_llama, notes, tmp_path, capfd):
    assert adapt(tiny_llama, notes, tmp_path / "a", "--steps", 8, "--lr", 0.1) == 0
    capfd.readouterr()
    command = ["generate", str(tmp_path / "a"), "--prompt", "my card", "--tokens", "8", "--seed", "3"]
    assert run(command) == 0
    said = capfd.readouterr().out
    before, after = said.splitlines()[:2]
    assert before.startswith("before: my card")
    assert after.startswith("after: my card")
    assert before.partition(": ")[2] != after.partition(": ")[2]
    assert run(command) == 0
    assert capfd.readouterr().out == said


def test_a_single_document_is_learned_without_an_estimate(tiny_llama, notes, tmp_path, capfd):
    assert adapt(tiny_llama, notes / "0.txt", tmp_path / "a", "--steps", 2) == 0
    said = capfd.readouterr()
    assert "a single document, so none is held out" in said.err
    assert "held-out" not in said.out


def test_a_rate_that_is_far_too_high_leaves_the_best_state(tiny_llama, notes, tmp_path, capfd):
    assert adapt(tiny_llama, notes, tmp_path / "a", "--steps", 20, "--lr", 1e30) == 0
    said = capfd.readouterr()
    assert "kept is the state after 0 of 20 steps" in said.err
    assert (tmp_path / "a" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "empty"], "empty is empty; put texts there"),
        (["--text", "binary"], r"binary/b.txt .* binary .*NUL"),
        (["--text", "mixed"], "mixed/latin.txt is not UTF-8 at byte"),
        (["--text", "short"], "no document of more than 8 tokens; add text"),
        (["--text", "nowhere"], "nowhere does not exist"),
        (["--text", "notes", "--steps", "0"], "--steps 0: give at least 1"),
        (["--text", "notes", "--lr", "-1"], "--lr -1.0: give a rate above 0"),
        (["--text", "notes", "--keep", "gone.txt"], "gone.txt does not exist"),
        (["--text", "notes", "--names", "yes"], "--names goes with --support"),
        (["--steps", "3"], "give --support .* or --text"),
        (["--support", "my.csv", "--steps", "3"], "--steps goes with --text alone"),
    ],
)
def test_bad_input_is_one_sentence(tiny_llama, notes, tmp_path, capfd, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name, content in {"empty": None, "binary/b.txt": b"ab\0cd", "mixed/latin.txt": "caf\xe9".encode("latin1") * 30}.items():
        place = tmp_path / name
        (place.parent if content else place).mkdir(exist_ok=True)
        if content:
            place.write_bytes(content)
    (tmp_path / "mixed" / "a.txt").write_text("my card is lost " * 9)
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "a.txt").write_text("my card is lost")
    assert run(["adapt", tiny_llama, "--out", "a", *arguments]) == 2
    said = capfd.readouterr().err
    assert re.search(message, said)
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "a").exists()


def test_other_models_are_refused(tiny_llama, tiny_bert, notes, tmp_path, capfd):
    assert adapt(tiny_bert, notes, tmp_path / "a") == 2
    assert "is no language model" in capfd.readouterr().err
    assert adapt(tiny_llama, notes, tmp_path / "a", "--steps", 1) == 0
    config = tmp_path / "a" / "quickstudy.json"
    config.write_text(config.read_text().replace(json.dumps(tiny_llama), json.dumps(tiny_bert)))
    assert run(["generate", str(tmp_path / "a"), "--prompt", "my card"]) == 2
    assert re.search("no LoRA adapter could be put on BertModel: Target modules .* not found", capfd.readouterr().err)
