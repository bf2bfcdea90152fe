"""Patches of memory-mapped cases, drawn by step: the same step gives the same patches, whatever went before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench.errors import EmptyShapeError, GridMismatchError

_CENTRES = 20_000
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Inputs (c, i, j, k), target and weight (1, i, j, k)."""


@dataclass(frozen=True, eq=False)
class Channels:
    """Arrays of one shape side by side, read like one of (c, i, j, k); each may be memory-mapped, none is copied.

    Attributes:
        arrays: (i, j, k) each.
    """

    arrays: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        """Refuse arrays that do not lie on one grid."""
        shapes = [array.shape for array in self.arrays]
        if len(set(shapes)) != 1:
            raise GridMismatchError(
                f"channels must have one shape\n  there are {', '.join(map(str, shapes)) or 'none'}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """(c, i, j, k)."""
        return len(self.arrays), *self.arrays[0].shape

    def __len__(self) -> int:
        return len(self.arrays)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.arrays)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """A box of some channels."""
        some, *box = index
        return np.stack([np.asarray(array[tuple(box)]) for array in self.arrays[some]])


@dataclass(frozen=True, eq=False)
class Case:
    """What one case gives to learn from; arrays may be memory-mapped, values as stored.

    Attributes:
        name: Its name.
        inputs: (c, i, j, k).
        target: (i, j, k).
        mask: (i, j, k), where foreground patches are centred.
    """

    name: str
    inputs: np.ndarray | Channels
    target: np.ndarray
    mask: np.ndarray

    def __post_init__(self) -> None:
        """Refuse arrays that do not lie on one grid."""
        shapes = self.inputs.shape[1:], self.target.shape, self.mask.shape
        if len(set(shapes)) > 1:
            raise GridMismatchError(
                f"{self.name}: inputs, target and mask differ in shape\n  "
                + "\n  ".join(f"{n}  {s}" for n, s in zip(("inputs", "target", "mask"), shapes, strict=True))
            )


@dataclass(frozen=True, eq=False)
class Patches:
    """Where patches come from.

    Attributes:
        cases: The cases.
        size: Edge of a patch, voxels; shorter where a case is.
        dimensions: 2 takes axial slices (i, j), 3 volumes.
        foreground: Share of patches centred on the mask.
        augment: Whether they are mirrored and turned.
        seed: Decides all draws.
        offset: Subtracted from stored values.
        width: They are divided by it.
        outside: Weight of voxels outside the mask; those inside have 1.
    """

    cases: Sequence[Case]
    size: int
    dimensions: Literal[2, 3]
    foreground: float
    augment: bool
    seed: int
    offset: float = 0.0
    width: float = 1.0
    outside: float = 1.0

    def __post_init__(self) -> None:
        """Find where foreground patches may be centred."""
        if not self.cases:
            raise EmptyShapeError("there is no case to learn from")
        object.__setattr__(self, "_centres", [_centres(case.mask, self.seed) for case in self.cases])
        # One size for all, so that patches of several cases make a batch.
        least = np.min([case.target.shape for case in self.cases], axis=0)
        edge = [min(self.size, int(n)) for n in least]
        if self.augment:  # turned patches must stay of one shape
            edge[0] = edge[1] = min(edge[0], edge[1])
        object.__setattr__(self, "_shape", (edge[0], edge[1], 1 if self.dimensions == 2 else edge[2]))

    def batch(self, step: int, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Some patches of a step.

        Args:
            step: Which step.
            rows: Which of its patches.

        Returns:
            Inputs (n, c, i, j[, k]), targets and weights (n, 1, i, j[, k]), float32, normalised.
        """
        parts = [self._one(np.random.default_rng((self.seed, step, row))) for row in rows]
        inputs, targets, weights = (np.stack(arrays).astype(np.float32) for arrays in zip(*parts, strict=True))
        inputs, targets = ((values - self.offset) / self.width for values in (inputs, targets))
        if self.dimensions == 2:
            inputs, targets, weights = inputs[..., 0], targets[..., 0], weights[..., 0]
        return inputs, targets, weights

    def _one(self, rng: np.random.Generator) -> Parts:
        which = int(rng.integers(len(self.cases)))
        case, centres = self.cases[which], self._centres[which]  # pyright: ignore[reportAttributeAccessIssue]
        shape = self._shape  # pyright: ignore[reportAttributeAccessIssue]
        room = [n - s for n, s in zip(case.target.shape, shape, strict=True)]
        if centres.size and rng.random() < self.foreground:
            centre = centres[rng.integers(len(centres))]
            low = [int(np.clip(c - s // 2, 0, r)) for c, s, r in zip(centre, shape, room, strict=True)]
        else:
            low = [int(rng.integers(r + 1)) for r in room]
        box = tuple(slice(a, a + s) for a, s in zip(low, shape, strict=True))
        inputs, target = np.asarray(case.inputs[(slice(None), *box)]), np.asarray(case.target[box])[None]
        weight = np.where(np.asarray(case.mask[box])[None], np.float32(1), np.float32(self.outside))
        return _turned((inputs, target, weight), rng) if self.augment else (inputs, target, weight)


def _turned(parts: Parts, rng: np.random.Generator) -> Parts:
    """Mirrored along some axes and turned by quarters in the slice."""
    axes = tuple(int(a) + 1 for a in np.flatnonzero(rng.random(3) < 0.5))
    turns = int(rng.integers(4))
    inputs, target, weight = (np.ascontiguousarray(np.rot90(np.flip(a, axes), turns, (1, 2))) for a in parts)
    return inputs, target, weight


def _centres(mask: np.ndarray, seed: int) -> np.ndarray:
    """Some of the mask's voxels, (n, 3); all if they are few."""
    flat = np.flatnonzero(np.asarray(mask))
    if flat.size > _CENTRES:
        flat = np.random.default_rng(seed).choice(flat, _CENTRES, replace=False)
    return np.stack(np.unravel_index(flat, mask.shape), axis=1)
