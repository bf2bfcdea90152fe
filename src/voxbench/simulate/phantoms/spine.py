"""A lumbar spine drawn on a grid: vertebrae with arches, discs, the canal; and what everything is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from voxbench.geometry import Affine, Grid, LabelMap
from voxbench.geometry.orientation import Reordering
from voxbench.geometry.spine_labels import CANAL, DISC, PARTIAL
from voxbench.simulate.phantoms.spine_bones import ala_depth, arch_depth, below_endplate, body_depth, rim
from voxbench.simulate.phantoms.spine_shape import (
    BACK,
    CANAL_HALF,
    Body,
    LevelTruth,
    SpineAnatomy,
    SpineShape,
    level_truth,
    spine_shape,
)
from voxbench.simulate.phantoms.spine_surroundings import Column, column_of, surroundings
from voxbench.types import Vector3

AIR, MARROW, CORTEX, NUCLEUS, ANNULUS, FLUID, CORD, FAT, MUSCLE, VESSEL, BOWEL = range(11)
TISSUE_NAMES: Mapping[int, str] = MappingProxyType(
    {
        AIR: "air",
        MARROW: "marrow",
        CORTEX: "cortex",
        NUCLEUS: "nucleus",
        ANNULUS: "annulus",
        FLUID: "cerebrospinal fluid",
        CORD: "cord and roots",
        FAT: "fat",
        MUSCLE: "muscle",
        VESSEL: "vessel",
        BOWEL: "bowel",
    }
)
"""What a voxel is made of; ligaments count as cortex."""
SHELL_MM = 1.0

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Coordinates along a body's own axes, mm."""


@dataclass(frozen=True, eq=False)
class SpinePhantom:
    """A drawn spine.

    Attributes:
        labels: SPIDER's numbers, uint8; the sacrum is background.
        tissues: Which of ``TISSUE_NAMES`` each voxel is, uint8.
        truth: What is known of the vertebrae that are in the field of view, from below.
        shape: Where everything stands, L3 at the origin.
    """

    labels: LabelMap
    tissues: LabelMap
    truth: tuple[LevelTruth, ...]
    shape: SpineShape


def spine_phantom(
    grid: Grid,
    seed: int = 0,
    anatomy: SpineAnatomy = SpineAnatomy(),
    *,
    middle: Vector3 | None = None,
    mark_partial: bool = True,
) -> SpinePhantom:
    """A spine drawn on a grid.

    Built in the world (x to the right, y to the front, z up), so the grid may have any spacing and orientation, and one
    seed is one person on all of them. Where the grid ends, the spine is cut; numbers count from the
    lowest vertebra seen.

    Args:
        grid: Where it is drawn; 300 mm up and down show about eight vertebrae.
        seed: Which person.
        anatomy: How people vary.
        middle: Where the third vertebra (L3) stands, world, mm; by default in the middle of the grid.
        mark_partial: Give a vertebra that the grid cuts above or below its number plus 100.
    """
    shape = spine_shape(seed, anatomy)
    place = grid.centre if middle is None else middle
    about = Grid(grid.shape, Affine.from_parts(grid.world_from_voxel.linear, grid.origin - place))
    canvas = _Canvas.of(about)
    column = column_of(shape)
    canvas.tissues[...] = surroundings(about, column, np.random.default_rng([seed, 0xF1E5]))
    canvas.draw_canal(column)
    for body in shape.sacrum:
        canvas.draw_body(body, column)
    for body in shape.bodies:
        canvas.draw_body(body, column)
    for number in range(len(shape.discs)):
        canvas.draw_disc(shape, number)
    labels = _numbered(canvas.labels, grid, mark_partial)
    lowest = _lowest(canvas.labels)
    seen = {int(i) for i in np.unique(canvas.labels) if 0 < i < CANAL}
    truth = tuple(level for level in level_truth(shape) if level.number in seen)
    truth = tuple(_renumbered(level, lowest - 1) for level in truth)
    return SpinePhantom(LabelMap(labels, grid), LabelMap(canvas.tissues, grid, dict(TISSUE_NAMES)), truth, shape)


def cut_vertebrae(labels: np.ndarray, grid: Grid) -> tuple[int, ...]:
    """Labels up to 25 that reach the first or the last layer across the spine: the field of view cuts them."""
    axis = Reordering.to(grid).axes[2]
    ends = np.concatenate([np.take(labels, end, axis=axis).ravel() for end in (0, -1)])
    return tuple(int(label) for label in np.unique(ends) if 0 < label < CANAL)


def _lowest(labels: np.ndarray) -> int:
    there = np.unique(labels)
    there = there[(there > 0) & (there < CANAL)]
    return int(there.min()) if there.size else 1


def _renumbered(level: LevelTruth, by: int) -> LevelTruth:
    return replace(level, number=level.number - by)


def _numbered(labels: np.ndarray, grid: Grid, mark_partial: bool) -> np.ndarray:
    """Numbers from the lowest vertebra seen; a disc below the lowest is 201."""
    table = np.arange(256, dtype=np.uint8)
    by = _lowest(labels) - 1
    for number in range(1, 26):
        if number > by:
            table[number] = number - by
        table[DISC + number] = DISC + number - by if number > by else 0
    moved = table[labels]
    if mark_partial:
        for number in cut_vertebrae(moved, grid):
            moved[moved == number] = PARTIAL + number
    return moved


