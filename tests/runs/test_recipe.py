"""Recipes: what they accept, and one exact sentence for what they do not."""

from __future__ import annotations

import re

import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.runs.build import build_learner
from quickstudy.runs.recipe import Recipe

GOOD = """\
learner: {name: prototypical, outer_lr: 5e-4, scale: 20}
model: {mlp: [3, 4]}
data: {set: banking77, fold: 1}
episodes:
  ways: [3, 5]
  shots: 1
  queries: all
outer: {optimizer: adamw, weight_decay: 0.01, schedule: linear, warmup: 0.1, clip: null}
steps: 120
validation: {episodes: 20, every: 30}
seed: 3
"""
SINUSOIDS = "data: {source: sinusoids}\n"


def read(tmp_path, text, overrides=()):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return Recipe.read(path, overrides)


def message(tmp_path, text, overrides=()):
    with pytest.raises(QuickstudyError) as error:
        read(tmp_path, text, overrides)
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{tmp_path}/", "")


def test_a_whole_recipe(tmp_path):
    recipe = read(tmp_path, GOOD)
    assert recipe.learner.name == "prototypical"
    assert recipe.learner_settings(recipe.learner_class()) == {"outer_lr": 5e-4, "scale": 20.0}
    assert recipe.episodes.ways == (3, 5)
    assert recipe.episodes.queries == "all"
    assert recipe.outer.clip is None
    assert recipe.validation.shots == 1


def test_short_forms(tmp_path):
    recipe = read(tmp_path, "learner: maml\nmodel: minilm\ndata: {source: sinusoids}\nvalidation: null\n")
    assert recipe.learner.name == "maml"
    assert recipe.model.name == "minilm"
    assert recipe.validation is None


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["validation=null"],
        ["learner.scale=null"],
        ["data={table: 'a: b.csv', text: 'no', label: '5e-4'}"],
        ["learner.outer_lr=1e-7", "seed=0"],
    ],
)
def test_written_reads_back_equal(tmp_path, changes):
    recipe = read(tmp_path, GOOD, changes)
    recipe.write(tmp_path / "again.yaml")
    assert Recipe.read(tmp_path / "again.yaml") == recipe
    first = (tmp_path / "again.yaml").read_bytes()
    Recipe.read(tmp_path / "again.yaml").write(tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_bytes() == first


def test_rates_are_learned(tmp_path):
    text = "learner: {name: maml, inner_lr: 0.05, rates: {per: layer, steps: 2}}\nmodel: {mlp: [1, 4, 1]}\n" + SINUSOIDS
    learner = build_learner(read(tmp_path, text))
    rates = [p for name, p in learner.named_parameters() if "rates" in name]
    assert [p.tolist() for p in rates] == [pytest.approx([0.05, 0.05])] * 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps: 120", "stepps: 120", "recipe.yaml:9:1: unknown key 'stepps'; did you mean 'steps'?"),
        ("  shots: 1", "  shotts: 1", "recipe.yaml:6:3: unknown key 'shotts'; did you mean 'shots'?"),
        ("steps: 120", "ways: 120", "recipe.yaml:9:1: unknown key 'ways'; did you mean 'episodes.ways'?"),
        ("seed: 3", "zzz: 3", "recipe.yaml:11:1: unknown key 'zzz'; a recipe has learner, model"),
        ("scale: 20", "scael: 20", "recipe.yaml:1:47: unknown key 'scael'; did you mean 'scale'?"),
        ("scale: 20", "scale: big", "recipe.yaml:1:54: learner.scale should be a valid number, unable to"),
        ("scale: 20", "rates: {per: layer}", "recipe.yaml:1:47: Prototypical has no inner learning rate to learn"),
        ("prototypical", "prototypicl", "recipe.yaml:1:17: no learner 'prototypicl'"),
        ("steps: 120", "steps: ten", "recipe.yaml:9:8: steps should be a valid integer, unable to"),
        ("steps: 120", "steps: true", "recipe.yaml:9:8: steps should be a number, not True"),
        ("steps: 120", "steps: 0", "recipe.yaml:9:8: steps should be greater than or equal to 1, not 0"),
        ("[3, 5]", "[5, 3]", "recipe.yaml:5:9: episodes.ways should be a whole number of at least 1, or a range such as [1, 5]"),
        ("[3, 5]", "[5, 3]", ", or all, not [5, 3]"),
        ("  shots: 1", "  shots: all", "recipe.yaml:6:10: episodes.shots should be a whole number"),
        ("queries: all", "queries: 0", "recipe.yaml:7:12: episodes.queries should be a whole number of at least 1, or all"),
        ("adamw", "adamax", "recipe.yaml:8:20: outer.optimizer should be 'adam', 'adamw' or 'sgd', not 'adamax'"),
        ("[3, 4]", "[3]", "recipe.yaml:2:14: model.mlp should have at least 2 items, not [3]"),
        ("fold: 1}", "fold: 1, table: a.csv}", "recipe.yaml:3:7: data needs exactly one of set, table, unlabelled,"),
        (
            "{mlp: [3, 4]}",
            "{}",
            "recipe.yaml:2:8: model needs exactly one of name, mlp, gru, fast_weights, policy, conv4, resnet12 and vit",
        ),
        ("{mlp: [3, 4]}", "7", "recipe.yaml:2:8: model should be a group of keys, not 7"),
        ("model: {mlp: [3, 4]}\n", "", "recipe.yaml:1:1: the key model is missing"),
        ("steps: 120", "steps: 120\nsteps: 130", "recipe.yaml:10:1: the key 'steps' is here twice (first at recipe.yaml:9:1)"),
        ("steps: 120", "steps: [120", "recipe.yaml:10:11: not valid YAML: expected ',' or ']'"),
        ("steps: 120", "steps:\t120\n\tx: 1", "recipe.yaml:9:7: not valid YAML: found character '\\t'"),
        ("steps: 120", "steps: !!python/object/apply:os.getcwd []", "recipe.yaml:9:8"),
        ("steps: 120", "steps: !!python/name:os.system ''", "recipe.yaml:9:8: not valid YAML: could not determine a constructor"),
        ("seed: 3", "seed: &a 3\nx: *a", "recipes use no anchors and aliases (& and *)"),
        ("seed: 3", "seed: 2024-99-99", "recipe.yaml:11:7: not valid YAML: month must be in 1..12"),
        ("seed: 3", "1: 3", "recipe.yaml:11:1: a key must be a word"),
    ],
)
def test_what_is_wrong_and_where(tmp_path, old, new, said):
    assert old in GOOD
    assert said in message(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("stepps=10", "--set stepps=10: unknown key 'stepps'; did you mean 'steps'?"),
        ("learner.scael=10", "--set learner.scael=10: unknown key 'scael'; did you mean 'scale'?"),
        ("steps=ten", "--set steps=ten: steps should be a valid integer"),
        ("steps", "--set steps: write key=value"),
        ("steps.x=1", "--set steps.x=1: steps has no keys below it"),
        ("steps=[1", "--set steps=[1: not valid YAML"),
        ("episodes={ways: 0}", "--set episodes={ways: 0}: episodes.ways should be a whole number of at least 1"),
        ("data.table=x.csv", "data needs exactly one of set, table, unlabelled, source, domains, trials and demonstrations"),
    ],
)
def test_an_override_is_named(tmp_path, change, said):
    assert said in message(tmp_path, GOOD, [change])


