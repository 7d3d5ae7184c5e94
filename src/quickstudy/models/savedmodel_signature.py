"""What a SavedModel takes and gives, found in the SavedModel itself, and calling it: text, images or recordings to embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.models.savedmodel_graph import first_line, opened, tensorflow
from quickstudy.models.savedmodel_source import Source

Kind = Literal["sentence", "image", "recording"]
CALL = "__call__"
FIRST = ("serving_default", "default", CALL)
"""Which of several functions is taken."""
OBVIOUS = ("default", "embedding", "embeddings", "sentence_embedding", "feature_vector", "pooled_output")
"""Which of several outputs is taken."""
SILENCE = 48_000
"""Samples by which a model that hears any number of them is tried: a second or more."""


@dataclass(frozen=True)
class Function:
    """A function of a SavedModel with one input.

    Args:
        name: of the signature, or `__call__`.
        call: a tensor -> whatever it gives.
        spec: the input's shape and type (`tf.TensorSpec`).
    """

    name: str
    call: Callable[[Any], Any]
    spec: Any

    @property
    def kind(self) -> Kind | None:
        """Strings are text; numbers `(images, height, width, 1 or 3)` images; `(recordings, samples)`, the same with a last
        axis of one, and `(samples,)` recordings. None: anything else."""
        shape = self.spec.shape
        sizes = shape.as_list() if shape.rank is not None else [None]
        if self.spec.dtype.name == "string":
            return "sentence" if len(sizes) == 1 or sizes[1:] == [1] else None
        if not self.spec.dtype.is_floating or shape.rank is None:
            return None
        if len(sizes) == 4:
            return "image" if sizes[3] in (1, 3) else None
        return "recording" if len(sizes) in (1, 2) or sizes[2:] == [1] else None


class Features:
    """A SavedModel as a function from inputs to embeddings, numpy to numpy.

    An output with more axes, a vector for each token, frame or place, is averaged over them. Text of such a model goes
    through one by one, since the padding of longer neighbours would enter the mean.

    Args:
        source: the SavedModel.

    Attributes:
        kind: what it takes.
        size, channels: of images.
        samples: of a recording; None: any number.
        dim: numbers in an embedding.

    Raises:
        QuickstudyError: it cannot be loaded, takes nothing that is known here, or its embedding is not the only or the
            obvious output.
    """

    def __init__(self, source: Source):
        self._tf, self._model = tensorflow(source.name), opened(source)  # variables live as long as the model is held
        self._function = _chosen(list(_functions(self._tf, self._model)), source)
        assert self._function.kind is not None
        self.kind: Kind = self._function.kind
        shape = self._function.spec.shape.as_list() if self._function.spec.shape.rank is not None else [None]
        self._bare = self.kind == "recording" and len(shape) == 1
        self._alone = self._bare or shape[0] == 1
        self.samples: int | None = shape[-1] if self._bare else (shape[1] if self.kind == "recording" else None)
        self.size, self.channels = _square(shape, source) if self.kind == "image" else (0, 0)
        self.output = ""
        self.dim = self._tried(source)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Embeddings `(inputs, dim)` of bytes `(inputs,)`, images `(inputs, height, width, channels)` or `(inputs, samples)`."""
        parts = np.split(inputs, len(inputs)) if self._alone else [inputs]
        return np.concatenate([self._pooled(self._outputs(part)[self.output], len(part)) for part in parts])

    def __deepcopy__(self, memo: dict) -> Features:
        return self  # nothing in it is learned

    def _outputs(self, inputs: np.ndarray) -> dict[str, Any]:
        """All that the function gives, by name; what has none is numbered."""
        spec = self._function.spec
        if self._bare:
            inputs = inputs[0]
        elif spec.shape.rank == inputs.ndim + 1:
            inputs = inputs[..., None]
        given = self._function.call(self._tf.constant(inputs, spec.dtype))
        if isinstance(given, (list, tuple)):
            given = {f"output_{place}": each for place, each in enumerate(given)}
        return dict(given) if isinstance(given, Mapping) else {"output": given}

    def _pooled(self, output: Any, count: int) -> np.ndarray:
        if hasattr(output, "to_tensor"):  # ragged
            output = output.to_tensor()
        array = np.asarray(output, np.float32)
        return array.reshape(count, -1, array.shape[-1]).mean(axis=1)

    def _tried(self, source: Source) -> int:
        """Numbers in an embedding: the function is called once, and one of its outputs taken."""
        blank = {
            "sentence": np.array([b"a b"], object),
            "image": np.zeros((1, self.size, self.size, self.channels), np.float32),
            "recording": np.zeros((1, self.samples or SILENCE), np.float32),
        }[self.kind]
        try:
            found = self._outputs(blank)
        except Exception as error:  # TensorFlow's errors have no common root
            what = f"{self._function.name} fails on a blank {self.kind} ({first_line(error)})"
            raise QuickstudyError(f"{source.name}: {what}; its `?signature=` may be another") from error
        found = {name: each for name, each in sorted(found.items()) if hasattr(each, "shape") and each.dtype.is_floating}
        if not self._bare:  # an embedding is that of one input
            found = {name: each for name, each in found.items() if tuple(each.shape)[:1] == (1,)}
        shapes = {name: tuple(each.shape) if self._bare else tuple(each.shape)[1:] for name, each in found.items()}
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none with real numbers for each input"
        named = [name for name in ((source.output,) if source.output else OBVIOUS) if name in found]
        if not named and (source.output or len(found) != 1):
            said = f"has no output {source.output!r}" if source.output else "has several outputs, none of them the obvious one"
            raise QuickstudyError(
                f"{source.name} {said}; name one after #, such as #{next(iter(found), 'NAME')} (found: {listed})"
            )
        self.output = named[0] if named else next(iter(found))
        if not shapes[self.output]:
            what = f"its output {self.output} is one number for each {self.kind}, which is no embedding"
            raise QuickstudyError(f"{source.name}: {what}; name another after # (found: {listed})")
        if self.kind == "sentence" and len(shapes[self.output]) > 1:
            self._alone = True
        return int(self._pooled(found[self.output], 1).shape[1])


