"""Lymph nodes planted into a chest CT: lobulated ellipsoids in its fat, every one known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import EmptyShapeError, GridMismatchError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.simulate.fields import smooth_noise
from voxbench.types import Mask

LAYER_MM = 1.0
"""Shares of voxels are counted at points at most about this far apart, at least two along each axis."""
TRIES = 30
SHRINK = 0.85
SMALLEST_MM = 3.0
LARGEST_MM = 60.0


class NodeVariation(Config):
    """How many nodes, how large, how bright.

    The defaults are those of patients with disease of the nodes: a dozen in sight, half of them enlarged; nodes of
    54 HU with a standard deviation of 33 over all voxels, as LNQ 2023's training cases have (noise and blur included).
    """

    count: float = Field(default=12.0, gt=0, le=60, description="Mean number of nodes a case; 3 at least are tried.")
    short_mm: float = Field(default=10.0, gt=0, le=40, description="Median of the short diameters, mm.")
    spread: float = Field(default=0.42, ge=0, le=1, description="Standard deviation of their logarithm within a case.")
    spread_cases: float = Field(default=0.35, ge=0, le=1, description="The same between cases: some are bulky.")
    elongation: float = Field(default=0.45, ge=0, le=1.5, description="Spread of long / short diameter above 1.")
    lobulation: float = Field(default=0.10, ge=0, le=0.3, description="Depth of lobes in radii.")
    hu: float = Field(default=54.0, description="Mean CT number over cases, HU.")
    hu_cases: float = Field(default=15.0, ge=0, description="Standard deviation between cases, HU.")
    hu_nodes: float = Field(default=9.0, ge=0, description="Standard deviation between the nodes of a case, HU.")
    texture_hu: float = Field(default=8.0, ge=0, description="Standard deviation within a node, HU.")
    within: float = Field(
        default=0.65, gt=0, le=1, description="Share of a node that must lie in fat; the rest is cut."
    )
    matted: float = Field(default=0.1, ge=0, le=1, description="Share of nodes that may touch another.")


@dataclass(frozen=True)
class PlantedNode:
    """One node.

    Attributes:
        id: Its label.
        centre: World position it was drawn at (RAS+, mm).
        diameters_mm: Of the ellipsoid it was drawn from, longest first.
        hu: Its mean CT number, before noise.
        volume_mm3: Of its voxels.
    """

    id: int
    centre: tuple[float, float, float]
    diameters_mm: tuple[float, float, float]
    hu: float
    volume_mm3: float


@dataclass(frozen=True, eq=False)
class Planted:
    """A CT with nodes.

    Attributes:
        ct: HU, float32.
        labels: Every node's id in its voxels.
        nodes: By id.
    """

    ct: Volume
    labels: LabelMap
    nodes: tuple[PlantedNode, ...]


def plant(
    ct: Volume,
    fat: Mask,
    rng: np.random.Generator,
    variation: NodeVariation = NodeVariation(),
    keep_noise: bool = False,
) -> Planted:
    """Plant nodes where there is fat.

    Each is drawn as an ellipsoid in any orientation whose surface is dented by smooth lobes, placed in fat deep enough
    for it, and cut where it meets something else. A node that finds no place in `TRIES` tries shrinks and tries again;
    below `SMALLEST_MM` it is left out.

    Args:
        ct: HU.
        fat: Where nodes may lie.
        rng: Source of randomness.
        variation: How many, how large, how bright.
        keep_noise: Carry the CT's own noise into the nodes (for a real CT); otherwise they replace what is there.

    Raises:
        GridMismatchError: ``fat`` has another shape than the CT.
        EmptyShapeError: There is no fat.
    """
    if fat.shape != ct.grid.shape:
        raise GridMismatchError(f"the fat and the CT differ in shape\n  fat  {fat.shape}\n  CT   {ct.grid.shape}")
    if not fat.any():
        raise EmptyShapeError("there is no fat for lymph nodes to lie in")
    field = _Field(ct, fat, keep_noise, variation.texture_hu, rng)
    case_hu = variation.hu + variation.hu_cases * float(np.clip(rng.standard_normal(), -2, 2))
    for size in _sizes(rng, variation):
        field.place(size, float(rng.normal(case_hu, variation.hu_nodes)), variation, rng)
    labels = LabelMap(field.labels, ct.grid, {node.id: f"node {node.id}" for node in field.nodes})
    return Planted(Volume(field.values, ct.grid), labels, tuple(field.nodes))


def _sizes(rng: np.random.Generator, variation: NodeVariation) -> Iterator[np.ndarray]:
    """Diameters of every node, mm, the largest nodes first so that they find room."""
    count = max(3, int(rng.poisson(variation.count)))
    case = variation.short_mm * np.exp(variation.spread_cases * np.clip(rng.standard_normal(), -2.5, 2.5))
    short = case * np.exp(variation.spread * np.clip(rng.standard_normal(count), -2.5, 2.5))
    for diameter in np.sort(short)[::-1]:
        long = 1 + variation.elongation * min(abs(rng.standard_normal()), 2.5)
        third = rng.uniform(0.8, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, long)
        yield np.clip(diameter * np.sort([long, 1.0, third])[::-1], SMALLEST_MM, LARGEST_MM)


class _Field:
    """What is planted so far."""

    def __init__(self, ct: Volume, fat: Mask, keep_noise: bool, texture_hu: float, rng: np.random.Generator) -> None:
        from scipy.ndimage import distance_transform_edt

        self.grid, self.fat, self.keep_noise = ct.grid, fat, keep_noise
        self.values = np.array(ct.array, np.float32)
        self.labels = np.zeros(ct.grid.shape, np.uint16)
        self.nodes: list[PlantedNode] = []
        self.depth = np.asarray(distance_transform_edt(fat, sampling=ct.grid.spacing), np.float32)
        self.texture = texture_hu * smooth_noise(ct.grid, rng, 2.5) if texture_hu else np.zeros_like(self.values)

    def place(self, diameters: np.ndarray, hu: float, variation: NodeVariation, rng: np.random.Generator) -> None:
        """Find a place for a node, smaller if need be, and draw it there."""
        gap = rng.random() >= variation.matted
        while diameters[-1] >= SMALLEST_MM * SHRINK:
            shape = _Shape.drawn(diameters, variation.lobulation, rng)
            places = self._places(0.25 * float(diameters[-1]), rng)
            for place in places:
                found = self._inside(shape, place, gap)
                if found is not None and found[2] >= variation.within:
                    self._draw(shape, place, found, hu)
                    return
            diameters = diameters * SHRINK

    def _places(self, depth: float, rng: np.random.Generator) -> np.ndarray:
        """World points in fat, at least so deep below its surface, and not in a node; none if there is none."""
        free = np.flatnonzero((self.depth >= depth) & (self.labels == 0))
        if not free.size:
            return np.empty((0, 3))
        chosen = np.stack(np.unravel_index(rng.choice(free, TRIES), self.grid.shape), -1)
        return self.grid.world_from_voxel(chosen + rng.uniform(-0.5, 0.5, chosen.shape))

    def _inside(
        self, shape: _Shape, place: np.ndarray, gap: bool
    ) -> tuple[tuple[slice, ...], np.ndarray, float] | None:
        """The box of a node, the share of each voxel that is its own, and the share of it that is left."""
        box, share = shape.shares(self.grid, place)
        if not share.size:
            return None
        allowed = self.fat[box] & ~self._taken(box, gap)
        core = _one_piece((share > 0.5) & allowed)
        whole = int(np.count_nonzero(share > 0.5))
        if not core.any():
            return None
        left = np.count_nonzero(core) / whole
        return box, np.where(core | (allowed & _touching(core)), share, 0.0), left

    def _taken(self, box: tuple[slice, ...], gap: bool) -> np.ndarray:
        from scipy.ndimage import binary_dilation

        wide = tuple(slice(max(0, a.start - 1), a.stop + 1) for a in box)
        taken = self.labels[wide] != 0
        if gap:
            taken = binary_dilation(taken, np.ones((3, 3, 3), bool))
        inner = tuple(slice(a.start - w.start, a.stop - w.start) for a, w in zip(box, wide, strict=True))
        return np.asarray(taken)[inner]

    def _draw(
        self, shape: _Shape, place: np.ndarray, found: tuple[tuple[slice, ...], np.ndarray, float], hu: float
    ) -> None:
        box, share, _ = found
        core = share > 0.5
        number = len(self.nodes) + 1
        old = self.values[box]
        new = hu + self.texture[box]
        if self.keep_noise:
            new = new + np.clip(old - np.median(old[core]), -60, 60)
        self.values[box] = old + share.astype(np.float32) * (new - old)
        self.labels[box][core] = number
        x, y, z = (float(v) for v in place)
        a, b, c = (float(v) for v in shape.diameters)
        volume = float(np.count_nonzero(core)) * self.grid.voxel_volume
        self.nodes.append(PlantedNode(number, (x, y, z), (a, b, c), hu, volume))


@dataclass(frozen=True, eq=False)
class _Shape:
    """An ellipsoid with lobes: its radius is 1 + sum of waves over the direction."""

    diameters: np.ndarray
    turn: np.ndarray
    waves: np.ndarray
    phases: np.ndarray

    @staticmethod
    def drawn(diameters: np.ndarray, lobulation: float, rng: np.random.Generator) -> _Shape:
        turn, upper = np.linalg.qr(rng.normal(size=(3, 3)))
        waves = rng.normal(size=(4, 3))
        waves *= 3.2 / np.linalg.norm(waves, axis=1, keepdims=True)
        return _Shape(diameters, turn * np.sign(np.diag(upper)), waves, np.append(rng.uniform(0, 6.28, 4), lobulation))

    def shares(self, grid: Grid, place: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray]:
        """The box of voxels around it, and how much of each lies inside."""
        middle = grid.voxel_from_world(place)
        reach = 0.65 * float(self.diameters[0]) / grid.spacing + 1
        low = np.maximum(np.floor(middle - reach), 0).astype(int)
        high = np.minimum(np.ceil(middle + reach) + 1, grid.shape).astype(int)
        if (high <= low).any():
            return (), np.zeros((0, 0, 0))
        counts = np.maximum(2, np.ceil(grid.spacing / LAYER_MM)).astype(int)
        steps = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
        axes = [(np.arange(a, b)[:, None] + s).ravel() for a, b, s in zip(low, high, steps, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        inside = self._contains((points - middle) * grid.spacing @ grid.direction.T)
        shape = [n for a, b, c in zip(low, high, counts, strict=True) for n in (int(b - a), int(c))]
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), inside.reshape(shape).mean(
            axis=(1, 3, 5)
        )

    def _contains(self, offset: np.ndarray) -> np.ndarray:
        unit = offset @ self.turn / (self.diameters / 2)
        radius = np.linalg.norm(unit, axis=-1)
        angle = unit / np.maximum(radius, 1e-9)[..., None] @ self.waves.T + self.phases[:4]
        return radius <= 1 + self.phases[4] * np.sin(angle).sum(axis=-1) / 2


def _one_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected part."""
    from scipy.ndimage import label

    numbered, count = label(mask)  # pyright: ignore[reportGeneralTypeIssues]
    if count < 2:
        return mask
    return numbered == 1 + int(np.argmax(np.bincount(numbered.ravel())[1:]))


def _touching(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask, np.ones((3, 3, 3), bool)))
