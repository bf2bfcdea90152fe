"""The two images on one working grid: cubic voxels, grey values of range one, cropped to where there is something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxbench import _core
from voxbench.errors import EmptyShapeError, GridMismatchError, UsageError
from voxbench.geometry import Affine, Grid, LabelMap, Volume, resample
from voxbench.tasks.registration.deformable import DeformableConfig, Force, ImageForce, Terms
from voxbench.tasks.registration.terms import LabelOverlap, LandmarkPull, LocalCorrelation, SelfSimilarity, weight_of
from voxbench.types import FloatImage, Mask

MARGIN = 8
"""Voxels kept around the content."""
BACKGROUND_SHARE = 0.2
"""From this share of voxels with exactly the border's value on, they are background."""
ISOTROPIC = 0.02
"""Spacings that differ by less than this share count as equal."""


@dataclass(frozen=True, eq=False)
class Extras:
    """What else a registration may use.

    Attributes:
        fixed_mask, moving_mask: Where each image counts, bool on its grid.
        fixed_labels, moving_labels: Structures to bring onto each other; both or neither.
        fixed_landmarks, moving_landmarks: Matching world points, mm, shape (n, 3); both or neither.
    """

    fixed_mask: Mask | None = None
    moving_mask: Mask | None = None
    fixed_labels: LabelMap | None = None
    moving_labels: LabelMap | None = None
    fixed_landmarks: np.ndarray | None = None
    moving_landmarks: np.ndarray | None = None

    def check(self, fixed: Grid, moving: Grid) -> None:
        """Refuse what does not fit the images or has no partner.

        Raises:
            GridMismatchError: A mask or label map lies on another grid than its image.
            UsageError: Labels or landmarks of one side only, or landmark lists of different lengths.
        """
        for name, grid in (("fixed", fixed), ("moving", moving)):
            mask, labels = getattr(self, f"{name}_mask"), getattr(self, f"{name}_labels")
            if mask is not None and mask.shape != grid.shape:
                raise GridMismatchError(f"the {name} mask has shape {mask.shape}, the {name} image {grid.shape}")
            if labels is not None and not labels.grid.same_as(grid):
                raise GridMismatchError(
                    f"{name} labels and {name} image lie on different grids\n"
                    f"  labels  {labels.grid!r}\n  image   {grid!r}"
                )
        if (self.fixed_labels is None) != (self.moving_labels is None):
            raise UsageError("label maps drive a registration in pairs: give those of both images or of neither")
        if (self.fixed_landmarks is None) != (self.moving_landmarks is None):
            raise UsageError("landmarks come in pairs: give those of both images or of neither")
        if self.fixed_landmarks is not None and self.moving_landmarks is not None:
            pair = self.fixed_landmarks.shape, self.moving_landmarks.shape
            if pair[0] != pair[1] or len(pair[0]) != 2 or pair[0][1] != 3:
                raise UsageError(f"landmarks must match one to one, shape (n, 3); got {pair[0]} and {pair[1]}")


@dataclass(frozen=True, eq=False)
class Working:
    """The pair on the working grid.

    Attributes:
        grid: Isotropic, its shape a multiple of the coarsest scale.
        fixed, moving: Grey values of range about one; the moving image through the affine.
        fixed_weight, moving_weight: Where each counts, or None for everywhere.
        labels: Both label maps, or None.
        landmarks: Both point sets in voxels of the grid, or None.
    """

    grid: Grid
    fixed: FloatImage
    moving: FloatImage
    fixed_weight: FloatImage | None = None
    moving_weight: FloatImage | None = None
    labels: tuple[np.ndarray, np.ndarray] | None = None
    landmarks: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def spacing(self) -> float:
        """Edge of a voxel, mm."""
        return float(self.grid.spacing[0])

    def level_terms(self, config: DeformableConfig, scale: int) -> tuple[tuple[int, int, int], Terms]:
        """Shape and forces of one level."""
        fixed, moving = coarser(self.fixed, scale), coarser(self.moving, scale)
        weights = _coarser_weight(self.fixed_weight, scale), _coarser_weight(self.moving_weight, scale)
        image: ImageForce
        if config.metric == "mind":
            image = SelfSimilarity.of((fixed, moving), weights[0])
        else:
            image = LocalCorrelation.of((fixed, moving), weights, config.radius, config.noise)
        return (fixed.shape[0], fixed.shape[1], fixed.shape[2]), (image, *self._guides(config, scale))

    def _guides(self, config: DeformableConfig, scale: int) -> Iterator[Force]:
        """The terms beside the image: label maps and landmarks."""
        if self.labels is not None and config.label_weight:
            half = scale // 2
            a, b = (np.ascontiguousarray(x[half::scale, half::scale, half::scale]) for x in self.labels)
            yield LabelOverlap.of(a, b, config.update_smoothing, config.step * config.label_weight)
        if self.landmarks is not None and config.landmark_weight:
            a, b = ((p + 0.5) / scale - 0.5 for p in self.landmarks)
            yield LandmarkPull(a, b, config.landmark_weight, config.landmark_reach)


