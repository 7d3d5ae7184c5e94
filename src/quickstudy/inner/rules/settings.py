"""A rule from plain settings, as a recipe has them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules.adam import Adam, AdamW
from quickstudy.inner.rules.clip import ClipNorm, ClipValue
from quickstudy.inner.rules.rates import Rate, Rates
from quickstudy.inner.rules.rmsprop import RMSprop
from quickstudy.inner.rules.rule import Rule
from quickstudy.inner.rules.sgd import SGD

RULES: dict[str, Callable[..., Rule]] = {rule.__name__.lower(): rule for rule in (SGD, Adam, AdamW, RMSprop)}
CLIPS = {"clip_norm": ClipNorm, "clip_value": ClipValue}


def rule_from(settings: str | Mapping[str, Any]) -> Callable[[Rate], Rule]:
    """What makes a rule from the inner learning rate, such as `SGD` itself.

    Args:
        settings: a rule's name, `"adam"`, or with what its constructor takes: `{"name": "adam", "betas": [0.9, 0.99]}`. A
            number that is learned is written `{"start": 0.9, "per": "layer", "steps": 3}`. `clip_value` and `clip_norm`
            belong to every rule; with both, values are cut first.

    Raises:
        QuickstudyError: an unknown rule or key (names the nearest), or a value that it cannot have.
    """
    given = {"name": settings} if isinstance(settings, str) else settings
    if not isinstance(given, Mapping) or "name" not in given:
        raise QuickstudyError(f"rule needs a name ({', '.join(RULES)}), as in {{name: adam, betas: [0.9, 0.99]}}, not {given!r}")
    name = str(given["name"])
    if name not in RULES:
        raise QuickstudyError(f"no update rule {name!r}{_nearest(name, RULES, 'known')}")
    hints = get_type_hints(RULES[name].__init__)
    known = [key for key in inspect.signature(RULES[name]).parameters if key != "lr"]
    for key in given:
        if key == "lr":
            raise QuickstudyError("a rule takes no lr here: its rate is the learner's inner_lr")
        if key not in ("name", *known, *CLIPS):
            raise QuickstudyError(f"the rule {name} has no {key!r}{_nearest(key, [*known, *CLIPS], 'it has')}")

    def make(lr: Rate) -> Rule:
        rule = RULES[name](lr, **{key: _value(key, given[key], hints[key]) for key in known if key in given})
        for key, clip in CLIPS.items():
            if key in given:
                rule = clip(rule, _value(key, given[key], float))
        return rule

    try:
        make(0.0)  # what is wrong shows here, where the settings are read
    except QuickstudyError as error:
        raise QuickstudyError(f"the rule {name}: {error}") from None
    return make


def _value(key: str, value: Any, hint: Any) -> Any:
    if hint is bool:
        if isinstance(value, bool):
            return value
        raise QuickstudyError(f"{key} should be true or false, not {value!r}")
    if hint == tuple[Rate, Rate]:
        if isinstance(value, (list, tuple)) and len(value) == 2:
            return tuple(_value(key, each, Rate) for each in value)
        raise QuickstudyError(f"{key} should be two numbers such as [0.9, 0.99], not {value!r}")
    if hint == Rate and isinstance(value, Mapping):
        return _learned(key, value)
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        also = ", or {start: 0.9, per: layer} to learn it" if hint == Rate else ""
        raise QuickstudyError(f"{key} should be a number{also}, not {value!r}") from None


def _learned(key: str, value: Mapping[str, Any]) -> Rates:
    for each in value:
        if each not in ("start", "per", "steps"):
            raise QuickstudyError(f"{key} has an unknown key {each!r}{_nearest(each, ('start', 'per', 'steps'), 'known')}")
    if "start" not in value:
        raise QuickstudyError(f"{key} is learned and needs the number that it starts at: {{start: 0.9, per: layer}}")
    steps = value.get("steps")
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int)):
        raise QuickstudyError(f"{key}.steps should be a whole number of inner steps, not {steps!r}")
    return Rates(_value(f"{key}.start", value["start"], float), per=value.get("per", "layer"), steps=steps)


def _nearest(word: Any, known: Iterable[str], listing: str) -> str:
    near = difflib.get_close_matches(str(word).lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f" ({listing}: {', '.join(known)})"
