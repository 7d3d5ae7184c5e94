"""`Unlabelled`: classes are words, each sentence is in one of them with its word masked, and nothing gives the answer away."""

import random
import re

import pytest
import torch

from quickstudy import Episodes, QuickstudyError, Unlabelled
from quickstudy.cli.main import run as command_line
from quickstudy.runs.build import data_part, train_episodes
from quickstudy.runs.recipe import Recipe
from quickstudy.tasks.episodes import fingerprint
from quickstudy.tasks.unlabelled import mask, split

TOPICS = ["parcel", "refund", "password", "invoice", "delivery", "voucher", "coupon", "address", "warranty", "battery"]
FILLER = [a + b + c for a in "bdfgklmn" for b in "aeiou" for c in ("rt", "st", "nk")]


def sentences(each: int = 30, topics: list[str] = TOPICS, seed: int = 0) -> list[str]:
    """`each` sentences about each topic, all with "the", half of them with a second topic."""
    draw, found = random.Random(seed), []
    for topic in topics:
        for _ in range(each):
            second = draw.choice(topics) if draw.random() < 0.5 else draw.choice(FILLER)
            found.append(" ".join(["The", *draw.sample(FILLER, 5), topic, second]))
    return found


def table(**settings) -> Unlabelled:
    return Unlabelled.read(sentences(), **{"least": 10, "most": 0.3, **settings})


def words(sentence: str) -> set[str]:
    return set(sentence.casefold().split()) - {"[mask]"}


def test_classes_are_the_words_between_the_bounds():
    frequency = {word: sum(word in words(sentence) for sentence in sentences()) for word in ["the", *TOPICS, *FILLER]}
    for least, most in ((10, 0.3), (16, 0.1)):
        found = table(least=least, most=most)
        assert min(found.counts.values()) >= least
        assert all(least <= frequency[word] <= most * 300 for word in found.classes)
    assert len(table().classes) > 8


def test_a_stop_word_is_a_class_only_where_it_may_be():
    source = [f"the {a} {b} {c}" for a, b, c in zip(FILLER[:30], FILLER[30:60], FILLER[60:90], strict=True)]
    assert list(mask(source, least=2, most=30)) == ["the"]
    assert mask(source, least=2, most=29) == {}


def test_the_word_of_a_class_is_masked():
    found = table()
    assert len(found) > 150
    assert not any(label in words(text) for text, label in zip(found.texts, found.labels, strict=True))
    assert all("[MASK]" in text for text in found.texts)


def test_a_sentence_is_in_one_class_though_it_holds_words_of_several():
    source = sentences()
    found = table()
    whole = {frozenset(words(sentence)): sentence for sentence in source}
    origins = [whole[frozenset(words(text) | {label})] for text, label in zip(found.texts, found.labels, strict=True)]
    assert len(set(origins)) == len(origins)
    assert sum(len(words(sentence) & set(found.classes)) > 1 for sentence in origins) > 50


def test_what_two_sentences_leave_is_there_once():
    classes = mask([f"{word} code {i}" for word in ("pin", "tan") for i in (1, 2, 3)], least=3, most=5)
    assert classes == {"pin": ["[MASK] code 1", "[MASK] code 2", "[MASK] code 3"]}


def test_every_form_of_the_word_goes():
    source = [f"Card {i * 'y'}, my card's limit and CARD (card) in the cardboard" for i in range(1, 5)]
    classes = mask([*source, *(f"the {word} card" for word in FILLER[:3])], least=4, most=4)
    assert classes == {"and": [sentence.replace(" and ", " [MASK] ") for sentence in source]}
    assert mask([f"{i * 'y'} Card card's CARD (card) cardboard" for i in range(1, 4)], least=3, most=3) == {
        "card": [f"{i * 'y'} [MASK] [MASK] [MASK] ([MASK]) cardboard" for i in range(1, 4)]
    }
    assert list(mask([f"{i * 'y'} I don’t" for i in range(1, 4)], least=3, most=3)) == ["don't"]


