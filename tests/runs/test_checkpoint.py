"""Checkpoints: the same bytes for the same state, and a clear word about every file that is not as written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from quickstudy.atomic import write_atomically
from quickstudy.errors import QuickstudyError
from quickstudy.learners.maml import MAML
from quickstudy.learners.prototypical import Prototypical
from quickstudy.models.networks import mlp
from quickstudy.runs import checkpoint

REMEDY = "train again"


class Counting(Prototypical):
    """With buffers: one that is saved, one that is not."""

    def __init__(self, model: nn.Module):
        super().__init__(model)
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoint" / "state.safetensors"
    tensors = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor(3), "empty": torch.zeros(0, 2)}
    checkpoint.write(path, tensors, {"step": 7, "best": {"score": 0.1}})
    return path, tensors


def test_what_was_written_comes_back(saved):
    path, tensors = saved
    read, facts = checkpoint.read(path, remedy=REMEDY)
    assert facts["step"] == 7
    assert facts["best"] == {"score": 0.1}
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], value) and read[name].dtype == value.dtype for name, value in tensors.items())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_same_bytes_from_another_process(saved, tmp_path):
    code = (
        "import torch; from pathlib import Path; from quickstudy.runs import checkpoint; "
        "tensors = {'empty': torch.zeros(0, 2), 'a': torch.tensor(3), 'b': torch.arange(6.0).view(2, 3)}; "
        f"checkpoint.write(Path({str(tmp_path / 'other')!r}), tensors, {{'best': {{'score': 0.1}}, 'step': 7}})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "5"})
    assert (tmp_path / "other").read_bytes() == saved[0].read_bytes()


def test_every_truncation_is_found(saved):
    path, _ = saved
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(QuickstudyError, match=f"{path.name} is truncated or damaged.*; {REMEDY}"):
            checkpoint.read(path, remedy=REMEDY)
    path.write_bytes(whole + b"\0")
    with pytest.raises(QuickstudyError, match="truncated or damaged"):
        checkpoint.read(path, remedy=REMEDY)


def test_every_changed_byte_is_found(saved):
    path, tensors = saved
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            read, facts = checkpoint.read(path, remedy=REMEDY)
        except QuickstudyError as error:
            assert path.name in str(error)  # noqa: PT017
            assert REMEDY in str(error)  # noqa: PT017
        else:  # a blank in the padding of the header
            assert facts["step"] == 7
            assert all(torch.equal(read[name], value) for name, value in tensors.items())
            assert whole[at : at + 1] == b" "


def test_other_files(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(QuickstudyError, match=r"foreign\.safetensors was not written by quickstudy"):
        checkpoint.read(tmp_path / "foreign.safetensors", remedy=REMEDY)
    save_file({"a": torch.zeros(1)}, tmp_path / "later.safetensors", metadata={"quickstudy": '{"format": 99}'})
    with pytest.raises(QuickstudyError, match="format 99"):
        checkpoint.read(tmp_path / "later.safetensors", remedy=REMEDY)
    with pytest.raises(QuickstudyError, match=f"is not there; {REMEDY}"):
        checkpoint.read(tmp_path / "missing.safetensors", remedy=REMEDY)


def test_learner_and_buffers_come_back():
    learner = Counting(mlp([2, 3], seed=1))
    with torch.no_grad():
        learner.seen += 5
    tensors = checkpoint.learner_tensors(learner)
    assert tensors.keys() == {"model.0.weight", "model.0.bias", "seen"}
    tensors = {name: value.clone() for name, value in tensors.items()}
    other = Counting(mlp([2, 3], seed=2))
    checkpoint.put_learner(other, tensors, {"learner": "Counting"}, "f", remedy=REMEDY)
    assert all(torch.equal(a, b) for a, b in zip(learner.state_dict().values(), other.state_dict().values(), strict=True))


def test_frozen_weights_are_not_stored():
    model = mlp([2, 3, 1])
    model[0].requires_grad_(False)
    assert checkpoint.learner_tensors(MAML(model)).keys() == {"model.2.weight", "model.2.bias"}


@pytest.mark.parametrize(
    ("learner", "said"),
    [
        (MAML(mlp([2, 3])), "holds a Counting, and the recipe asks for MAML"),
        (Counting(mlp([2, 4])), r"model.0.weight has shape \(3, 2\) there and \(4, 2\) here"),
        (Counting(mlp([2, 3, 3])), "the file lacks model.2.bias"),
        (Counting(mlp([2, 3]).double()), "belongs to another model"),
    ],
)
def test_files_of_others_are_refused(learner, said):
    tensors = {name: value.clone() for name, value in checkpoint.learner_tensors(Counting(mlp([2, 3]))).items()}
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    with pytest.raises(QuickstudyError, match=f"f .*{said}.*{REMEDY}"):
        checkpoint.put_learner(learner, tensors, {"learner": "Counting"}, "f", remedy=REMEDY)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_what_was_rounded_is_put_in_place():
    learner, tensors = Counting(mlp([2, 3])), {}
    for name, value in checkpoint.learner_tensors(Counting(mlp([2, 3], seed=1))).items():
        tensors[name] = value.to(torch.bfloat16) if value.is_floating_point() else value
    checkpoint.put_learner(learner, tensors, {"learner": "Counting"}, "f", remedy=REMEDY)
    found = checkpoint.learner_tensors(learner)
    assert all(torch.equal(found[name], value.to(found[name].dtype)) for name, value in tensors.items())
    assert found["model.0.weight"].dtype == torch.float32


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_optimizers_go_on_as_if_nothing_had_been(make):
    def moved(model, optimizer):
        optimizer.zero_grad()
        model(torch.ones(1, 2)).square().sum().backward()
        optimizer.step()

    one, two = mlp([2, 3]), mlp([2, 3])
    first, second = make(one.parameters(), lr=0.1, weight_decay=0.1), make(two.parameters(), lr=0.1, weight_decay=0.1)
    moved(one, first)
    two.load_state_dict(one.state_dict())
    checkpoint.put_optimizer(second, checkpoint.optimizer_tensors(first))
    moved(one, first)
    moved(two, second)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_full_disk_leaves_the_one_before(saved):
    import resource

    path, tensors = saved
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the system refuses to write more, as on a full disk
    try:
        with pytest.raises(QuickstudyError, match=r"could not be written.*the one before it is still good.*--resume"):
            checkpoint.write(path, {**tensors, "big": torch.zeros(5000)}, {"step": 8})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == whole
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_leftover_of_a_kill_is_written_over(tmp_path):
    (tmp_path / ".f.part").write_bytes(b"half")
    write_atomically(tmp_path / "f", b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
