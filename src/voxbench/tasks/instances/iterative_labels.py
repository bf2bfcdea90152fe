"""Numbers for vertebrae that were found one after the other, and one label map of all that was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from voxbench.geometry.spine_labels import CANAL, DISC, MOST, PARTIAL
from voxbench.tasks.instances.iterative import Found, Traversal, overlap
from voxbench.types import AnyArray, Labels

Enlarge = Callable[[AnyArray, tuple[int, int, int]], tuple[AnyArray, tuple[slice, ...]]]
"""Takes probabilities of a box of the working grid and where it begins; gives those of the voxels of another grid that
lie there, and where they are. Beyond the box it takes the probability for 0."""


def from_above(number: int) -> int:
    """The number that a network learns for a vertebra: 24 for the lowest, 25 less each; 0 means none."""
    return MOST - number


def numbers_of(found: Sequence[Found]) -> list[int]:
    """Numbers from below of vertebrae that follow each other upwards, the lowest first.

    Every complete vertebra (all, if none is) votes for the two whole numbers next to what the network says; the first
    number is that with which the chain agrees best, 1 where nobody says anything. A chain that begins with 2
    begins with 1: nearly always the lowest lumbar vertebra is seen, and one that was taken for the next higher.
    """
    voters = [place for place, one in enumerate(found) if one.complete] or list(range(len(found)))
    most = MOST - len(found) + 1
    agreement = {
        start: sum(_vote(MOST - found[place].label, start + place) for place in voters) for start in range(1, most + 1)
    }
    best = max(agreement, key=lambda start: (agreement[start], -start), default=1)
    first = 1 if best == 2 else best
    return [first + place for place in range(len(found))]


def _vote(value: float, number: int) -> float:
    """What a value counts for a whole number: 1 at it, falling to 0 at its neighbours."""
    return max(0.0, 1 - abs(value - number))


def label_map(
    traversal: Traversal, shape: tuple[int, int, int], *, mark_partial: bool = True, enlarge: Enlarge | None = None
) -> Labels:
    """All structures in one label map: vertebrae first, then discs where there is nothing, then the canal likewise.

    Args:
        traversal: What was found.
        shape: Of the label map.
        mark_partial: Add 100 to vertebrae that are not complete.
        enlarge: From the working grid to the label map's; None: it is the working grid.

    Returns:
        uint8, numbers as in ``geometry.spine_labels``; the canal is its largest piece.
    """
    bring = _Same(shape) if enlarge is None else enlarge
    out = np.zeros(shape, np.uint8)
    numbers = numbers_of(traversal.found)
    for one, number in zip(traversal.found, numbers, strict=True):
        cut = PARTIAL if mark_partial and not one.complete else 0
        _paint(out, one.vertebra, one.low, number + cut, bring)
    for one, number in zip(traversal.found, numbers, strict=True):
        _paint(out, one.disc, one.low, DISC + number, bring)
    _paint(out, traversal.canal, (0, 0, 0), CANAL, bring)
    canal = out == CANAL
    if canal.any():
        import cc3d

        out[canal & ~(np.asarray(cc3d.largest_k(canal, k=1, connectivity=26)) > 0)] = 0
    return out


def _paint(out: Labels, values: AnyArray, low: tuple[int, int, int], label: int, bring: Enlarge) -> None:
    """A structure where there is nothing yet, in place."""
    inside = np.argwhere(values > 0)
    if not len(inside):
        return
    first, last = inside.min(axis=0), inside.max(axis=0) + 1
    box = values[tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))]
    i, j, k = (int(v) for v in first + low)
    there, where = bring(box, (i, j, k))
    view = out[where]
    view[(there > 0.5) & (view == 0)] = label


class _Same:
    """The working grid itself."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape

    def __call__(self, values: AnyArray, low: tuple[int, int, int]) -> tuple[AnyArray, tuple[slice, ...]]:
        image, part = overlap(low, values.shape, self.shape)
        return values[part], image