def test_the_rarest_word_is_served_first():
    source = [f"common rare {word}" for word in FILLER[:3]] + [f"common plain {word}" for word in FILLER[3:8]]
    assert {word: len(rows) for word, rows in mask(source, least=3, most=8).items()} == {"rare": 3, "plain": 5}
    more = mask([*source, *(f"common {word}" for word in FILLER[8:12])], least=4, most=12)
    assert {word: len(rows) for word, rows in more.items()} == {"plain": 5, "common": 7}


def test_parts_share_no_word_and_no_sentence():
    parts = table().divide(fractions={"train": 0.6, "valid": 0.4}, seed=1)
    train, valid = parts["train"], parts["valid"]
    assert set(train.classes).isdisjoint(valid.classes)
    whole = [[frozenset(words(t) | {y}) for t, y in zip(part.texts, part.labels, strict=True)] for part in (train, valid)]
    assert set(whole[0]).isdisjoint(whole[1])
    assert isinstance(train, Unlabelled)


def test_the_same_text_gives_the_same_tasks():
    one, two = (Episodes(table(), shots=3, tasks=3, seed=4) for _ in range(2))
    assert one.hash == two.hash != Episodes(table(), shots=3, tasks=3, seed=5).hash
    for task in one[0]:
        assert set(task.support.inputs).isdisjoint(task.query.inputs)
        assert len(set(task.support.targets)) == 5


@pytest.mark.parametrize("part", [lambda t: t, lambda t: t.divide(seed=0)["train"], lambda t: t.select(classes=t.classes[:8])])
def test_names_would_be_the_answer(part):
    with pytest.raises(QuickstudyError, match=r"^names: each class of .* is the word masked in .*; leave names out"):
        Episodes(part(table()), names=True)


def test_a_repeated_sentence_counts_once():
    assert Unlabelled.read([*sentences(), *map(str.upper, sentences())], least=10, most=0.3).counts == table().counts


def test_long_texts_are_split():
    short = "First sentence here now. And a second one."
    assert list(split(short)) == [short]
    long = " ".join(["A sentence of five words."] * 7 + ["Too short."] + ["w"] * 45)
    assert list(split(long)) == ["A sentence of five words."] * 7 + [" ".join(["w"] * 40), "w w w w w"]
    assert list(split("three words only")) == []


def test_a_folder_is_read_with_all_below_it(tmp_path):
    (tmp_path / "deep").mkdir()
    source = sentences()
    (tmp_path / "a.txt").write_text("\n\n".join(source[:100]))
    (tmp_path / "deep" / "b.csv").write_text("id,body\n" + "".join(f"{i},{text}\n" for i, text in enumerate(source[100:200])))
    (tmp_path / "deep" / "c.jsonl").write_text("".join(f'{{"body": "{text}"}}\n' for text in source[200:]))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    found = Unlabelled.read(tmp_path, text="body", most=0.3)
    assert (found.texts, found.labels) == (table().texts, table().labels)
    assert found.name == tmp_path.name
    one = Unlabelled.read(str(tmp_path / "a.txt"), most=0.5)
    assert 0 < len(one) <= 100


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"mine holds no file that ends in \.txt, \.csv, .*; put the sentences into one"),
        ({"a.md": b"some words in a row\n"}, r"mine holds no file that ends in \.txt"),
        ({"a.txt": b"\x7fELF\x02\xff\xfe\n"}, r"a\.txt: line 1 is not UTF-8"),
        ({"a.txt": b"good words in a row\nab\0cd\n"}, r"a\.txt: line 2 looks binary \(it holds a NUL\)"),
        ({"a.csv": b"PK\x03\x04\x00\x00"}, r"a\.csv looks binary"),
        ({"a.txt": b"two words\n\n"}, r"mine holds no sentence of 4 words or more; add text"),
        ({"a.txt": b"these are four words\n" * 50}, r"mine has 1 different sentence, and a task needs 2 words .* at least 10 of"),
        ({"a.csv": b"body,x\nthese are four words,1\n"}, r"a\.csv, line 1: no column 'text' \(found: 'body', 'x'\)"),
        ({"a.jsonl": b'{"text": ["x"]}\n'}, r"a\.jsonl, line 1: the text is a list"),
    ],
)
def test_what_is_wrong_with_the_text(tmp_path, files, said):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(QuickstudyError, match=said):
        Unlabelled.read(folder)


