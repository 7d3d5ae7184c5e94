"""`Pictures`: references to images become one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.image_archives import Archive
from quickstudy.tasks.image_files import Place, unreadable, unturned

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]


class Pictures:
    """References to images -> `(images, channels, size, size)`, float32 from 0 to 1.

    An image that is not square is resized until its shorter side fits, and the middle is kept. What is transparent
    becomes white. Photos stand as their camera was held (EXIF). What was decoded is kept, as bytes.

    Args:
        size: pixels a side.
        channels: 3 (colour) or 1 (grey).
        filter: PIL's, for resizing.
        budget: bytes that are kept; beyond them everything is forgotten, and decoded anew.

    Raises:
        QuickstudyError: a size below 1, other channels, another filter.
    """

    def __init__(self, size: int, channels: int = 3, *, filter: Filter = "bilinear", budget: int = 2**28):
        if size < 1 or channels not in (1, 3):
            raise QuickstudyError(f"size={size}, channels={channels}: give a size of at least 1, and 1 or 3 channels")
        if filter not in Filter.__args__:
            raise QuickstudyError(f"filter={filter!r} is not known; it is {', '.join(Filter.__args__)}")
        self.size, self.channels, self.filter, self.budget = size, channels, filter, budget
        self._kept: dict[Place, np.ndarray] = {}
        self._known: dict[str, np.ndarray] = {}  # the same memory by reference, turned, since parsing costs more than looking up
        self._archives: dict[str, Archive] = {}
        self._bytes = 0

    def __call__(self, references: Sequence[str]) -> torch.Tensor:
        """The images, in this order.

        Raises:
            QuickstudyError: one that cannot be read, named.
        """
        if isinstance(references, str):
            raise QuickstudyError("Pictures takes a list of references; put a single one into a list")
        if not len(references):
            return torch.empty(0, self.channels, self.size, self.size)
        return torch.from_numpy(np.stack([self._image(reference) for reference in references])).float() / 255

    def __deepcopy__(self, memo: dict) -> Pictures:
        return self  # nothing in it is learned

    def __repr__(self) -> str:
        return f"Pictures({self.size}, {self.channels}, filter={self.filter!r})"

    def _image(self, reference: str) -> np.ndarray:
        """`(channels, size, size)`, uint8."""
        if not isinstance(reference, str):
            raise QuickstudyError(f"an image is named by a path, not by a value of type {type(reference).__name__}")
        if reference not in self._known:
            self._known[reference] = self._turned(Place.parse(reference))
        return self._known[reference]

    def _turned(self, place: Place) -> np.ndarray:
        flat = Place(place.path, place.row)  # turning is cheap, so what is kept serves all four
        image = self._kept.get(flat)
        if image is None:
            image = self._decoded(flat)
            if self._bytes + image.nbytes > self.budget:
                self._kept, self._known, self._bytes = {}, {}, 0
            self._kept[flat] = image
            self._bytes += image.nbytes
        return np.rot90(image, place.turn // 90, axes=(1, 2)) if place.turn else image

    def _decoded(self, place: Place) -> np.ndarray:
        stored = unturned(place, self._archives)
        if isinstance(stored, np.ndarray) and stored.shape == (self.size, self.size) and self.channels == 1:
            return stored[None]
        try:
            return self._fitted(stored)
        except QuickstudyError:
            raise
        except Exception as error:  # decoders fail in their own ways on what is broken
            raise QuickstudyError(unreadable(place, error)) from None

    def _fitted(self, stored: Any) -> np.ndarray:
        from PIL import Image, ImageOps

        if isinstance(stored, np.ndarray):
            image: Any = Image.fromarray(stored[..., 0] if stored.shape[2:] == (1,) else stored)
        else:
            image = stored
            image.draft(None, (2 * self.size, 2 * self.size))  # a JPEG of many megapixels is read at a fraction of its size
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        image = image.convert("L" if self.channels == 1 else "RGB")
        if image.size != (self.size, self.size):
            image = ImageOps.fit(image, (self.size, self.size), Image.Resampling[self.filter.upper()])
        array = np.asarray(image)
        return array[None] if self.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
