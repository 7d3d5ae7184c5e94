"""YAML as plain values, with the place of everything in it, so that an error can say where."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from quickstudy.errors import QuickstudyError

KeyPath = tuple[str | int, ...]
"""The way to a value from the top: keys and list indices."""


class _Loader(yaml.SafeLoader):
    """Plain values only: no tag makes an object."""


class Dumper(yaml.SafeDumper):
    """Writes what `read` reads back equal."""


_SCIENTIFIC = re.compile(r"^[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$")
for _side in (_Loader, Dumper):  # YAML 1.1 takes 5e-4 for a string, since it has no dot
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+0123456789"))


@dataclass
class Document:
    """Values, and where each stands.

    Args:
        data: the values; the top is a dict.
        keys: the place of each key, as "file:line:column".
        values: the place of each value.
    """

    data: dict[str, Any]
    keys: dict[KeyPath, str] = field(default_factory=dict)
    values: dict[KeyPath, str] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Where something stands is no part of what it says."""
        return isinstance(other, Document)

    def where(self, path: KeyPath, *, key: bool = False) -> str:
        """The place of the value (or of the key) at this path, or of the nearest thing around it that has one."""
        for end in range(len(path), -1, -1):
            places = self.keys if key and end == len(path) else self.values
            if path[:end] in places:
                return places[path[:end]]
        return ""

    def override(self, change: str, place: str | None = None) -> None:
        """Sets one value from "key.key=value", the value written as in YAML.

        Args:
            place: what messages call it; by default `--set` and the change.

        Raises:
            QuickstudyError: no such form, or a key below something that has none.
        """
        name, equals, text = change.partition("=")
        place, path = place or f"--set {change}", tuple(name.strip().split("."))
        if not equals or not all(path):
            raise QuickstudyError(f"{place}: write key=value, such as steps=10 or learner.scale=10")
        value = _parsed(text, lambda _: place)
        inside: Any = self.data
        for depth, key in enumerate(path[:-1], start=1):
            if isinstance(inside.get(key), str) and depth == 1:  # the short form, `learner: maml`
                inside[key] = {"name": inside[key]}
            inside = inside.setdefault(key, {})
            if not isinstance(inside, dict):
                raise QuickstudyError(f"{place}: {'.'.join(path[:depth])} has no keys below it")
        inside[path[-1]] = value.data
        for places in (self.keys, self.values):
            for known in [known for known in places if known[: len(path)] == path]:
                del places[known]
            places[path] = place


def read(path: Path) -> Document:
    """Reads a file whose top is a mapping.

    Raises:
        QuickstudyError: no file, not UTF-8, no valid YAML, a key twice, anchors, or another top; with line and column.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuickstudyError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from None
    except OSError as error:
        raise QuickstudyError(f"{path}: cannot be read ({error.strerror})") from None
    document = _parsed(text, lambda mark: f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path))
    if not isinstance(document.data, dict):
        found = "is empty" if document.data is None else f"starts with a {type(document.data).__name__}"
        raise QuickstudyError(f"{document.where(()) or path}: a recipe is a list of `key: value` lines, and this one {found}")
    return document


def _parsed(text: str, place: Any) -> Document:
    document = Document({})
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _value(loader, node, (), document, place, set())
        else:
            document.data = None  # type: ignore[assignment]
    except yaml.MarkedYAMLError as error:
        problem = " ".join(str(error.problem or error.context or "it cannot be read").split())
        raise QuickstudyError(f"{place(error.problem_mark or error.context_mark)}: not valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        raise QuickstudyError(f"{place(None)}: not valid YAML: character {error.position} is {chr(error.character)!r}") from None
    except RecursionError:
        raise QuickstudyError(f"{place(None)}: not valid YAML: nested too deeply") from None
    return document


def _value(loader: _Loader, node: yaml.Node, path: KeyPath, document: Document, place: Any, seen: set[int]) -> Any:
    document.values[path] = place(node.start_mark)
    if id(node) in seen:
        raise QuickstudyError(f"{place(node.start_mark)}: recipes use no anchors and aliases (& and *); write the value out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise QuickstudyError(f"{place(key_node.start_mark)}: a key must be a word")
            inner = (*path, key)
            if key in result:
                first = document.keys[inner]
                raise QuickstudyError(f"{place(key_node.start_mark)}: the key {key!r} is here twice (first at {first})")
            document.keys[inner] = place(key_node.start_mark)
            result[key] = _value(loader, value_node, inner, document, place, seen)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, i), document, place, seen) for i, item in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except ValueError as error:  # a date that is none
        raise QuickstudyError(f"{place(node.start_mark)}: not valid YAML: {error}") from None
