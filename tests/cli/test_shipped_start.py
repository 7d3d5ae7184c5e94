"""The start that ships: made by its recipe, small, and found by name."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from quickstudy.cli.evaluate_text import reads_text
from quickstudy.cli.resolve import DEFAULT_TEXT_MODEL
from quickstudy.models.adapters import is_adapter
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.shipped import PRIORS, find_recipe

START = PRIORS / DEFAULT_TEXT_MODEL


def test_it_is_a_run_of_the_recipe():
    assert Recipe.read(START / "recipe.yaml").plain() == Recipe.read(find_recipe(Path("joint"))).plain()
    assert reads_text(DEFAULT_TEXT_MODEL)


def test_it_holds_adapters_alone_and_they_have_learned():
    (file,) = (START / "learner").iterdir()
    assert file.stat().st_size < 5e6
    learned = load_file(file)
    assert all(map(is_adapter, learned))
    assert all(torch.isfinite(value).all() for value in learned.values())
    assert all(value.any() for name, value in learned.items() if ".lora_B." in name)
    layers = {int(name.split(".layers.")[1].split(".")[0]) for name in learned}
    assert layers == set(range(30))


def test_its_card_names_every_source():
    card, recipe = (START / "README.md").read_text(), Recipe.read(START / "recipe.yaml")
    assert recipe.data.domains is not None
    words = ("WikiText", "Gutenberg", "TAT-QA", "SEC", "film reviews", "Rust", "Python")
    assert len(recipe.data.domains.train) == len(words)
    assert all(word in card for word in words)
