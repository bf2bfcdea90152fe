"""Intensity windows, and pairs of images in the form the compiled core takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench import _core
from voxbench.errors import GridMismatchError, InputError
from voxbench.types import AnyArray


@dataclass(frozen=True)
class IntensityWindow:
    """A range of intensities taken to [0, 1]; what lies outside is clipped.

    Attributes:
        lowest: Becomes 0.
        width: From what becomes 0 to what becomes 1.
    """

    lowest: float | int
    width: float | int

    def __post_init__(self) -> None:
        """Refuse an empty window."""
        if not (np.isfinite(self.lowest) and np.isfinite(self.width) and self.width > 0):
            raise InputError(f"an intensity window needs a positive width: lowest {self.lowest}, width {self.width}")

    @classmethod
    def centred(cls, centre: float | int, width: float | int) -> IntensityWindow:
        """The window of a centre and a width, as displays name it."""
        return cls(centre - width / 2, width)

    @property
    def highest(self) -> float | int:
        """Becomes 1."""
        return self.lowest + self.width

    def apply(self, array: AnyArray) -> AnyArray:
        """Intensities in [0, 1], float32."""
        values = np.clip(array.astype(np.float32), np.float32(self.lowest), np.float32(self.highest))
        return (values - np.float32(self.lowest)) / np.float32(self.width)

    def numbers(self) -> AnyArray:
        """Lowest, highest, width as the core takes them."""
        return np.array([self.lowest, self.highest, self.width], np.float32)


UNIT_WINDOW = IntensityWindow(0.0, 1.0)
"""For images that are in [0, 1] already."""


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Two images of one shape as the core takes them: both int16 without a copy, else both float32.

    Attributes:
        reference: One image.
        prediction: The other.
        mask: uint8, or None for everywhere.
    """

    reference: AnyArray
    prediction: AnyArray
    mask: AnyArray | None

    @classmethod
    def of(cls, reference: AnyArray, prediction: AnyArray, mask: AnyArray | None = None) -> ImagePair:
        """Check the shapes and bring the arrays into form.

        Raises:
            GridMismatchError: The shapes differ.
            InputError: Not three axes, an empty image, or a mask that is not bool.
        """
        same_shape(reference, prediction, mask)
        dtype = np.int16 if reference.dtype == prediction.dtype == np.int16 else np.float32
        a, b = (np.ascontiguousarray(array, dtype) for array in (reference, prediction))
        return cls(a, b, None if mask is None else as_bytes(mask))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of both."""
        return self.reference.shape

    def agreement(self, windows: AnyArray, centres: AnyArray | None) -> tuple[int, AnyArray, AnyArray, AnyArray]:
        """The core's sums over the pair."""
        return _core.agreement(self.reference, self.prediction, self.mask, windows, centres)


def same_shape(reference: AnyArray, other: AnyArray, mask: AnyArray | None) -> None:
    """Refuse arrays that cannot be compared.

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or an empty image.
    """
    shapes = {reference.shape, other.shape} | ({mask.shape} if mask is not None else set())
    if len(shapes) > 1:
        raise GridMismatchError(f"images to be compared differ in shape: {sorted(shapes)}")
    if reference.ndim != 3 or not reference.size:
        raise InputError(
            f"images to be compared need three axes with something in them; the shape is {reference.shape}"
        )


def as_bytes(mask: AnyArray) -> AnyArray:
    """A mask as the core takes it, without a copy where it is contiguous.

    Raises:
        InputError: It is not bool.
    """
    if mask.dtype != np.bool_:
        raise InputError(f"a mask is bool; this one is {mask.dtype}: compare it first, e.g. mask > 0")
    return np.ascontiguousarray(mask).view(np.uint8)
