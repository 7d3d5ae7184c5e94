"""`Part`: a group of keys in a recipe."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_serializer, model_validator


class Part(BaseModel):
    """A group of keys; one that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`learner: maml` is short for `learner: {name: maml}`."""
        return {"name": value} if isinstance(value, str) and "name" in cls.model_fields else value

    @model_serializer(mode="wrap")
    def _written(self, handler: Any) -> dict[str, Any]:
        """Leaves out what is not set."""
        fields = type(self).model_fields
        unset = {key for key, field in fields.items() if field.default is None and getattr(self, key) is None}
        return {key: value for key, value in handler(self).items() if key not in unset}