def _functions(tf: Any, model: Any) -> Iterator[Function | str]:
    """Those with one input; of others a description, for messages."""
    for name, function in getattr(model, "signatures", {}).items():
        specs = function.structured_input_signature[1]
        if len(specs) == 1:
            key = next(iter(specs))
            yield Function(name, lambda tensor, call=function, key=key: call(**{key: tensor}), specs[key])
        elif specs:
            yield f"{name}({', '.join(f'{key}: {_described(spec)}' for key, spec in sorted(specs.items()))})"
    for function in getattr(getattr(model, CALL, None), "concrete_functions", ()):
        signature = function.structured_input_signature
        leaves = tf.nest.flatten(signature)
        specs = [leaf for leaf in leaves if isinstance(leaf, tf.TensorSpec)]
        if len(specs) == 1 and True not in [leaf for leaf in leaves if isinstance(leaf, bool)]:  # which would be training

            def call(tensor: Any, signature: Any = signature) -> Any:
                args, kwargs = tf.nest.map_structure(lambda each: tensor if isinstance(each, tf.TensorSpec) else each, signature)
                return getattr(model, CALL)(*args, **kwargs)

            yield Function(CALL, call, specs[0])
        elif len(specs) != 1:
            yield f"{CALL}({', '.join(map(_described, specs))})"


def _chosen(found: Sequence[Function | str], source: Source) -> Function:
    """The function that is called."""
    functions = {each.name: each for each in reversed(found) if isinstance(each, Function) and each.kind}
    if source.signature is not None:
        functions = {name: function for name, function in functions.items() if name == source.signature}
    for name in FIRST:
        if name in functions:
            return functions[name]
    if len(functions) == 1:
        return next(iter(functions.values()))
    listed = ", ".join(each if isinstance(each, str) else f"{each.name}({_described(each.spec)})" for each in found) or "none"
    if functions:
        raise QuickstudyError(f"{source.name} has several signatures; name one with ?signature= (found: {listed})")
    takes = "text (string), images (float [b, h, w, 3]) or recordings (float [b, samples])"
    asked = f"no signature {source.signature!r}" if source.signature else "no signature"
    raise QuickstudyError(f"{source.name} has {asked} that takes {takes} alone (found: {listed}); export one that does")


def _square(shape: Sequence[int | None], source: Source) -> tuple[int, int]:
    """Pixels a side, and channels."""
    height, width, channels = shape[1:]
    if height != width:
        raise QuickstudyError(f"{source.name} takes images of {height} x {width} pixels; only square ones are made")
    if (height or source.size) is None:
        raise QuickstudyError(f"{source.name} takes images of any size; say which it was trained on, such as ?size=224")
    if height and source.size not in (None, height):
        raise QuickstudyError(f"{source.name} takes images of {height} pixels a side; leave size out")
    return int(height or source.size or 0), int(channels or 0)


def _described(spec: Any) -> str:
    shape = spec.shape.as_list() if spec.shape.rank is not None else ["..."]
    return f"{spec.dtype.name} [{', '.join('?' if size is None else str(size) for size in shape)}]"
