"""The kinds of values in a recipe, each with a message of its own where pydantic's would mislead."""

from __future__ import annotations

import json
import math
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


def _tried(value: Any) -> list[Any] | dict[str, Any]:
    """Values to choose from, or a range; in words that are no end of "should be", since the key has a dot in its name."""
    if isinstance(value, list):
        if len({json.dumps(each, default=str) for each in value}) < max(2, len(value)):
            raise ValueError(f"needs two or more values, all different, not {value}")
        return value
    if not isinstance(value, dict):
        raise ValueError(
            f"needs a list of values such as [5, 10, 20], or a range such as {{low: 0.001, high: 0.1, log: true}}, not {value!r}"
        )
    if not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        dots = "a key inside a part is written with a dot, such as learner.outer_lr"
        raise ValueError(f"needs low and high, and may have log: true; it has {', '.join(value) or 'no key'} ({dots})")
    low, high, log = value["low"], value["high"], value.get("log", False)
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, (int, float)) or not math.isfinite(end):
            raise ValueError(f"needs numbers for low and high, not {end!r}")
    if not isinstance(log, bool):
        raise ValueError(f"needs true or false for log, not {log!r}")
    if low >= high:
        raise ValueError(f"needs a low below its high, not {low} and {high}")
    if log and low <= 0:
        raise ValueError(f"has log: true, which needs a low above 0, not {low}")
    return {"low": low, "high": high, "log": log}


def _strengths(value: Any) -> list[float]:
    numbers = value if isinstance(value, list) else []
    numbers = [
        float(each) for each in numbers if isinstance(each, (int, float)) and not isinstance(each, bool) and 0 <= each <= 1
    ]
    if not isinstance(value, list) or len(set(numbers)) < len(value) or not any(numbers):
        raise ValueError("should be a list of different numbers from 0 to 1, one above 0 at least, such as [0, 0.5, 1]")
    return sorted(numbers)


Count = Annotated[int, BeforeValidator(_no_switch), Field(ge=1, lt=2**63)]
Natural = Annotated[int, BeforeValidator(_no_switch), Field(ge=0, lt=2**63)]
Positive = Annotated[float, BeforeValidator(_no_switch), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(_no_switch), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_no_switch), Field(ge=0, lt=1)]
Range = Annotated[int | tuple[int, int], BeforeValidator(_range)]
RangeOrAll = Annotated[int | tuple[int, int] | Literal["all"], BeforeValidator(_range_or_all)]
CountOrAll = Annotated[int | Literal["all"], BeforeValidator(_count_or_all)]
Tried = Annotated[list[Any] | dict[str, Any], BeforeValidator(_tried)]
Strengths = Annotated[list[float], BeforeValidator(_strengths)]
