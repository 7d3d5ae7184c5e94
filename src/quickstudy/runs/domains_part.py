"""`DomainsPart`: the part of a recipe that says which text a language model learns from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from quickstudy.errors import QuickstudyError
from quickstudy.runs.kinds import Count
from quickstudy.runs.part import Part

if TYPE_CHECKING:
    from quickstudy.tasks.text_domains import TextDomains


class DomainsPart(Part):
    """Text by domain; a task is some of a domain's text, and training, validation and test share no domain."""

    folder: str
    """Text files, or folders of them: each is a domain. Below the current folder, or below the data folder."""
    train: Annotated[list[str], Field(min_length=1)]
    """The domains that the outer loop learns from."""
    valid: list[str] = Field(default_factory=list)
    """Those by which the best learner is chosen."""
    test: list[str] = Field(default_factory=list)
    """Those that it is judged on."""
    by: Literal["topic", "domain", "document"] = "topic"
    """What a task is: documents of one domain about the same thing, a whole domain, or one long document."""
    size: Annotated[Count, Field(ge=2)] = 16
    """Documents of a topic; the last one of a domain has those that are left too, fewer than twice as many."""
    block: Annotated[Count, Field(ge=8)] = 128
    """Tokens that a block predicts at most."""

    @model_validator(mode="after")
    def _apart(self) -> DomainsPart:
        for name, others in (("valid", self.train), ("test", [*self.train, *self.valid])):
            shared = [domain for domain in getattr(self, name) if domain in others]
            if shared:
                raise ValueError(f"has {shared[0]} in {name} and among the domains that are learned from; leave it out of one")
        return self

    def read(self, name: str, tokenizer: Any, *, seed: int) -> TextDomains:
        """The domains of this part of the data."""
        from quickstudy.tasks.documents import documents
        from quickstudy.tasks.named import data_folder
        from quickstudy.tasks.text_domains import TextDomains

        if not getattr(self, name):
            raise QuickstudyError(f"data.domains.{name} names no domain; name some there")
        wanted, place = getattr(self, name), Path(self.folder).expanduser()
        if not place.exists() and (data := data_folder()) and (data / self.folder).exists():
            place = data / self.folder
        every = TextDomains(documents(place), tokenizer, block=self.block, by=self.by, size=self.size, seed=seed)
        return every.only(wanted)
