"""What a SavedModel may do: compute on tensors, and read tables from its own assets. A graph is a program, so it is looked
through before TensorFlow loads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quickstudy.errors import QuickstudyError

PLACES = re.compile(r"file|path(_|$)|logdir|directory|_dir$|url|address|memory_region|(descriptor|data)_source|debug|prefix")
"""Names that operations give to inputs and attributes which say where something is: a file, a folder, another machine."""
PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
OTHERS = ("MatchingFiles", "PrintV2", "XlaCustomCall", "XlaCustomCallV2")
"""Those that reach out under other names."""
TABLES = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
"""Read a file, which has to be an asset; its place is their second input."""
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
KEEPS = re.compile(
    r"\w*Variable(V2|Shape)?|VarHandleOp|VarIsInitializedOp|ReadVariableOp|Assign\w*|DisableCopyOnRead"
    r"|Resource(Apply|SparseApply|Gather|Scatter|StridedSlice)\w*|\w*HashTable\w*|LookupTable\w*|InitializeTableV2"
    r"|TensorArray\w*|Stack\w*|Random\w*|StatefulPartitionedCall|Stateful(Uniform|Standard|Truncated|Random)\w*"
    r"|StatelessRandomGetAlg|Rng\w*|\w*TruncatedNormal|Multinomial|NonDeterministicInts|SampleDistortedBoundingBox\w*"
    r"|\w+CandidateSampler|If|While|Case|DeviceIndex|GuaranteeConst|CudnnRNN\w*|Assert|CheckNumerics\w*|Print|Sentencepiece\w*|WordpieceTokenizeWithOffsets"
)
"""Of the operations that TensorFlow calls stateful, those whose state is a variable, a table, an array or a random number."""


@dataclass(frozen=True)
class Body:
    """A function of a graph, or the graph itself.

    Args:
        name: empty for the graph itself.
        nodes: by name.
        arguments: the names of its inputs; of the graph itself, those tensors for which the loader puts an asset's place.
    """

    name: str
    nodes: Mapping[str, Any]
    arguments: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        """For messages."""
        return f"in the function {self.name}" if self.name else "in its graph"


def refuse_programs(graph: Any, name: str, known: Callable[[str], Any]) -> None:
    """Makes sure that a graph does nothing but compute, and reads no file but its own assets.

    Args:
        graph: a `MetaGraphDef` in which everything may run.
        name: of the SavedModel.
        known: an operation's name -> its `OpDef`, None where TensorFlow has none of that name.

    Raises:
        QuickstudyError: an operation that reaches further, or that is not known here; names it.
    """
    bodies = bodies_of(graph)
    held = len(graph.graph_def.node) + sum(len(function.node_def) for function in graph.graph_def.library.function)
    if held != sum(len(body.nodes) for body in bodies.values()):
        raise QuickstudyError(f"{name}: two of its operations or functions have the same name; the model is not to be trusted")
    given = graph.saver_def.filename_tensor_name.partition(":")[0]  # the loader says from where variables are restored
    for body in bodies.values():
        for node in body.nodes.values():
            restores = node.op == "RestoreV2" and not body.name and node.input[0].partition(":")[0] == given
            known_as = known(node.op)
            calls = node.op in bodies and known_as is None
            if why := None if calls or restores else _objection(node.op, known_as):
                remedy = "quickstudy loads models that do nothing but compute: export it without that operation"
                raise QuickstudyError(f"{name}: the operation {node.op} {body.where} {why}; {remedy}")
    for asset in graph.asset_file_def:
        parts = re.split(r"[/\\]", asset.filename)
        if ".." in parts or not parts[0] or ":" in parts[0]:
            raise QuickstudyError(f"{name}: its asset {asset.filename!r} leads out of the folder; the model is not to be trusted")
    if body := _foreign(graph, bodies):
        what = f"a lookup table {body.where} is read from a file that is none of its own assets"
        raise QuickstudyError(f"{name}: {what}; export it again with its assets, by tf.saved_model.save")


def bodies_of(graph: Any) -> dict[str, Body]:
    """The graph (under the empty name) and its functions, by name."""
    assets = [asset.tensor_info.name.partition(":")[0] for asset in graph.asset_file_def]
    bodies = {"": Body("", _by_name(graph.graph_def.node), [] if graph.HasField("object_graph_def") else assets)}
    for function in graph.graph_def.library.function:
        signature = function.signature
        bodies[signature.name] = Body(signature.name, _by_name(function.node_def), [each.name for each in signature.input_arg])
    return bodies


def called(node: Any) -> list[str]:
    """The names of the functions that a node calls, or may call by itself."""
    functions = [value.func.name for value in node.attr.values() if value.HasField("func")]
    return [node.op, *functions, *(each.name for value in node.attr.values() for each in value.list.func)]


def _objection(op: str, known: Any) -> str | None:
    """Why an operation is not allowed; None where it is."""
    if known is None:
        return "is not one of TensorFlow's (some models of text need `pip install tensorflow-text`)"
    if op in PYTHON:
        return "calls Python"
    if op in TABLES:
        return None
    place = next((each.name for each in (*known.input_arg, *known.attr) if PLACES.search(each.name)), None)
    if place or op in OTHERS:
        return "reads or writes outside of the model" + (f" (its `{place}`)" if place else "")
    return "does more than compute on tensors" if known.is_stateful and not KEEPS.fullmatch(op) else None


def _foreign(graph: Any, bodies: Mapping[str, Body]) -> Body | None:
    """Where a table gets its file from anything but an asset: each file's name is followed back to where it comes from."""
    objects = graph.object_graph_def
    callers: dict[str, list[tuple[Body, Any]]] = {}
    for body in bodies.values():
        for node in body.nodes.values():
            for function in called(node):
                callers.setdefault(function, []).append((body, node))
    waiting = [(body, node.input[1]) for body in bodies.values() for node in body.nodes.values() if node.op in TABLES]
    seen: set[tuple[str, str]] = set()
    while waiting:
        body, tensor = waiting.pop()
        source = tensor.partition(":")[0]
        if (body.name, source) in seen:
            continue
        seen.add((body.name, source))
        if source not in body.arguments:
            node = body.nodes.get(source)
            if node is None or node.op != "Identity":
                return body
            waiting.append((body, node.input[0]))
        elif body.name:
            place = body.arguments.index(source)
            for caller, node in callers.get(body.name, ()):
                if node.op not in (*CALLS, body.name):
                    return caller
                waiting.append((caller, node.input[place]))
            if body.name in objects.concrete_functions:  # what it captured comes after what it is given
                bound = objects.concrete_functions[body.name].bound_inputs
                captured = place - (len(body.arguments) - len(bound))
                if captured < 0 or objects.nodes[bound[captured]].WhichOneof("kind") != "asset":
                    return body
    return None


def _by_name(nodes: Iterable[Any]) -> dict[str, Any]:
    return {node.name: node for node in nodes}
