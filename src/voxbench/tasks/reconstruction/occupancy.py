"""What says, for any place, which bone it lies in; and that, asked for only where bones begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from voxbench.errors import InputError
from voxbench.types import AnyArray

BONES = ("patella", "femur", "fibula", "tibia")
"""In the order of the columns 1 to 4; column 0 is background."""
COARSEST_MM = 8.0
"""Cells of the first pass are no larger: what is thinner everywhere may be missed."""
AT_ONCE = 200_000
MOST_NODES = 1100**3
LEAST_MARGIN = np.float32(1e-6)
"""Nodes on a surface are moved this far off it, so that every node is on one side."""


@runtime_checkable
class Occupancy(Protocol):
    """Anything that classifies places.

    Attributes:
        low: Corner of the box in which it knows anything, world mm, (3,).
        high: The opposite one.
    """

    @property
    def low(self) -> AnyArray:
        """Least coordinates of the box, mm."""
        ...

    @property
    def high(self) -> AnyArray:
        """Greatest coordinates of the box, mm."""
        ...

    def margins(self, points: AnyArray) -> AnyArray:
        """Logits of background and the four `BONES`, float32 (n, 5), at places in the world, mm (n, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Field:
    """Classes on a grid of nodes, and their margins wherever two classes are near.

    Attributes:
        low: First node, mm.
        step: From node to node, mm, (3,).
        labels: Class of every node, 0 to 4, uint8.
        coarse: Margins of the bones at every second node, (4, ...); nodes not evaluated are interpolated.
        at: Nodes evaluated on this grid, as indices into ``labels.ravel()``, ascending.
        margins: Of these, (n, 4).
        asked: At how many places the occupancy was evaluated, in all passes.
    """

    low: AnyArray
    step: AnyArray
    labels: AnyArray
    coarse: AnyArray
    at: AnyArray
    margins: AnyArray
    asked: int

    def part(self, bone: int, box: tuple[slice, slice, slice]) -> AnyArray:
        """Margins of one bone in a part of the grid, float32: positive inside it; exact next to its surface.

        Args:
            bone: 0 to 3.
            box: Which nodes; full ranges with start and stop.
        """
        outer = tuple(slice(b.start // 2, (b.stop + 2) // 2) for b in box)
        values = self.coarse[bone][outer]
        if self.coarse[bone].shape != self.labels.shape:
            values = doubled(values)
            own = tuple(slice(b.start - 2 * o.start, b.stop - 2 * o.start) for b, o in zip(box, outer, strict=True))
        else:
            values, own = self.coarse[bone], box
        values = np.ascontiguousarray(values[own])
        inside = self.labels[box] == bone + 1
        # interpolation may err in sign next to the surface, where all nodes are evaluated and overwritten here
        np.abs(values, out=values)
        np.maximum(values, LEAST_MARGIN, out=values)
        np.negative(values, out=values, where=~inside)
        i, j, k = self._places
        chosen = (i >= box[0].start) & (i < box[0].stop) & (j >= box[1].start) & (j < box[1].stop)
        chosen &= (k >= box[2].start) & (k < box[2].stop)
        values[i[chosen] - box[0].start, j[chosen] - box[1].start, k[chosen] - box[2].start] = self.margins[
            chosen, bone
        ]
        return values

    @property
    def _places(self) -> tuple[AnyArray, AnyArray, AnyArray]:
        i, j, k = np.unravel_index(self.at, self.labels.shape)
        return i, j, k


def evaluate(occupancy: Occupancy, spacing_mm: float | int, *, dense: bool = False) -> Field:
    """Classify the nodes of a grid over the box, from coarse to fine.

    The first pass asks everywhere, with cells of at most 8 mm. Every further pass halves the cells and asks in those
    cells only whose corners are of more than one class, and in all that touch them. A node whose class is not what the
    pass before let expect has its neighbours asked as well, again and again, so that a surface that leaves the cells is
    followed. All classes are asked for at once.

    Args:
        occupancy: What classifies.
        spacing_mm: Between nodes; made a little smaller so that whole cells fill the box.
        dense: Ask everywhere (for comparison).

    Raises:
        InputError: The box is empty or far too large for the spacing.
    """
    low, high = box_of(occupancy)
    halvings = max(0, int(np.floor(np.log2(COARSEST_MM / spacing_mm) + 1e-9)))
    cells = np.ceil((high - low) / (spacing_mm * 2**halvings) - 1e-9)
    if not (np.isfinite(cells).all() and (high > low).all() and np.prod(cells * 2**halvings + 1) <= MOST_NODES):
        raise InputError(
            f"a box from {np.round(low, 1).tolist()} to {np.round(high, 1).tolist()} mm cannot be cut into "
            f"cells of {spacing_mm:g} mm"
        )
    asking = _Asking(occupancy, low, (high - low) / cells)
    shape = tuple(int(n) + 1 for n in cells)
    if dense:
        shape = tuple(n * 2**halvings + 1 for n in cells.astype(int).tolist())
        asking.step /= 2**halvings
        halvings = 0
    labels, coarse, known = np.zeros(shape, np.uint8), np.zeros((len(BONES), *shape), np.float32), np.zeros(shape, bool)
    at, margins = asking.followed(np.arange(labels.size), 0, labels, known)
    for level in range(halvings + 1):
        if level:
            wanted, known, labels = _nodes(_grown(_mixed(labels))), _between(known), _repeated(labels)
            at, margins = asking.followed(np.flatnonzero(wanted & ~known), level, labels, known)
        if level < halvings or not halvings:
            coarse = np.stack([doubled(values) for values in coarse]) if level else coarse
            coarse.reshape(len(BONES), -1)[:, at] = margins.T
    if not halvings:
        at, margins = at[:0], margins[:0]
    return Field(low, asking.step / 2**halvings, labels, coarse, at, margins, asking.asked)


def box_of(occupancy: Occupancy) -> AnyArray:
    """Two opposite corners, mm, float64 (2, 3)."""
    return np.stack([np.asarray(occupancy.low, np.float64), np.asarray(occupancy.high, np.float64)])


def classified(logits: AnyArray) -> tuple[AnyArray, AnyArray]:
    """From logits (n, 5) to classes, uint8 (n,), and each bone's logit less the largest other, float32 (n, 4).

    Of equal logits the first class wins; no margin is 0, and only that of the class itself is positive.
    """
    best = np.argmax(logits, axis=1)
    rows = np.arange(len(logits))
    largest = logits[rows, best]
    others = logits.copy()
    others[rows, best] = -np.inf
    margins = np.minimum(logits[:, 1:] - largest[:, None], -LEAST_MARGIN)
    bone = best > 0
    margins[rows[bone], best[bone] - 1] = np.maximum(largest - others.max(axis=1), LEAST_MARGIN)[bone]
    return best.astype(np.uint8), margins


class _Asking:
    """The occupancy on nested grids, and how often it was asked."""

    def __init__(self, occupancy: Occupancy, low: AnyArray, step: AnyArray) -> None:
        self.occupancy, self.low, self.step, self.asked = occupancy, low, step, 0

    def values(self, at: AnyArray, level: int, shape: tuple[int, ...]) -> tuple[AnyArray, AnyArray]:
        """Classes (n,) and margins (n, 4) of nodes."""
        labels, margins = np.empty(len(at), np.uint8), np.empty((len(at), len(BONES)), np.float32)
        step = self.step / 2**level
        for start in range(0, len(at), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            nodes = np.stack(np.unravel_index(at[part], shape), axis=1)
            logits = np.asarray(self.occupancy.margins(self.low + nodes * step), np.float32)
            labels[part], margins[part] = classified(logits)
        self.asked += len(at)
        return labels, margins

    def followed(self, at: AnyArray, level: int, labels: AnyArray, known: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Ask at nodes, and beside those whose class comes as a surprise; both arrays are brought up to date.

        Returns:
            All nodes asked, (n,), and their margins, (n, 4).
        """
        nodes, values = [np.zeros(0, np.int64)], [np.zeros((0, len(BONES)), np.float32)]
        while len(at):
            classes, margins = self.values(at, level, labels.shape)
            nodes.append(at)
            values.append(margins)
            surprised = at[classes != labels.ravel()[at]]
            labels.ravel()[at] = classes
            known.ravel()[at] = True
            beside = _beside(surprised, labels.shape)
            at = np.unique(beside[~known.ravel()[beside]])
        return np.concatenate(nodes), np.concatenate(values)


def doubled(values: AnyArray) -> AnyArray:
    """Values on nodes twice as dense, linear between."""
    for axis in range(values.ndim):
        shape = list(values.shape)
        shape[axis] = 2 * shape[axis] - 1
        finer = np.empty(shape, values.dtype)
        between = finer[_along(axis, slice(1, None, 2))]
        finer[_along(axis, slice(None, None, 2))] = values
        np.add(values[_along(axis, slice(None, -1))], values[_along(axis, slice(1, None))], out=between)
        between *= 0.5
        values = finer
    return values


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    """A part of an axis, all of those before it."""
    return (*[slice(None)] * axis, part)


def _mixed(labels: AnyArray) -> AnyArray:
    """Cells whose corners are of more than one class."""
    least = most = labels
    for axis in range(3):
        one, other = _along(axis, slice(None, -1)), _along(axis, slice(1, None))
        least, most = np.minimum(least[one], least[other]), np.maximum(most[one], most[other])
    return least != most


def _grown(cells: AnyArray) -> AnyArray:
    """Cells and all that touch them."""
    for axis in range(3):
        wider = cells.copy()
        wider[_along(axis, slice(1, None))] |= cells[_along(axis, slice(None, -1))]
        wider[_along(axis, slice(None, -1))] |= cells[_along(axis, slice(1, None))]
        cells = wider
    return cells


def _nodes(cells: AnyArray) -> AnyArray:
    """Nodes of halved cells that lie in or on marked cells."""
    for axis in (2, 1, 0):  # the last axis, whose steps are dear, while the array is small
        shape = list(cells.shape)
        shape[axis] = 2 * shape[axis] + 1
        nodes = np.zeros(shape, bool)
        nodes[_along(axis, slice(1, None, 2))] = cells
        nodes[_along(axis, slice(None, -1, 2))] = cells
        nodes[_along(axis, slice(2, None, 2))] |= cells
        cells = nodes
    return cells


def _between(known: AnyArray) -> AnyArray:
    """Known nodes on the next grid: those between are not."""
    finer = np.zeros([2 * n - 1 for n in known.shape], bool)
    finer[::2, ::2, ::2] = known
    return finer


def _repeated(labels: AnyArray) -> AnyArray:
    """Classes on the next grid, from the nearest node, the lower of two."""
    finer = np.empty([2 * n - 1 for n in labels.shape], labels.dtype)
    for corner in np.ndindex(2, 2, 2):
        place = tuple(slice(c, None, 2) for c in corner)
        finer[place] = labels[tuple(slice(None, n - c) for n, c in zip(labels.shape, corner, strict=True))]
    return finer


def _beside(at: AnyArray, shape: tuple[int, ...]) -> AnyArray:
    """The nodes on all six sides of nodes."""
    found = [np.zeros(0, np.int64)]
    for axis, place in enumerate(np.unravel_index(at, shape)):
        stride = int(np.prod(shape[axis + 1 :]))
        found += [at[place > 0] - stride, at[place < shape[axis] - 1] + stride]
    return np.concatenate(found)
