"""Opening a SavedModel: it is read, looked through, freed of what answering does not need, and only then loaded."""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quickstudy.errors import QuickstudyError
from quickstudy.models.savedmodel_scan import bodies_of, called, refuse_programs
from quickstudy.models.savedmodel_source import FILE, PARTS, Source

TAGS = (("serve",), ())
"""Which of several graphs is taken; TensorFlow Hub's first format has one for training beside the plain one."""
STRING = 7
"""TensorFlow's number for it."""


def tensorflow(name: str) -> Any:
    """The library, which is imported when the first SavedModel is loaded.

    Raises:
        QuickstudyError: it is not installed, or broken.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _silent():
            import tensorflow  # type: ignore
    except ImportError as error:
        raise QuickstudyError(f'{name} needs TensorFlow ({first_line(error)}); pip install "quickstudy[tensorflow]"') from None
    return tensorflow


def opened(source: Source) -> Any:
    """What `tf.saved_model.load` gives of a SavedModel that does nothing but compute.

    TensorFlow sees a folder with what was looked through and links to the files that count, so it loads nothing else.

    Raises:
        QuickstudyError: no TensorFlow, a truncated file, an operation that is refused, or whatever TensorFlow says.
    """
    tf = tensorflow(source.name)
    model = _read(source)
    graph = _graph(model, source)
    try:
        _prune(graph)
        refuse_programs(graph, source.name, _operation)
    except IndexError:  # an operation without its inputs
        raise _damaged(source) from None
    with tempfile.TemporaryDirectory() as place, _errors_alone(tf.get_logger()):
        try:
            Path(place, FILE).write_bytes(model.SerializeToString())
            for part in PARTS:
                if (source.folder / part).is_dir():
                    Path(place, part).symlink_to((source.folder / part).resolve(), target_is_directory=True)
            return tf.saved_model.load(place)
        except Exception as error:  # TensorFlow's errors have no common root
            raise QuickstudyError(
                f"{source.name}: TensorFlow cannot load it ({first_line(error)}); copy its files again"
            ) from error


def first_line(error: Exception) -> str:
    """What an error says first."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _read(source: Source) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel  # type: ignore

    model = SavedModel()
    try:
        model.ParseFromString((source.folder / FILE).read_bytes())
    except DecodeError:
        model.Clear()
    if not model.meta_graphs:
        raise _damaged(source)
    return model


def _damaged(source: Source) -> QuickstudyError:
    return QuickstudyError(f"{source.name}: {source.folder / FILE} is truncated or damaged; copy it again")


def _graph(model: Any, source: Source) -> Any:
    """The one graph that is loaded; the others leave the model."""
    by_tags = {tuple(sorted(graph.meta_info_def.tags)): graph for graph in model.meta_graphs}
    wanted = next((tags for tags in TAGS if tags in by_tags), next(iter(by_tags)))
    if wanted not in TAGS and len(by_tags) > 1:
        raise QuickstudyError(f"{source.name} holds graphs for {', '.join(map(str, by_tags))}, and none to serve; export one")
    kept = type(by_tags[wanted])()
    kept.CopyFrom(by_tags[wanted])
    del model.meta_graphs[:]
    model.meta_graphs.append(kept)
    return model.meta_graphs[0]


def _prune(graph: Any) -> None:
    """Leaves out what only training and saving need, so that everything left may run, and has to be ordinary."""
    if not graph.asset_file_def and "saved_model_assets" in graph.collection_def:  # where TensorFlow 1 has them
        for each in graph.collection_def["saved_model_assets"].any_list.value:
            each.Unpack(graph.asset_file_def.add())
    definition = graph.graph_def
    if graph.HasField("object_graph_def"):
        for each in graph.object_graph_def.nodes:
            del each.slot_variables[:]  # of optimizers, which are no more
        constants = [node for node in definition.node if node.op == "Const"]  # the loader takes nothing else from here
        del definition.node[:]
        definition.node.extend(constants)
    else:
        _disarm(graph)
    bodies = bodies_of(graph)
    gradients = [each.gradient_func for each in definition.library.registered_gradients]
    waiting, needed = ["", *graph.object_graph_def.concrete_functions, *gradients], set()
    while waiting:
        name = waiting.pop()
        if name in bodies and name not in needed:
            needed.add(name)
            waiting += [function for node in bodies[name].nodes.values() for function in called(node)]
    del definition.library.gradient[:]
    kept = [function for function in definition.library.function if function.signature.name in needed]
    del definition.library.function[:]
    definition.library.function.extend(kept)


def _disarm(graph: Any) -> None:
    """In a graph of TensorFlow 1, which holds all that the model ever did, what saves does nothing; and the places that the
    loader gives, of the checkpoint and of the assets, are nowhere else."""
    given = {name.partition(":")[0] for name in (graph.saver_def.filename_tensor_name, *bodies_of(graph)[""].arguments)}
    for node in graph.graph_def.node:
        if node.op in ("SaveV2", "MergeV2Checkpoints") or node.name in given:
            node.op = "Placeholder" if node.name in given else "NoOp"
            del node.input[:]
            node.attr.clear()
            if node.name in given:
                node.attr["dtype"].type = STRING


def _operation(name: str) -> Any:
    """An operation's definition; of those that tensorflow_text adds too, where that is installed. None: unknown here."""
    from tensorflow.python.framework.op_def_registry import get  # type: ignore

    if get(name) is None and importlib.util.find_spec("tensorflow_text") is not None:
        importlib.import_module("tensorflow_text")
    return get(name)


@contextmanager
def _errors_alone(log: Any) -> Iterator[None]:
    """Keeps warnings about optimizers that are left out away from the user's terminal."""
    level = log.level
    log.setLevel("ERROR")
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def _silent() -> Iterator[None]:
    """TensorFlow greets on the standard error of the process, whatever its log level."""
    held, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(held, 2)
        os.close(held)
        os.close(nowhere)
