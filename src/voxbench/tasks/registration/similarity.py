"""How alike two images are under a linear motion: points of one, read in the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from voxbench import _core
from voxbench.geometry import Affine, Volume
from voxbench.tasks.registration.linear_images import Content, GreyScale, onto_grid
from voxbench.tasks.registration.linear_models import Pose
from voxbench.types import FloatImage, Mask, Vector3

Metric = Literal["nmi", "ncc"]

BLOCK = 4
"""Points along the edge of a block of the local correlation."""
NOISE_BINS = 0.5
"""Standard deviation below which a block counts as flat, in bins."""
LEAST_OVERLAP = 0.5
"""A motion that leaves less than this share of what could overlap is penalised."""
STIFFNESS: dict[Metric, float] = {"nmi": 0.05, "ncc": 0.2}
"""Penalty of stretching by half, roughly a quarter of this; it guides the coarse levels and is off on the finest."""
OVERLAP_WEIGHT = 1.0
"""Penalty, in units of the metric, of losing all overlap."""


@dataclass(frozen=True, eq=False)
class View:
    """One image at one level, ready to be sampled or read.

    Attributes:
        image: Smoothed grey values.
        bins: The same as bin coordinates.
        mask: True where it counts; None for everywhere.
    """

    image: Volume
    bins: FloatImage
    mask: Mask | None

    @staticmethod
    def of(image: Volume, scale: GreyScale, mask: Mask | None) -> View:
        """The image with its grey values spread over bins."""
        return View(image, scale(image.array), mask)


@dataclass(frozen=True, eq=False)
class Region:
    """Where points are taken.

    Attributes:
        content: What of the image is not background.
        outline: Whether the content ends where the other image's ends too; if not (a brain cut out, a slab), the
            points keep to its inside, because its outline would be drawn to some other edge.
    """

    content: Content
    outline: bool

    def voxels(self, view: View, reach: float) -> np.ndarray:
        """Voxel indices of a level, float64 (n, 3); ``reach``: how far around a voxel points go, voxels."""
        level = float(view.image.grid.voxel_volume ** (1 / 3))
        mask = self.content.neighbourhood if self.outline else self.content.inside(reach * level)
        near = onto_grid(mask, self.content.grid, view.image.grid)
        if view.mask is not None:
            near &= view.mask
        return np.argwhere(near).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Points:
    """Points of the sampled image.

    Attributes:
        places: World mm relative to the content's centre, float32, shape (n, 3).
        values: Bin coordinates there.
    """

    places: np.ndarray
    values: np.ndarray

    @staticmethod
    def scattered(view: View, region: Region, count: int, rng: np.random.Generator) -> Points:
        """One jittered point in each of at most ``count`` voxels of the region, evenly spread."""
        chosen = region.voxels(view, 0.5)
        if len(chosen) > count:
            strata = (np.arange(count) + rng.random(count)) * (len(chosen) / count)
            chosen = chosen[strata.astype(np.int64)]
        return Points._at(view, region.content.centre, chosen + rng.uniform(-0.5, 0.5, chosen.shape))

    @staticmethod
    def blocks(view: View, region: Region, count: int, rng: np.random.Generator) -> Points:
        """Cubes of points one voxel apart, about ``count`` points in all, jittered in the region."""
        chosen = region.voxels(view, BLOCK / 2)
        number = max(1, min(count, 2 * len(chosen)) // BLOCK**3)
        strata = (np.arange(number) + rng.random(number)) * (len(chosen) / number)
        corners = chosen[strata.astype(np.int64)] + rng.uniform(-0.5, 0.5, (number, 3))
        cube = np.indices((BLOCK,) * 3).reshape(3, -1).T - (BLOCK - 1) / 2
        return Points._at(view, region.content.centre, (corners[:, None] + cube).reshape(-1, 3))

    @staticmethod
    def _at(view: View, centre: Vector3, voxels: np.ndarray) -> Points:
        """The points at these voxel coordinates, moved inside the box."""
        voxels = np.clip(voxels, 0, np.asarray(view.bins.shape) - 1).astype(np.float32)
        field = np.ascontiguousarray(voxels[:, None, None])
        values = _core.sample(view.bins, (len(voxels), 1, 1), np.zeros((3, 4)), field, np.eye(3), 1, 0.0).ravel()
        places = view.image.grid.world_from_voxel(voxels.astype(np.float64)) - centre
        return Points(np.ascontiguousarray(places, dtype=np.float32), values)


@dataclass(frozen=True, eq=False)
class Similarity:
    """The metric at one level, as a function of the pose.

    Attributes:
        metric: ``nmi``, normalised mutual information (1 to 2); ``ncc``, mean squared local correlation (0 to 1).
        points: Points of the sampled image.
        read: The other image.
        bins: Number of histogram bins.
        reachable: Share of the points that can lie inside the other image at once.
        stiffness: Weight of the squared strain, a penalty that keeps shapes plausible while little is seen.

    References:
        C. Studholme et al., Pattern Recognition 32:71-86, 1999, doi:10.1016/S0031-3203(98)00091-0
        D. Mattes et al., IEEE Trans. Medical Imaging 22:120-128, 2003, doi:10.1109/TMI.2003.809072
    """

    metric: Metric
    points: Points
    read: View
    bins: int
    reachable: float
    stiffness: float = 0.0

    def value(self, pose: Pose) -> float:
        """The metric alone."""
        return self._parts(pose)[0]

    def overlap(self, pose: Pose) -> float:
        """Share of the points that lie inside the other image."""
        return self._parts(pose)[1] / len(self.points.places)

    def cost(self, pose: Pose) -> tuple[float, np.ndarray]:
        """What is minimised: minus the metric plus the penalty of losing overlap; and its gradient by the pose."""
        metric, overlap, gradients = self._parts(pose)
        by_pose = self._voxel_from_world.linear.T @ gradients
        full = LEAST_OVERLAP * self.reachable * len(self.points.places)
        lost = max(0.0, 1 - overlap / full)
        strain = strain_of(pose)
        cost = -metric + OVERLAP_WEIGHT * lost**2 + self.stiffness * float((strain**2).sum())
        gradient = -by_pose[0] - 2 * OVERLAP_WEIGHT * lost / full * by_pose[1]
        gradient[:, :3] += 2 * self.stiffness * pose[:, :3] @ strain
        return cost, gradient

    def rank(self, poses: np.ndarray) -> np.ndarray:
        """A score of many poses (n, 3, 4), larger is better: what is shared times the root of the overlap."""
        matrices = self._voxel_from_world.linear @ poses
        matrices[:, :, 3] += self._voxel_from_world.offset
        places, rows, image, mask = self._scene
        if self.metric == "nmi":
            values, overlaps = _core.mutual_information_many(places, rows, image, mask, matrices, self.bins)
            values = values - 1
        else:
            fixed, noise = self.points.values, NOISE_BINS**2
            values, overlaps = _core.block_correlation_many(places, fixed, BLOCK**3, image, mask, matrices, noise)
        shared = values * np.sqrt(np.minimum(1.0, overlaps / (self.reachable * len(places))))
        return shared - self.stiffness * (strain_of(poses) ** 2).sum(axis=(1, 2))

    def _parts(self, pose: Pose) -> tuple[float, float, np.ndarray]:
        """Metric, overlap in points, and the gradients (2, 3, 4) of both by the matrix of the core."""
        matrix = self._matrix(pose)
        if self.metric == "nmi":
            return _core.mutual_information(*self._scene, matrix, self.bins)
        places, _, image, mask = self._scene
        return _core.block_correlation(places, self.points.values, BLOCK**3, image, mask, matrix, NOISE_BINS**2)

    @cached_property
    def _voxel_from_world(self) -> Affine:
        return self.read.image.grid.voxel_from_world

    @cached_property
    def _scene(self) -> tuple[np.ndarray, np.ndarray, FloatImage, np.ndarray | None]:
        rows = np.clip(self.points.values + 0.5, 0, self.bins - 1).astype(np.uint8)
        mask = None if self.read.mask is None else self.read.mask.astype(np.float32)
        return self.points.places, rows, self.read.bins, mask

    def _matrix(self, pose: Pose) -> np.ndarray:
        """Voxel of the other image from a point relative to the centre."""
        matrix = self._voxel_from_world.linear @ pose
        matrix[:, 3] += self._voxel_from_world.offset
        return matrix


def strain_of(poses: np.ndarray) -> np.ndarray:
    """(A^T A - I) / 2 of poses' linear parts (..., 3, 4): zero for rotations."""
    linear = poses[..., :3]
    return (np.swapaxes(linear, -1, -2) @ linear - np.eye(3)) / 2