def test_numbers_and_places_that_are_refused(tmp_path):
    for settings in ({"least": 1}, {"most": 0.0}, {"most": 1.5}):
        with pytest.raises(QuickstudyError, match="give at least 2 sentences a word, and a share of at most 1"):
            table(**settings)
    with pytest.raises(QuickstudyError, match="does not exist; check the name"):
        Unlabelled.read(tmp_path / "none")
    with pytest.raises(QuickstudyError, match="the text holds no sentence"):
        Unlabelled.read([])


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("\n".join(sentences(each=100)))
    (tmp_path / "recipe.yaml").write_text(
        "learner: prototypical\nmodel: {name: minilm, lora: 2}\n"
        f"data: {{unlabelled: {tmp_path}/text}}\nepisodes: {{ways: 3, shots: 2}}\n"
    )
    return lambda *overrides: Recipe.read(tmp_path / "recipe.yaml", overrides)


def test_a_recipe_names_the_folder(recipe, tmp_path):
    parts = [data_part(recipe(), name) for name in ("train", "valid", "test")]
    assert all(isinstance(part, Unlabelled) for part in parts)
    assert len(set().union(*(part.classes for part in parts))) == sum(len(part.classes) for part in parts)
    first = train_episodes(recipe())[0]
    assert fingerprint(first) == fingerprint(train_episodes(recipe())[0]) != fingerprint(train_episodes(recipe("seed=1"))[0])
    recipe().write(tmp_path / "again.yaml")
    assert Recipe.read(tmp_path / "again.yaml").data == recipe().data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("data.unlabelled=nowhere",), "--set data.unlabelled=nowhere: nowhere does not exist"),
        (("episodes.names=true",), r"recipe\.yaml:4:11: names: each class of text/train is the word masked in its sentences"),
        (("episodes.ways=500",), r"recipe\.yaml:4:11: ways=500, but text/train has \d+ classes"),
        (("data.set=helpdesk",), "data needs exactly one of set, table, unlabelled, source, domains, trials and demonstrations"),
    ],
)
def test_what_is_wrong_has_its_place(recipe, change, said):
    with pytest.raises(QuickstudyError, match=said):
        train_episodes(recipe(*change))


def test_what_is_wrong_with_the_folder_has_the_place_in_the_file(recipe, tmp_path):
    (tmp_path / "text" / "a.txt").unlink()
    with pytest.raises(QuickstudyError, match=r"recipe\.yaml:3:20: .*text holds no file that ends in"):
        train_episodes(recipe())


def test_a_strength_cannot_be_judged_without_labels(recipe, tmp_path):
    from quickstudy.runs.train import train

    with pytest.raises(QuickstudyError, match="strength is judged on labelled sentences"):
        train(recipe("strength=[0, 1]"), tmp_path / "run")


def test_train_and_adapt_on_the_command_line(tmp_path, monkeypatch, capsys):
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("\n".join(sentences(each=100)))
    model = tmp_path / "model"
    model.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", *TOPICS, *FILLER]
    (model / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(str(model / "vocab.txt")).save_pretrained(model)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    with torch.random.fork_rng():
        transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(model)
    changes = [f"model.name={model}", "steps=2", "episodes.ways=5", "validation.episodes=5"]
    command = ["train", "unlabelled", "--out", "run", *(part for change in changes for part in ("--set", change))]
    assert command_line(command) == 2
    assert re.search(r"unlabelled leaves the data to you: .*--set data.unlabelled=FOLDER", capsys.readouterr().err)
    assert command_line([*command, "--set", "data.unlabelled=text", "--set", "validation.names=true"]) == 2
    assert re.search(r"unlabelled\.yaml:\d+:\d+: names: each class of text/valid", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()
    assert command_line([*command, "--set", "data.unlabelled=text"]) == 0
    (tmp_path / "my.csv").write_text("text,label\n" + "".join(f"{s},{'ab'[i % 2]}\n" for i, s in enumerate(sentences(each=1))))
    assert command_line(["adapt", "run", "--support", "my.csv", "--out", "clf"]) == 0
    assert (tmp_path / "clf").is_dir()
