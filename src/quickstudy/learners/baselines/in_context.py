"""In-context learning: the support is read, and nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.prompts import Method, Wording
from quickstudy.models.window import Demonstrations, Text, Window
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import is_labels


class InContext(Learner):
    """The support stands in the context window before each query (Brown et al. 2020, "Language Models are Few-Shot Learners").

    Blocks of tokens: the support's one after the other, then the query's. Sentences with labels: demonstrations in an order
    drawn from the task's seed. Direct: the logit of a class is log P(label | demonstrations, sentence) / tokens of the label,
    as the code of MetaICL has it. Channel: it is log P(sentence | demonstrations, label), so that its softmax is the posterior
    where all classes are as frequent (Min et al. 2022).

    Args:
        model: a `LanguageModel`.
        method: for sentences with labels, "direct" or "channel".
        context: tokens that the support and a query may have together; fewer where the model has fewer positions. Of
            blocks that do not fit, the last tokens stay; of demonstrations the first of each class, then the second, and so
            on, each where there is still room.

    Raises:
        QuickstudyError: a model that is no language model, or another method.
    """

    kinds = ("classify", "language")
    language_models_only = True

    def __init__(self, model: nn.Module, *, method: Method = "direct", context: int = 1024):
        super().__init__()
        if not isinstance(model, LanguageModel):
            raise QuickstudyError(
                f"{type(self).__name__} puts examples into the context window of a language model, and a {type(model).__name__} "
                "has none; give a causal language model, such as models.load('smollm2')"
            )
        self.model, self.wording = model, Wording(model.tokenizer, method)
        self.context = min(context, getattr(model.module.config, "max_position_embeddings", context))

    @property
    def title(self) -> str:
        """Its name with its method, since tables hold both."""
        return f"{type(self).__name__} ({self.wording.method})"

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned."""
        return iter(())

    def adapt(self, support: Batch) -> Adapted:
        """Puts the support into the window; the model reads it when it is first asked, once."""
        window = self.window(support)
        return Adapted(self.model, window, classes=window.classes)

    def window(self, support: Batch) -> Window:
        """What stands before the queries of a task.

        Raises:
            QuickstudyError: the support is neither blocks of tokens nor sentences with labels.
        """
        if isinstance(support.inputs, list) and all(isinstance(each, str) for each in support.inputs):
            return Demonstrations(self.model, self.context, support, self.wording)
        if is_labels(support.targets):
            raise QuickstudyError(
                f"{type(self).__name__} got tokens with labels: give sentences (a list of strings) with labels, "
                "or blocks of tokens with, for each, the tokens that follow"
            )
        return Text(self.model, self.context, support)
