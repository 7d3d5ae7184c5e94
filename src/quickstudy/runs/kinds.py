"""The kinds of values in a recipe, each with a message of its own where pydantic's would mislead."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


def _count(value: Any) -> int | None:
    """A whole number of at least 1, if this is one."""
    return int(value) if not isinstance(value, (bool, list, tuple)) and str(value).isdecimal() and int(value) >= 1 else None


def _range(value: Any) -> int | tuple[int, int]:
    if isinstance(value, (list, tuple)):
        least, most = map(_count, value) if len(value) == 2 else (None, None)
        if least and most and least <= most:
            return least, most
    count = _count(value)
    if count is None:
        raise ValueError("should be a whole number of at least 1, or a range such as [1, 5]")
    return count


def _range_or_all(value: Any) -> int | tuple[int, int] | Literal["all"]:
    try:
        return "all" if value == "all" else _range(value)
    except ValueError as error:
        raise ValueError(f"{error}, or all") from None


def _count_or_all(value: Any) -> int | Literal["all"]:
    count = "all" if value == "all" else _count(value)
    if count is None:
        raise ValueError("should be a whole number of at least 1, or all")
    return count


Count = Annotated[int, BeforeValidator(_no_switch), Field(ge=1)]
Natural = Annotated[int, BeforeValidator(_no_switch), Field(ge=0)]
Positive = Annotated[float, BeforeValidator(_no_switch), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(_no_switch), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_no_switch), Field(ge=0, lt=1)]
Range = Annotated[int | tuple[int, int], BeforeValidator(_range)]
RangeOrAll = Annotated[int | tuple[int, int] | Literal["all"], BeforeValidator(_range_or_all)]
CountOrAll = Annotated[int | Literal["all"], BeforeValidator(_count_or_all)]