@dataclass(frozen=True, eq=False)
class _Canvas:
    """What is drawn on: labels, tissues, and how deep a voxel lies in the vertebra that has it."""

    grid: Grid
    labels: np.ndarray
    tissues: np.ndarray
    depth: np.ndarray

    @staticmethod
    def of(grid: Grid) -> _Canvas:
        return _Canvas(
            grid, np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.float32)
        )

    def window(self, body: Body, low: np.ndarray, high: np.ndarray) -> tuple[tuple[slice, ...], Planes] | None:
        """The voxels of a box in a body's own frame, and their coordinates there; None if it lies outside."""
        ends = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
        world = body.centre + ends @ body.axes.T
        voxels = self.grid.voxel_from_world(world)
        start = np.maximum(np.floor(voxels.min(axis=0)).astype(int), 0)
        stop = np.minimum(np.ceil(voxels.max(axis=0)).astype(int) + 1, self.grid.shape)
        if (start >= stop).any():
            return None
        matrix = body.axes.T @ self.grid.world_from_voxel.linear
        first = body.axes.T @ (self.grid.origin - body.centre)
        i, j, k = (np.arange(a, b) for a, b in zip(start, stop, strict=True))
        coordinates = tuple(
            (first[n] + matrix[n, 0] * i[:, None, None] + matrix[n, 1] * j[:, None] + matrix[n, 2] * k).astype(
                np.float32
            )
            for n in range(3)
        )
        return tuple(slice(a, b) for a, b in zip(start, stop, strict=True)), coordinates  # pyright: ignore[reportReturnType]

    def draw_canal(self, column: Column) -> None:
        """The dural sac: fluid, the cord down to L1, roots below it at the back; fat round it."""
        inside, across, along = column.canal(self.grid)
        self.labels[inside < 1] = CANAL
        self.tissues[(inside < 1.35) & (inside >= 1)] = FAT
        self.tissues[inside < 1] = FLUID
        cord = (across[0] / 5.5) ** 2 + ((across[1] + 0.5) / 4) ** 2 < 1
        roots = ((across[0] / 8.5) ** 2 + ((across[1] + 3) / 3) ** 2 < 1) & (inside < 0.8)
        end = column.conus
        self.tissues[cord & (along > end)] = CORD
        strands = np.sin(across[0] * 2.4) * np.sin(across[1] * 2.9) > 0.05
        self.tissues[roots & strands & (along <= end)] = CORD

    def draw_body(self, body: Body, column: Column) -> None:
        """Body and arch of a vertebra, or of a part of the sacrum, whose label is background."""
        reach = max(body.half_width + 22, 46 if body.number < 1 else 0)
        behind = BACK * body.half_depth + 2 * CANAL_HALF[1] + 42
        low = np.array([-reach, -behind, -body.height / 2 - 16])
        high = np.array([reach, body.half_depth + 1, body.height / 2 + 16])
        found = self.window(body, low, high)
        if found is None:
            return
        part, (x, y, z) = found
        depth = body_depth(body, x, y, z)
        outer = arch_depth(body, x, y, z) if body.arch > 0 else ala_depth(body, x, y, z)
        outer[column.canal_of(self.grid, part) < 1.25] = -1
        depth = np.maximum(depth, outer)
        mine = depth > self.depth[part]
        self.depth[part][mine] = depth[mine]
        self.labels[part][mine] = max(body.number, 0)
        self.tissues[part][mine] = np.where(depth[mine] > SHELL_MM, MARROW, CORTEX)

    def draw_disc(self, shape: SpineShape, number: int) -> None:
        """What lies between two endplates."""
        above, disc = shape.bodies[number], shape.discs[number]
        below = shape.bodies[number - 1] if number else shape.sacrum[0]
        gap = above.height / 2 + disc.height + 8
        reach = max(above.half_width, below.half_width) + 2
        depth = max(above.half_depth, below.half_depth) + disc.bulge + 4
        found = self.window(
            above, np.array([-reach, -depth, -gap - 6]), np.array([reach, depth, -above.height / 2 + 6])
        )
        if found is None:
            return
        part, (x, y, z) = found
        under = below_endplate(above, x, y, z, -1) < 0.0  # beyond the lower endplate of the vertebra above
        lower = self._coordinates(below, part)
        over = below_endplate(below, *lower, 1) < 0.0
        offset = (y + lower[1]) / 2
        width, deep = (above.half_width + below.half_width) / 2, (above.half_depth + below.half_depth) / 2
        radius = rim((x + lower[0]) / 2, offset, width * 0.98, deep * 0.98)
        back = -BACK * deep - disc.bulge * np.exp(-((x / (0.45 * width)) ** 2))
        inside = under & over & (radius < 1) & (offset > back)
        if disc.bulge > 0:
            inside |= under & over & (np.abs(x) < 0.6 * width) & (offset <= -0.6 * deep) & (offset > back)
        free = inside & (self.depth[part] <= 0)
        self.labels[part][free] = DISC + disc.number
        inner = rim((x + lower[0]) / 2, offset + 0.06 * deep, width * 0.66, deep * 0.6) < 1
        self.tissues[part][free] = np.where(inner[free], NUCLEUS, ANNULUS)

    def _coordinates(self, body: Body, part: tuple[slice, ...]) -> Planes:
        matrix = body.axes.T @ self.grid.world_from_voxel.linear
        first = body.axes.T @ (self.grid.origin - body.centre)
        i, j, k = (np.arange(one.start, one.stop) for one in part)
        found = [
            (first[n] + matrix[n, 0] * i[:, None, None] + matrix[n, 1] * j[:, None] + matrix[n, 2] * k).astype(
                np.float32
            )
            for n in range(3)
        ]
        return found[0], found[1], found[2]