def test_overrides(tmp_path):
    text = GOOD.replace("{name: prototypical, outer_lr: 5e-4, scale: 20}", "prototypical")
    recipe = read(tmp_path, text, ["steps=10", "learner.scale=10", "model=minilm", "outer.clip="])
    assert recipe.steps == 10
    assert recipe.learner_settings(recipe.learner_class()) == {"scale": 10.0}
    assert recipe.model.name == "minilm"
    assert recipe.outer.clip is None


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "a recipe is a list of `key: value` lines, and this one is empty"),
        (b"# nothing\n", "this one is empty"),
        (b"- a\n", "starts with a list"),
        (b"learner: \xff\xfe", "not UTF-8 (byte 9)"),
        (b"learner: \x00", "not valid YAML"),
        (b"[" * 1500, "not valid YAML"),
    ],
)
def test_files_that_are_no_recipe(tmp_path, payload, said):
    (tmp_path / "recipe.yaml").write_bytes(payload)
    with pytest.raises(QuickstudyError, match=re.escape(said)):
        Recipe.read(tmp_path / "recipe.yaml")
    with pytest.raises(QuickstudyError, match="cannot be read"):
        Recipe.read(tmp_path / "missing.yaml")


def test_reading_executes_no_learner_file(tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'was_here')!r}, 'w')")
    recipe = read(tmp_path, f"learner: {tmp_path}/evil.py:Mine\nmodel: {{mlp: [1, 1]}}\n" + SINUSOIDS)
    with pytest.raises(QuickstudyError, match="would execute"):
        build_learner(recipe, allow_files=False)
    assert not (tmp_path / "was_here").exists()


def test_settings_of_a_learner_file_are_placed_too(tmp_path):
    (tmp_path / "mine.py").write_text("from quickstudy import MAML\n\nclass Mine(MAML):\n    pass\n")
    text = f"learner:\n  name: {tmp_path}/mine.py:Mine\n  iner_steps: 2\nmodel: {{mlp: [1, 1]}}\n"
    recipe = read(tmp_path, text + SINUSOIDS)
    with pytest.raises(QuickstudyError, match=r"recipe.yaml:3:3: unknown key 'iner_steps'; did you mean 'inner_steps'\?"):
        build_learner(recipe)


def test_settings_that_the_learner_itself_refuses_are_placed(tmp_path):
    text = "learner: {name: fine_tune, inner_steps: 2}\nmodel: {mlp: [1, 1]}\n" + SINUSOIDS
    with pytest.raises(QuickstudyError, match=r"recipe.yaml:1:10: .*multiple values for keyword argument 'inner_steps'"):
        build_learner(read(tmp_path, text))
