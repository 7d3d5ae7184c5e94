"""Images in one npz: an array of pixels, or files end to end."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from quickstudy.errors import QuickstudyError

SUFFIX = ".npz"
_FULL = 255


@dataclass(frozen=True)
class Archive:
    """An npz of images, read once.

    Args:
        path: the file.
        images: `(images, height, width)` or `(images, height, width, 3)`; None where the images are files, end to end:
        jpeg: their bytes, and
        offsets: where each begins, and the last one ends, `(images + 1,)`.
        full: what stands for full brightness in `images`.
        labels: for each, the label as it stands or a number into `class_names`; None where there are none.
        class_names: the labels' own names.
    """

    path: Path
    images: np.ndarray | None
    jpeg: np.ndarray
    offsets: np.ndarray
    full: float
    labels: np.ndarray | None
    class_names: np.ndarray | None

    def __len__(self) -> int:
        return len(self.images) if self.images is not None else len(self.offsets) - 1

    @classmethod
    def open(cls, path: Path) -> Archive:
        """The archive at this place, in memory; a few are kept.

        Raises:
            QuickstudyError: it is no npz, or lacks the arrays.
        """
        state = os.stat(path)
        return _opened(path.resolve(), path, state.st_mtime_ns, state.st_size)

    def row(self, row: int | None) -> int:
        """This row, certain to be there."""
        if row is None:
            raise QuickstudyError(f"{self.path} holds {len(self):,} images; say which, as in {self.path}#0")
        if row >= len(self):
            raise QuickstudyError(f"{self.path} has no image {row}; it has {len(self):,}, from 0 to {len(self) - 1}")
        return row

    def scaled(self, row: int) -> np.ndarray:
        """The image of this row, 0 to 255."""
        assert self.images is not None
        image = self.images[row]
        if image.dtype == np.uint8 and self.full == _FULL:
            return image
        return np.rint(image.astype(np.float32) * (_FULL / self.full)).clip(0, _FULL).astype(np.uint8)

    def jpeg_of(self, row: int) -> bytes:
        """The file of this row."""
        return self.jpeg[self.offsets[row] : self.offsets[row + 1]].tobytes()


@lru_cache(maxsize=6)
def _opened(resolved: Path, path: Path, modified: int, size: int) -> Archive:
    # `modified` and `size` are read by the cache alone: a file that has changed is read again
    try:
        with np.load(resolved, allow_pickle=False) as arrays:
            if not isinstance(arrays, Mapping):
                raise ValueError("it is a single array")
            names = set(arrays)
            wanted = {"images", "jpeg", "offsets", "labels", "class_names", "full"}
            found = {name: arrays[name] for name in wanted & names}  # once each: every access reads the whole array anew
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        objects = str(error).startswith("Object")
        reason = "it holds Python objects, which are never opened" if objects else "it is damaged, or no npz"
        raise QuickstudyError(f"{path} cannot be read ({reason}); write it with numpy.savez, of plain arrays") from None
    images, jpeg, offsets = found.get("images"), found.get("jpeg", np.empty(0, np.uint8)), found.get("offsets")
    if images is None and (offsets is None or "jpeg" not in found):
        listed = ", ".join(sorted(names)) or "none"
        raise QuickstudyError(f"{path} has no images: it needs an array `images`, or `jpeg` and `offsets` (found: {listed})")
    if images is not None and not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))):
        shape = " x ".join(map(str, images.shape))
        raise QuickstudyError(f"{path}: `images` is {shape}; it must be (images, height, width) or (images, height, width, 3)")
    offsets = np.zeros(1, np.int64) if offsets is None else offsets
    if images is None and (offsets.ndim != 1 or np.any(np.diff(offsets) < 0) or offsets[-1] > len(jpeg)):
        raise QuickstudyError(f"{path}: `offsets` leads outside `jpeg`; it must rise from 0 to {len(jpeg)}")
    full = _FULL if images is None else _full(images, found.get("full"), path)
    return Archive(path, images, jpeg, offsets, full, found.get("labels"), found.get("class_names"))


def _full(images: np.ndarray, given: np.ndarray | None, path: Path) -> float:
    """What full brightness is in the whole array: what the file says (`full`); 1 of fractions; 255 of whole numbers, or,
    where none is above 127, the largest of them (Omniglot has 16 grey levels, 0 to 15)."""
    if given is not None:
        if given.size == 1 and float(given.reshape(())) > 0:
            return float(given.reshape(()))
        raise QuickstudyError(f"{path}: `full`, the value of full brightness, must be one number above 0")
    least, most = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    top = 1.0 if images.dtype.kind in "fb" else float(_FULL)
    if images.dtype.kind not in "fbui" or least < 0 or not most <= top:
        remedy = "whole numbers from 0 to 255 or fractions from 0 to 1, or say what is full brightness in an array `full`"
        raise QuickstudyError(f"{path}: `images` holds {images.dtype} from {least:g} to {most:g}; give {remedy}")
    return top if top == 1 or 2 * most > top else max(most, 1.0)
