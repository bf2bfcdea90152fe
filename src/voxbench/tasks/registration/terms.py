"""What drives a registration: the image term and the optional ones, as forces on the two maps of a level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from voxbench import _core
from voxbench.tasks.registration.fields import Fields
from voxbench.tasks.registration.mind import feature_force, mind_ssc_packed
from voxbench.types import FloatImage, Mask, PlanarVoxelVectors


@dataclass(frozen=True, eq=False)
class LocalCorrelation:
    """Mean squared local correlation of the two warped images, with its exact gradient.

    Attributes:
        fixed, moving: Images of the level, range about 1.
        fixed_weight, moving_weight: Where each image counts, 0 to 1, or None.
        radius: Half width of the window, voxels.
        noise: Least variance of a window that counts.
        room: Seven volumes to work in.
    """

    fixed: FloatImage
    moving: FloatImage
    fixed_weight: FloatImage | None
    moving_weight: FloatImage | None
    least: ClassVar[float] = 0.2  # two people: about 1; an image and itself: 1e-6
    radius: int
    noise: float
    room: np.ndarray

    @staticmethod
    def of(
        images: tuple[FloatImage, FloatImage],
        weights: tuple[FloatImage | None, FloatImage | None],
        radius: int,
        noise: float,
    ) -> LocalCorrelation:
        """With the room it works in."""
        return LocalCorrelation(*images, *weights, radius, noise, np.empty((7, *images[0].shape), np.float32))

    def __call__(self, fields: Fields, forces: Fields) -> float:
        """Write the forces; return the metric's mean over the voxels that count."""
        moving = self.room[5]
        _core.warp_planar(self.moving, fields.moving, moving)
        fixed = self.fixed
        if fields.fixed is not None:
            fixed = self.room[6]
            _core.warp_planar(self.fixed, fields.fixed, fixed)
        weight = self._weight(fields)
        total = _core.ncc_force(
            fixed, moving, weight, self.radius, self.noise, self.room[:5], forces.moving, forces.fixed
        )
        return total / (fixed.size if weight is None else max(1.0, float(weight.sum())))

    def _weight(self, fields: Fields) -> FloatImage | None:
        """Where both warped images count."""
        weight = None
        for mask, field in ((self.fixed_weight, fields.fixed), (self.moving_weight, fields.moving)):
            if mask is None:
                continue
            warped = mask
            if field is not None:
                warped = np.empty_like(mask)
                _core.warp_planar(mask, field, warped)
            weight = warped if weight is None else weight * warped
        return weight


@dataclass(frozen=True, eq=False)
class SelfSimilarity:
    """One minus the mean squared difference of MIND-SSC descriptors: any two contrasts; only the moving image goes.

    Attributes:
        fixed, moving: Descriptors of the level, channels last, uint8.
        weight: Where the fixed image counts, 0 to 1, or None.
        room: Three volumes for the loop.
    """

    least: ClassVar[float] = 1e-6
    fixed: np.ndarray
    moving: np.ndarray
    weight: FloatImage | None
    room: np.ndarray

    @staticmethod
    def of(images: tuple[FloatImage, FloatImage], weight: FloatImage | None) -> SelfSimilarity:
        """Descriptors of both images; those of the moving one are carried along, not made anew."""
        fixed, moving = (mind_ssc_packed(image) for image in images)
        return SelfSimilarity(fixed, moving, weight, np.empty((3, *images[0].shape), np.float32))

    def __call__(self, fields: Fields, forces: Fields) -> float:
        """Write the forces; return the metric."""
        difference = feature_force(self.fixed, self.moving, fields.moving, forces.moving)
        np.multiply(forces.moving, -1.0 if self.weight is None else -self.weight, out=forces.moving)
        return 1.0 - difference


