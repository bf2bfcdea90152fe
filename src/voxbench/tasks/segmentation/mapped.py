"""Arrays on disk of which a box is read when it is asked for; no file stays open in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxbench.io.arrays import map_array
from voxbench.types import AnyArray


@dataclass(frozen=True, eq=False)
class Mapped:
    """A ``.npy`` file, read like an array. Hundreds of cases would otherwise hold more files open than are allowed.

    Attributes:
        path: The file.
        shape: Of the array.
    """

    path: Path
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Look up the shape."""
        object.__setattr__(self, "shape", map_array(self.path).shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | tuple[slice, ...]) -> AnyArray:
        """A copy of a part; nothing else is read."""
        return np.array(map_array(self.path)[index])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> AnyArray:
        """All of it."""
        whole = np.array(map_array(self.path))
        return whole if dtype is None else whole.astype(dtype)
