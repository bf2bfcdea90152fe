"""An image as linear registration sees it: a pyramid, where its content lies, and grey values spread over bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from voxbench import _core
from voxbench.errors import EmptyShapeError, GridMismatchError
from voxbench.geometry import Affine, Grid, Volume
from voxbench.types import FloatImage, Mask, Vector3

LOOK = 2.5
"""Spacing at which content is looked for, in voxels of the finest level."""
PART = 0.6
"""Share of the larger content's volume below which the smaller one must be a part of it."""
RING = 0.2
"""How far around the content points are still sampled, in radii: its outline is what ties it to the other image."""


def coarser(volume: Volume, spacing_mm: float) -> Volume:
    """The image smoothed and sampled at about ``spacing_mm``; axes that are coarser already stay as they are."""
    ratio = np.maximum(1.0, spacing_mm / volume.grid.spacing)
    ratio = np.where(ratio < 1.25, 1.0, ratio)
    shape = np.asarray(volume.grid.shape)
    ratio = np.where(shape == 1, 1.0, ratio)
    array = np.array(volume.array, dtype=np.float32)
    if (ratio == 1).all():
        return Volume(array, volume.grid)
    sigma = np.minimum(0.5 * np.sqrt(ratio**2 - 1), 18).astype(np.float32)
    _core.gaussian(array, sigma, True)
    count = np.floor((shape - 1) / ratio + 1e-9).astype(int) + 1
    first = ((shape - 1) - (count - 1) * ratio) / 2
    step = Affine.from_parts(np.diag(ratio), first, "voxel", "voxel")
    grid = Grid((int(count[0]), int(count[1]), int(count[2])), volume.grid.world_from_voxel @ step)
    matrix = np.ascontiguousarray(step.matrix[:3])
    return Volume(_core.sample(array, grid.shape, matrix, None, None, 1, float(array.min())), grid)


def pyramid(volume: Volume, levels_mm: tuple[float, ...]) -> dict[float, Volume]:
    """One image per level, each made from the next finer one."""
    made: dict[float, Volume] = {}
    for level in sorted(levels_mm):
        volume = coarser(volume, level)
        made[level] = volume
    return made


def onto_grid(mask: Mask, grid: Grid, onto: Grid) -> Bool[np.ndarray, "_ _ _"]:
    """A mask at the nearest voxels of another grid; the border goes on outside."""
    matrix = (grid.voxel_from_world @ onto.world_from_voxel).matrix
    if np.abs(matrix[:3, :3] - np.diag(np.diag(matrix[:3, :3]))).max() < 1e-6:
        # The two grids share their axes: look indices up an axis at a time.
        index = [
            np.clip(np.floor(matrix[a, a] * np.arange(n) + matrix[a, 3] + 0.5), 0, grid.shape[a] - 1).astype(int)
            for a, n in enumerate(onto.shape)
        ]
        return mask[np.ix_(*index)]
    out = np.empty(onto.shape, np.uint8)
    contiguous = np.ascontiguousarray(mask).view(np.uint8)
    _core.sample_nearest(
        contiguous, onto.shape, np.ascontiguousarray(matrix[:3]), None, None, np.array(0, np.uint8), out
    )
    return out.view(bool)


