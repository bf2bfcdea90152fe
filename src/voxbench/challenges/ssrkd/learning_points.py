"""Points of knees and where they fall: on radiographs as they are looked at, and in boxes of a CT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.challenges.ssrkd.learning_data import Knee
from voxbench.errors import EmptyShapeError
from voxbench.geometry.projection import View
from voxbench.types import AnyArray, Points

_MORE = 8
"""Times as many points are drawn as are wanted, for some lie where nobody looks."""


@dataclass(frozen=True)
class Look:
    """How the radiographs of a knee are looked at.

    Attributes:
        pair: Numbers of the frontal and the lateral view.
        rows: First row and the one after the last, of both images.
        mirrored: Columns run the other way: the knee of the other leg, seen by mirrored views.
    """

    pair: tuple[int, int]
    rows: tuple[int, int]
    mirrored: bool = False

    def images(self, stack: AnyArray) -> AnyArray:
        """What is seen of (views, rows, columns), (2, fewer rows, columns)."""
        seen = np.asarray(stack)[list(self.pair), slice(*self.rows)]
        return seen[..., ::-1] if self.mirrored else seen

    def pixels(self, points: Points, views: Sequence[View]) -> AnyArray:
        """Where world points fall on what is seen, float32 (2, n, 2): -1 to 1 between its edges, (row, column)."""
        found = np.stack([on_detector(points, views[number]) for number in self.pair])
        first, stop = self.rows
        height = views[self.pair[0]].shape[0]
        edges = (found[..., 0] + 1) / 2 * height
        found[..., 0] = (edges - first) / (stop - first) * 2 - 1
        if self.mirrored:
            found[..., 1] *= -1
        return found.astype(np.float32)


def on_detector(points: Points, view: View) -> AnyArray:
    """Where world points fall, (..., 2): (row, column) in -1 to 1 between the detector's edges; NaN if nowhere."""
    return (view.project(points) + 0.5) / np.array(view.shape) * 2 - 1


def within(places: AnyArray) -> AnyArray:
    """Which points lie in -1 to 1 along all axes; of two views in both."""
    inside = (np.abs(places) <= 1).all(axis=-1)
    return np.asarray(inside if inside.ndim == 1 else inside.all(axis=0))


def draw_points(
    knee: Knee, count: int, rng: np.random.Generator, placed: Callable[[AnyArray], AnyArray]
) -> tuple[AnyArray, AnyArray]:
    """Labelled points, half of them within bones, of those that fall where one looks.

    Args:
        knee: Whose.
        count: How many.
        rng: Source of randomness.
        placed: From stored points (n, 3) to places in -1 to 1, (n, 3) or (2, n, 2).

    Returns:
        Places, and labels 0 to 4, int64 (count,).

    Raises:
        EmptyShapeError: None falls there.
    """
    parts = []
    for points, labels, wanted in (
        (knee.inside, knee.bones, count // 2),
        (knee.outside, None, count - count // 2),
    ):
        some = rng.integers(len(points), size=_MORE * wanted)
        places = placed(np.asarray(points[some]))
        kept = np.flatnonzero(within(places))
        parts.append((places[..., kept, :], np.zeros(len(kept)) if labels is None else labels[some][kept], wanted))
    total = [(places[..., :wanted, :], names[:wanted]) for places, names, wanted in parts]
    places = np.concatenate([p for p, _ in total], axis=-2)
    names = np.concatenate([n for _, n in total])
    if not len(names):
        raise EmptyShapeError(
            f"{knee.case}: none of its points falls on both detectors; do views and volume belong together?"
        )
    again = np.resize(np.arange(len(names)), count)  # fewer where little is in sight
    return places[..., again, :].astype(np.float32), names[again].astype(np.int64)


@dataclass(frozen=True)
class Box:
    """A cube of a volume.

    Attributes:
        first: Its first voxel, (z, y, x).
        edge: Voxels along each side.
        size: Voxels along each side of the volume.
    """

    first: tuple[int, int, int]
    edge: int
    size: tuple[int, int, int]

    @staticmethod
    def drawn(size: tuple[int, ...], edge: int, rng: np.random.Generator) -> Box:
        """Anywhere; as large as fits."""
        edge = min(edge, *size)
        z, y, x = (int(rng.integers(side - edge + 1)) for side in size)
        return Box((z, y, x), edge, (size[0], size[1], size[2]))

    def cut(self, volume: AnyArray) -> AnyArray:
        """What of (z, y, x) lies within."""
        return np.asarray(volume[tuple(slice(first, first + self.edge) for first in self.first)])

    def local(self, points: AnyArray) -> AnyArray:
        """Stored points (-1 to 1 of the volume) in -1 to 1 of the box."""
        voxels = (np.asarray(points, np.float64) + 1) / 2 * self.size
        return ((voxels - self.first) / self.edge * 2 - 1).astype(np.float32)

    def stored(self, local: AnyArray) -> AnyArray:
        """The inverse of `local`, float64."""
        voxels = (np.asarray(local, np.float64) + 1) / 2 * self.edge + self.first
        return voxels / self.size * 2 - 1
