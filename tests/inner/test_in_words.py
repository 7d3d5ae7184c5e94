"""What torch raises, in words. cuDNN's errors need a GPU, so its sentences stand for it here."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from quickstudy import MAML, QuickstudyError, Task
from quickstudy.inner.in_words import in_words
from quickstudy.tasks.batch import Batch

CUDNN = {
    "Double backwards is not supported for CuDNN RNNs due to limitations in the CuDNN API. To run double backwards, please "
    "disable the CuDNN backend temporarily while running the forward pass of your RNN.": "no second derivative",
    "derivative for aten::_cudnn_rnn_backward is not implemented": "no second derivative",
    "cudnn RNN backward can only be called in training mode": "no backward pass in eval mode",
}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)
        self.raises = ""

    def forward(self, x):
        if self.raises:
            raise RuntimeError(self.raises)
        return self.head(self.lstm(x)[0][:, -1])


@pytest.mark.parametrize("text", CUDNN)
def test_a_recurrent_layer_on_cudnn_names_the_limit_and_the_switch(text):
    model = Recurrent().eval()
    batch = Batch(torch.randn(4, 5, 3), torch.arange(4) % 2)
    learner, task = MAML(model, 0.1), Task(batch, batch)
    learner([task])  # exact on the processor
    model.raises = text
    for call in (lambda: learner([task]), lambda: learner.adapt(batch)):
        with pytest.raises(QuickstudyError) as error:
            call()
        assert str(error.value).startswith(f"`lstm` (LSTM): cuDNN's recurrent layers have {CUDNN[text]}; ")
        assert "torch.backends.cudnn.flags(enabled=False)" in str(error.value)
        assert ("first_order" in str(error.value)) == ("second" in CUDNN[text])
        assert str(error.value.__cause__) == text


def test_what_is_not_known_is_left_as_it_is():
    model = Recurrent()
    model.raises = "out of memory"
    assert in_words(RuntimeError(model.raises), model) is None
    with pytest.raises(RuntimeError, match="out of memory"):
        MAML(model, 0.1).adapt(Batch(torch.randn(4, 5, 3), torch.arange(4) % 2))


def test_names_are_left_out_where_no_module_is_of_that_kind():
    said = in_words(RuntimeError("cudnn RNN backward can only be called in training mode"), nn.Linear(1, 1))
    assert said.startswith("a recurrent layer: cuDNN's")