def prepare(
    fixed: Volume, moving: Volume, moving_from_fixed: Affine, extras: Extras, settings: tuple[float, int]
) -> Working:
    """Bring both images to the working grid.

    Args:
        fixed: The image that stays.
        moving: The image that goes.
        moving_from_fixed: Affine map of world points found first.
        extras: Masks, labels, landmarks.
        settings: Voxel size of the finest level in mm (0: the cube of the fixed image's voxel volume) and the
            coarsest scale.

    Raises:
        EmptyShapeError: The images do not overlap.
    """
    spacing, coarsest = settings
    grid = _isotropic(fixed.grid, spacing)
    sides = _Side.of(fixed, extras.fixed_mask), _Side.of(moving, extras.moving_mask)
    through = Affine.identity(), moving_from_fixed
    boxes = [side.content_box(grid, t) for side, t in zip(sides, through, strict=True)]
    low = np.maximum(np.minimum(boxes[0][0], boxes[1][0]), 0)
    high = np.minimum(np.maximum(boxes[0][1], boxes[1][1]), grid.shape)
    if (np.maximum(boxes[0][0], boxes[1][0]) >= np.minimum(boxes[0][1], boxes[1][1])).any():
        raise EmptyShapeError(
            f"the images do not overlap\n  fixed   {fixed.grid!r}\n  moving  {moving.grid!r}\n"
            "  check the headers, or let an affine step bring them together (--initial affine)"
        )
    start = np.maximum(low - MARGIN, 0)
    size = np.minimum(high + MARGIN, grid.shape) - start
    size = -(-size // coarsest) * coarsest
    work = grid.cropped(_triple(start), _triple(start + size))
    labels = _labels(extras, work, moving_from_fixed)
    return Working(
        work,
        sides[0].onto(work, through[0]),
        sides[1].onto(work, through[1]),
        sides[0].weight_onto(work, through[0]),
        sides[1].weight_onto(work, through[1]),
        labels,
        _landmarks(extras, work, moving_from_fixed),
    )


def coarser(image: FloatImage, scale: int) -> np.ndarray:
    """Smoothed and sampled at the centres of blocks of ``scale`` voxels; the shape must be a multiple of it."""
    if scale == 1:
        return image
    smooth = image.copy()
    _core.gaussian(smooth, np.full(3, 0.5 * scale, np.float32), True)
    matrix = np.zeros((3, 4))
    matrix[[0, 1, 2], [0, 1, 2]] = scale
    matrix[:, 3] = (scale - 1) / 2
    shape = tuple(n // scale for n in image.shape)
    return _core.sample(smooth, (shape[0], shape[1], shape[2]), matrix, None, None, 1, 0.0)


def _coarser_weight(weight: FloatImage | None, scale: int) -> np.ndarray | None:
    return None if weight is None else coarser(weight, scale)


def _isotropic(grid: Grid, spacing: float) -> Grid:
    """The grid itself if its voxels are cubes of that size, otherwise one of cubes of the same volume."""
    size = spacing or grid.voxel_volume ** (1 / 3)
    if (np.abs(grid.spacing / size - 1) < ISOTROPIC).all():
        return grid
    return grid.with_spacing((size, size, size))


def _triple(values: np.ndarray) -> tuple[int, int, int]:
    return int(values[0]), int(values[1]), int(values[2])


@dataclass(frozen=True, eq=False)
class _Side:
    """One image with what is known of its background."""

    image: Volume
    mask: Mask | None
    background: float | None
    content: tuple[np.ndarray, np.ndarray]  # first voxel, one past the last
    scale: tuple[float, float]  # grey value of 0, width of 1

    @staticmethod
    def of(image: Volume, mask: Mask | None) -> _Side:
        array = image.array
        border = float(array[0, 0, 0])
        share = np.count_nonzero(array == array[0, 0, 0]) / array.size
        background = border if share > BACKGROUND_SHARE else None
        inside = np.ones(array.shape, bool) if background is None else array != array[0, 0, 0]
        low, high = (float(v) for v in np.percentile(array[inside][::17], (0.1, 99.9)))
        if background is not None:
            low = min(low, background) if background <= low else low
        return _Side(image, mask, background, _extent(inside), (low, max(high - low, 1e-12)))

    def content_box(self, grid: Grid, through: Affine) -> tuple[np.ndarray, np.ndarray]:
        """Where the content lies in voxels of ``grid``: first, one past the last."""
        first, stop = self.content
        ends = np.stack(np.meshgrid(*zip(first, stop - 1, strict=True), indexing="ij"), -1).reshape(-1, 3)
        world = through.inverse()(self.image.grid.world_from_voxel(ends.astype(np.float64)))
        voxels = grid.voxel_from_world(world)
        return np.floor(voxels.min(0) + 1e-6).astype(int), np.ceil(voxels.max(0) - 1e-6).astype(int) + 1

    def onto(self, grid: Grid, through: Affine) -> FloatImage:
        """Grey values of range about one on the working grid."""
        low, width = self.scale
        grey = self.image.array.astype(np.float32)
        grey = np.clip((grey - low) / width, -0.5, 1.5)
        outside = 0.0 if self.background is None else float(np.clip((self.background - low) / width, -0.5, 1.5))
        step = float(grid.spacing[0]) / self.image.grid.spacing
        if (step > 1.25).any():
            sigma = 0.5 * np.sqrt(np.maximum(step**2 - 1, 0)).astype(np.float32)
            _core.gaussian(grey, np.minimum(sigma, 18), True)
        sampled = resample(Volume(grey, self.image.grid), grid, through, outside=outside).array
        return np.ascontiguousarray(sampled)

    def weight_onto(self, grid: Grid, through: Affine) -> FloatImage | None:
        """Where the image counts: its mask, and its field of view unless background goes on outside it."""
        mask = self.mask
        if mask is None:
            voxels = self.image.grid.voxel_from_world(through(grid.corners))
            covers = (voxels > -0.5).all() and (voxels < np.asarray(self.image.grid.shape) - 0.5).all()
            if self.background is not None or covers:
                return None
            mask = np.ones(self.image.grid.shape, bool)
        weights = weight_of(mask)
        assert weights is not None
        return np.ascontiguousarray(resample(Volume(weights, self.image.grid), grid, through).array)


def _extent(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First voxel of what is inside along each axis, and one past the last."""
    first, stop = np.zeros(3, int), np.array(inside.shape)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        found = np.flatnonzero(inside.any(axis=others))
        first[axis], stop[axis] = found[0], found[-1] + 1
    return first, stop


def _labels(extras: Extras, grid: Grid, through: Affine) -> tuple[np.ndarray, np.ndarray] | None:
    if extras.fixed_labels is None or extras.moving_labels is None:
        return None
    return resample(extras.fixed_labels, grid).array, resample(extras.moving_labels, grid, through).array


def _landmarks(extras: Extras, grid: Grid, through: Affine) -> tuple[np.ndarray, np.ndarray] | None:
    if extras.fixed_landmarks is None or extras.moving_landmarks is None:
        return None
    voxel = grid.voxel_from_world
    return voxel(extras.fixed_landmarks), voxel(through.inverse()(extras.moving_landmarks))
