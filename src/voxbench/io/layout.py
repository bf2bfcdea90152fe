"""Between the order of bytes in files (first index fastest) and that of arrays (last index fastest)."""

from __future__ import annotations

import numpy as np

from voxbench.types import AnyArray

BLOCK = 16
"""Edge of the tiles that are transposed at a time, so that both sides stay in the processor's cache."""


def array_from_file_order(flat: AnyArray, shape: tuple[int, ...]) -> AnyArray:
    """The C-contiguous array of ``shape`` whose values follow each other first index fastest."""
    return _tiled_copy(flat.reshape(shape[::-1]).T)


def file_order(array: AnyArray) -> AnyArray:
    """The values in file order: a C-contiguous array with the axes reversed."""
    return _tiled_copy(array.T)


def _tiled_copy(view: np.ndarray) -> np.ndarray:
    """A C-contiguous copy of a view with reversed strides."""
    if view.ndim < 3:
        return np.ascontiguousarray(view)
    out = np.empty(view.shape, view.dtype)
    first, last = (0, 2) if view.shape[-1] == 3 else (view.ndim - 3, view.ndim - 1)
    for a in range(0, view.shape[first], BLOCK):
        for b in range(0, view.shape[last], BLOCK):
            tile = [slice(None)] * view.ndim
            tile[first], tile[last] = slice(a, a + BLOCK), slice(b, b + BLOCK)
            out[tuple(tile)] = view[tuple(tile)]
    return out
