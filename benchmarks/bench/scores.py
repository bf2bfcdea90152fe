"""How good a displacement field is: written out with NumPy and SciPy, apart from the library under test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage

SIGNS = tuple((a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1))


def warped(array: np.ndarray, field: np.ndarray, order: int) -> np.ndarray:
    """``array`` at identity + field (3, i, j, k), in voxels; 0 outside."""
    out = np.empty(field.shape[1:], array.dtype if order == 0 else np.float32)
    for i in range(field.shape[1]):
        index = np.indices((1, *field.shape[2:]), dtype=np.float64)
        index[0] += i
        out[i] = ndimage.map_coordinates(array, index + field[:, i : i + 1], order=order, output=out.dtype)[0]
    return out


def mean_dice(fixed: np.ndarray, moved: np.ndarray, ids: Sequence[int]) -> float:
    """Mean Dice over the given ids."""
    top = int(max(fixed.max(), moved.max())) + 1
    a = np.bincount(fixed.ravel(), minlength=top)
    b = np.bincount(moved.ravel(), minlength=top)
    both = np.bincount(fixed[fixed == moved].ravel(), minlength=top)
    return float(np.mean([2 * both[i] / (a[i] + b[i]) for i in ids]))


def common_ids(fixed: np.ndarray, moving: np.ndarray) -> list[int]:
    """Ids present in both maps before any warp, background excluded."""
    return sorted((set(np.unique(fixed).tolist()) & set(np.unique(moving).tolist())) - {0})


def correlation(fixed: np.ndarray, moved: np.ndarray) -> float:
    """Pearson correlation where the fixed image is not zero."""
    mask = fixed > 0
    return float(np.corrcoef(fixed[mask].astype(np.float64), moved[mask].astype(np.float64))[0, 1])


def folded_voxels(field: np.ndarray) -> int:
    """Inner voxels whose Jacobian determinant by central differences is not positive."""
    count = 0
    for block in _slabs(field):
        inner = (slice(1, -1),) * 3
        columns = [
            ((np.roll(block, -1, a + 1) - np.roll(block, 1, a + 1)) / 2)[(slice(None), *inner)] for a in range(3)
        ]
        count += int((_determinant(columns) <= 0).sum())
    return count


def ndv_percent(field: np.ndarray, fixed: np.ndarray) -> float:
    """Non-diffeomorphic volume, percent of the mask (fixed > 0 without the outer layer of voxels).

    The ten one-sided determinants of Liu et al., IJCV 2024, doi:10.1007/s11263-024-02047-1.
    """
    mask = fixed[1:-1, 1:-1, 1:-1] > 0
    volume = 0.0
    for at, block in enumerate(_slabs(field)):
        where = mask[at * SLAB : at * SLAB + block.shape[1] - 2]
        step = {(a, s): _difference(block, a, s) for a in range(3) for s in (1, -1)}
        groups = [[step[0, a], step[1, b], step[2, c]] for a, b, c in SIGNS]
        groups += [[_diagonal(block, offset) for offset in _star(s)] for s in (1, -1)]
        for columns in groups:
            volume += float((0.5 * np.maximum(-_determinant(columns), 0) / 6)[where].sum())
    return 100 * volume / int(mask.sum())


def inverse_consistency(u: np.ndarray, v: np.ndarray, mask: np.ndarray) -> float:
    """Mean length of u(x + v(x)) + v(x), voxels, over the mask of the moving image."""
    points = np.argwhere(mask).T
    back = v[:, *points].astype(np.float64)
    there = points + back
    ahead = np.stack([ndimage.map_coordinates(c, there, order=1, mode="nearest") for c in u])
    return float(np.linalg.norm(ahead + back, axis=0).mean())


SLAB = 16


def _slabs(field: np.ndarray) -> Iterator[np.ndarray]:
    """The transformation (identity + field), float64, in slabs of inner planes with one plane more on either side."""
    for start in range(1, field.shape[1] - 1, SLAB):
        stop = min(start + SLAB, field.shape[1] - 1)
        slab = np.indices((stop - start + 2, *field.shape[2:]), dtype=np.float64)
        slab[0] += start - 1
        yield slab + field[:, start - 1 : stop + 1]


def _shifted(block: np.ndarray, offset: Sequence[int]) -> np.ndarray:
    """The inner voxels' neighbours at ``offset``."""
    cut = [slice(1 + o, n - 1 + o) for o, n in zip(offset, block.shape[1:], strict=True)]
    return block[:, *cut]


def _difference(block: np.ndarray, axis: int, sign: int) -> np.ndarray:
    """One-sided difference along an axis: T(x + 1) - T(x), or T(x) - T(x - 1)."""
    offset = [0, 0, 0]
    offset[axis] = sign
    return sign * (_shifted(block, offset) - _shifted(block, (0, 0, 0)))


def _diagonal(block: np.ndarray, offset: Sequence[int]) -> np.ndarray:
    """T at a diagonal neighbour minus T."""
    return _shifted(block, offset) - _shifted(block, (0, 0, 0))


def _star(sign: int) -> tuple[tuple[int, int, int], ...]:
    """The three edges of J*1 (sign -1) and of J*2 (sign +1), ordered so that the identity's is positive."""
    first = ((-1, -1, 0), (-1, 0, -1), (0, -1, -1))
    second = ((1, 1, 0), (0, 1, 1), (1, 0, 1))
    return first if sign < 0 else second


def _determinant(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Determinants of 3 x 3 matrices given by columns of shape (3, ...)."""
    a, b, c = columns
    return a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
