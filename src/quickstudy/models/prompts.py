"""`Wording`: how an example of a sentence with a label becomes tokens."""

from __future__ import annotations

from typing import Any, Literal

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.names import readable

Method = Literal["direct", "channel"]
BETWEEN, AFTER = "\n", "\n\n"
"""What stands between the two parts of an example, and after it."""


class Wording:
    """An example in two parts, `(given, answer)`: its place among the demonstrations is one after the other.

    Direct: the sentence is given, and its label, read as words, is the answer. Channel: the label is given, and the sentence
    is the answer (Min et al. 2022, "Noisy Channel Language Model Prompting for Few-Shot Text Classification"). The mark of
    its end belongs to an answer, so that no label is the beginning of another. The parts are tokenized apart: each is the
    same tokens wherever it stands.

    Args:
        tokenizer: of the language model.
        method: "direct" or "channel".

    Raises:
        QuickstudyError: another method.
    """

    def __init__(self, tokenizer: Any, method: Method):
        if method not in ("direct", "channel"):
            raise QuickstudyError(f"method={method!r} is not known; it is 'direct' (says the label) or 'channel' (the sentence)")
        self.tokenizer, self.method = tokenizer, method

    @property
    def start(self) -> torch.Tensor:
        """What the tokenizer puts before any text, `(tokens,)`; of many models nothing."""
        return torch.tensor(self.tokenizer("")["input_ids"], dtype=torch.long)

    def sentence(self, text: str) -> torch.Tensor:
        """A sentence as the part that it is, `(tokens,)`."""
        return self._part(text, given=self.method == "direct")

    def label(self, label: str | int) -> torch.Tensor:
        """A label as the part that it is, `(tokens,)`.

        Raises:
            QuickstudyError: nothing is left of it when it is read as words.
        """
        if not readable(str(label)):
            raise QuickstudyError(f"the label {label!r} holds no words for a language model to say; give the class a name")
        return self._part(readable(str(label)), given=self.method == "channel")

    def ordered(self, sentence: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of these parts, the one that is given and the answer."""
        return (sentence, label) if self.method == "direct" else (label, sentence)

    def _part(self, text: str, *, given: bool) -> torch.Tensor:
        ids = self.tokenizer(" ".join(text.split()) + (BETWEEN if given else AFTER), add_special_tokens=False)["input_ids"]
        if not ids:
            raise QuickstudyError(f"the tokenizer makes no token of {text!r}; leave it out, or give a text that it knows")
        return torch.tensor(ids, dtype=torch.long)
