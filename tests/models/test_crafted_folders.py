"""Model folders that want to run code, or to have what is not theirs: nothing is run and nothing read."""

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch

from quickstudy import QuickstudyError, models


class Payload:
    """What a pickle of it does when it is opened."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def folder(tiny_bert, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "model"))


def change(file: Path, **values) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def pickled(folder, mark):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Payload(mark)}, folder / "pytorch_model.bin")


def code_for_the_model(folder, mark):
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')")
    change(folder / "config.json", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"}, model_type="own")


def code_for_a_part(folder, mark):
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')")
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "own.Part"}]))


def a_part_elsewhere(folder, mark):
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "../other", "type": "x.Dense"}]))


def tensors_elsewhere(folder, mark):
    shutil.copytree(folder, folder.parent / "other")
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"embeddings.word_embeddings.weight": "../other/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def a_huge_header(folder, mark):
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", 2**60) + file.read_bytes()[8:])


def a_huge_layer(folder, mark):
    change(folder / "config.json", hidden_size=2**40)


def a_word_for_a_number(folder, mark):
    change(folder / "config.json", num_attention_heads="two")


def a_deep_configuration(folder, mark):
    (folder / "config.json").write_text("[" * 200_000)


def parts_that_are_none(folder, mark):
    (folder / "modules.json").write_text("[1]")


def half_a_list_of_parts(folder, mark):
    (folder / "modules.json").write_text('[{"idx": 0')


CRAFTED = {
    pickled: "no file named model.safetensors",
    code_for_the_model: "none is run from a model's folder",
    code_for_a_part: "a part of type 'Part' is not supported",
    a_part_elsewhere: r"'\.\./other' is not in this folder",
    tensors_elsewhere: r"'\.\./other/model\.safetensors', which is not in this folder",
    a_huge_header: "cannot load the model in .*header",
    a_huge_layer: "cannot load the model in .*1099511627776",
    a_word_for_a_number: "cannot load the model in .*",
    a_deep_configuration: "cannot load the model in .*recursion",
    parts_that_are_none: "modules.json is not what sentence-transformers writes",
    half_a_list_of_parts: "cannot load the model in .*delimiter",
}


@pytest.mark.parametrize(("craft", "said"), CRAFTED.items(), ids=lambda it: getattr(it, "__name__", ""))
def test_a_crafted_folder_is_refused_in_words(folder, tmp_path, craft, said):
    craft(folder, tmp_path / "mark")
    with pytest.raises(QuickstudyError, match=f"(?i){said}"):
        models.load(str(folder))
    assert not (tmp_path / "mark").exists()


def test_the_payload_would_have_worked(tmp_path):
    torch.save({"weight": Payload(tmp_path / "mark")}, tmp_path / "file.bin")
    torch.load(tmp_path / "file.bin", weights_only=False)
    assert (tmp_path / "mark").exists()