@dataclass(frozen=True, eq=False)
class Content:
    """What of a coarse image is not background.

    Attributes:
        mask: True on the content.
        grid: Where the mask lies.
        background: The usual value at the faces of the box.
    """

    mask: Mask
    grid: Grid
    background: float

    @staticmethod
    def of(image: Volume, within: Mask | None, name: str) -> Content:
        """Everything that differs clearly from the usual value at the faces of the box.

        Args:
            image: A coarse level.
            within: Only this part of the image counts.
            name: What the image is called in messages.

        Raises:
            EmptyShapeError: Nothing differs, or the mask holds nothing.
        """
        array = image.array
        faces = [np.take(array, end, axis).ravel() for axis in range(3) for end in (0, -1)]
        background = float(np.median(np.concatenate(faces)))
        contrast = np.abs(array - background)
        inside = contrast if within is None else contrast[within]
        if inside.size == 0:
            raise EmptyShapeError(f"{name}: the mask holds no voxel of the image; give a mask that overlaps it")
        top = float(np.quantile(inside, 0.99)) or float(inside.max())
        if top <= 0:
            raise EmptyShapeError(f"{name}: nothing but one value ({background:g}) where the registration looks")
        mask = contrast > 0.5 * otsu(np.minimum(inside, top))
        if within is not None:
            mask &= within
        return Content(mask, image.grid, background)

    @cached_property
    def points(self) -> np.ndarray:
        """World positions of its voxels, shape (n, 3)."""
        return self.grid.world_from_voxel(np.argwhere(self.mask).astype(np.float64))

    @cached_property
    def volume(self) -> float:
        """mm^3, its hollows included."""
        return float(self.inside(0.0).sum()) * self.grid.voxel_volume

    def part_of(self, other: Content) -> bool:
        """Whether it is so much smaller that it must be a part of the other."""
        return self.volume < PART * other.volume

    @cached_property
    def centre(self) -> Vector3:
        """Centre of mass, world mm."""
        return self.points.mean(axis=0)

    @cached_property
    def radius(self) -> float:
        """Root mean square distance from the centre, mm."""
        return max(1.0, float(np.sqrt(((self.points - self.centre) ** 2).sum(axis=1).mean())))

    @cached_property
    def axes(self) -> np.ndarray:
        """Principal axes as columns, longest first, right-handed."""
        _, vectors = np.linalg.eigh(np.cov((self.points - self.centre).T) + 1e-6 * np.eye(3))
        axes = vectors[:, ::-1]
        return axes * [1, 1, np.sign(np.linalg.det(axes))]

    @cached_property
    def neighbourhood(self) -> Mask:
        """The content and a ring of background around it."""
        distance = ndimage.distance_transform_edt(~self.mask, sampling=self.grid.spacing)
        return np.asarray(distance) <= RING * self.radius

    def inside(self, margin_mm: float) -> Mask:
        """The content with its hollows, without a rim of this width (a thinner one where little would be left)."""
        depth = np.asarray(ndimage.distance_transform_edt(self.neighbourhood, sampling=self.grid.spacing))
        deep = depth > RING * self.radius + margin_mm
        return deep if deep.sum() > 0.2 * self.mask.sum() else self.mask


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values into the two classes of least variance within.

    References:
        N. Otsu, IEEE Trans. SMC 9:62-66, 1979, doi:10.1109/TSMC.1979.4310076
    """
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.argmax(np.nan_to_num(between)))])


@dataclass(frozen=True, eq=False)
class GreyScale:
    """Grey values spread over histogram bins: half as they are, half by rank, so that no tissue shares one bin.

    Attributes:
        knots: Increasing grey values.
        bins: The bin coordinate of each knot.
    """

    knots: np.ndarray
    bins: np.ndarray

    @staticmethod
    def of(image: Volume, where: Mask, bins: int) -> GreyScale:
        """The scale that fits an image's grey values around its content."""
        values = image.array[where]
        low, high = (float(q) for q in np.quantile(values, (0.002, 0.998)))
        if low >= high:
            low, high = float(values.min()), float(values.max())
        if low >= high:
            low, high = float(image.array.min()), float(image.array.max())
        knots = np.linspace(low, high, 257)
        rank = np.searchsorted(np.sort(values), knots, side="right") / values.size
        rank = (rank - rank[0]) / max(1e-9, rank[-1] - rank[0])
        return GreyScale(knots, (bins - 1) * (0.5 * rank + 0.5 * np.linspace(0, 1, 257)))

    def __call__(self, array: np.ndarray) -> FloatImage:
        """Bin coordinates of grey values."""
        step = (self.knots[-1] - self.knots[0]) / (len(self.knots) - 1)
        at = np.clip((array - np.float32(self.knots[0])) / np.float32(step), 0, len(self.knots) - 1)
        low = np.minimum(at.astype(np.int32), len(self.knots) - 2)
        table = self.bins.astype(np.float32)
        return np.ascontiguousarray(table[low] + (at - low) * (table[low + 1] - table[low]), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Source:
    """One image as it comes in, looked at once.

    Attributes:
        finest: On the finest level.
        look: Coarse, for finding the content.
        content: Where there is something.
        mask: Where the image counts, on its own grid; None for everywhere.
        grid: Of the original image.
    """

    finest: Volume
    look: Volume
    content: Content
    mask: Bool[np.ndarray, "_ _ _"] | None
    grid: Grid

    @staticmethod
    def of(volume: Volume, mask: Bool[np.ndarray, "_ _ _"] | None, finest_mm: float, name: str) -> Source:
        """Smooth the image to the finest level and find its content.

        Raises:
            GridMismatchError: The mask has another shape than the image.
            EmptyShapeError: There is no content.
        """
        if mask is not None and mask.shape != volume.grid.shape:
            raise GridMismatchError(f"{name}: its mask has shape {mask.shape}, the image {volume.grid.shape}")
        finest = coarser(volume, finest_mm)
        look = coarser(finest, LOOK * finest_mm)
        within = None if mask is None else onto_grid(mask, volume.grid, look.grid)
        return Source(finest, look, Content.of(look, within, name), mask, volume.grid)

    def mask_on(self, grid: Grid) -> Bool[np.ndarray, "_ _ _"] | None:
        """The mask at the voxels of a level."""
        return None if self.mask is None else onto_grid(self.mask, self.grid, grid)