@dataclass(frozen=True, eq=False)
class LabelOverlap:
    """Pulls equal labels onto each other: squared difference of their smoothed indicator functions.

    Attributes:
        fixed, moving: Indicator functions of the labels both have, one array each, smoothed.
        step: Largest displacement that this term adds to a step, voxels.
    """

    fixed: tuple[FloatImage, ...]
    moving: tuple[FloatImage, ...]
    smoothing: float
    step: float

    @staticmethod
    def of(fixed: np.ndarray, moving: np.ndarray, smoothing: float, step: float) -> LabelOverlap:
        """From two integer label maps of one level; labels that only one has do not count."""
        shared = [int(i) for i in np.intersect1d(np.unique(fixed), np.unique(moving)) if i != 0]
        return LabelOverlap(
            tuple(_indicator(fixed, i) for i in shared), tuple(_indicator(moving, i) for i in shared), smoothing, step
        )

    def __call__(self, fields: Fields, forces: Fields) -> float:
        """Add the forces; return minus the mean squared difference."""
        pulls = [np.zeros_like(force) for force in forces.sides]
        total = 0.0
        for fixed, moving in zip(self.fixed, self.moving, strict=True):
            pair = [_warped(moving, fields.moving), fixed if fields.fixed is None else _warped(fixed, fields.fixed)]
            difference = pair[1] - pair[0]
            total += float(np.square(difference).mean())
            for sign, image, pull in zip((1, -1), pair, pulls, strict=False):
                for axis, slope in enumerate(np.gradient(image)):
                    pull[axis] += sign * difference * slope
        for pull, force in zip(pulls, forces.sides, strict=True):
            _core.gaussian(pull, np.full(3, self.smoothing, np.float32), False)
            _core.scale_to(pull, self.step)
            force += pull
        return -total / max(1, len(self.fixed))


@dataclass(frozen=True, eq=False)
class LandmarkPull:
    """Pulls matching landmarks onto each other.

    Attributes:
        fixed, moving: Matching points, (n, 3), voxels of the level.
        weight: Share of their distance in the middle closed by a step.
        reach: Gaussian sigma of a pull, voxels.
    """

    fixed: np.ndarray
    moving: np.ndarray
    weight: float
    reach: float

    def __call__(self, fields: Fields, forces: Fields) -> float:
        """Add the forces; return minus the mean distance in the middle, voxels."""
        at_fixed = self.fixed if fields.fixed is None else _preimage(fields.fixed, self.fixed)
        at_moving = _preimage(fields.moving, self.moving)
        apart = at_moving - at_fixed
        share = self.weight * (0.5 if fields.fixed is not None else 1.0)
        _splat(forces.moving, at_fixed, share * apart, self.reach)
        if forces.fixed is not None:
            _splat(forces.fixed, at_moving, -share * apart, self.reach)
        return -float(np.linalg.norm(apart, axis=1).mean())


def _indicator(labels: np.ndarray, label: int) -> FloatImage:
    image = (labels == label).astype(np.float32)
    _core.gaussian(image, np.ones(3, np.float32), True)
    return image


def _warped(image: FloatImage, field: PlanarVoxelVectors) -> FloatImage:
    out = np.empty_like(image)
    _core.warp_planar(image, field, out)
    return out


def _vectors(field: PlanarVoxelVectors, points: np.ndarray) -> np.ndarray:
    """The field at voxel points, linear, clamped."""
    from scipy.ndimage import map_coordinates

    return np.stack([map_coordinates(c, points.T, order=1, mode="nearest") for c in field], axis=1)


def _preimage(field: PlanarVoxelVectors, points: np.ndarray) -> np.ndarray:
    """Where the map x + field(x) takes its way to ``points``."""
    at = points.copy()
    for _ in range(30):
        at = points - _vectors(field, at)
    return at


def _splat(force: PlanarVoxelVectors, points: np.ndarray, vectors: np.ndarray, reach: float) -> None:
    """Add to ``force`` the vectors' kernel-weighted mean, fading with the distance to the nearest point."""
    radius = int(np.ceil(3 * reach))
    total = np.zeros_like(force)
    weight = np.zeros(force.shape[1:], np.float32)
    for point, vector in zip(points, vectors, strict=True):
        low = [max(0, int(c) - radius) for c in point]
        high = [min(n, int(c) + radius + 1) for c, n in zip(point, weight.shape, strict=True)]
        if any(a >= b for a, b in zip(low, high, strict=True)):
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        axes = [np.exp(-0.5 * ((np.arange(a, b) - c) / reach) ** 2) for a, b, c in zip(low, high, point, strict=True)]
        kernel = np.einsum("i,j,k->ijk", *axes).astype(np.float32)
        weight[box] += kernel
        total[(slice(None), *box)] += kernel * vector.astype(np.float32)[:, None, None, None]
    force += total / np.maximum(weight, 1.0)


def weight_of(mask: Mask | None) -> FloatImage | None:
    """A mask as weights."""
    return None if mask is None else mask.astype(np.float32)
