"""Other images that show the same: turned, scaled, mirrored, darker, noisier, coarser."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from voxbench import _core
from voxbench.config import Config
from voxbench.tasks.segmentation.frame import along, places
from voxbench.types import AnyArray, FloatImage, Labels


class Augmentation(Config):
    """How patches are varied. Probabilities are per patch."""

    turn: float = Field(default=0.3, ge=0, le=1, description="Probability of turning and scaling.")
    degrees: float = Field(default=15.0, ge=0, le=180, description="Largest turn about each axis.")
    scale: tuple[float, float] = Field(default=(0.8, 1.25), description="Least and largest scale.")
    mirror: float = Field(default=0.5, ge=0, le=1, description="Probability of mirroring, per axis that allows it.")
    noise: float = Field(default=0.15, ge=0, le=1, description="Probability of noise, of deviation up to 0.3.")
    blur: float = Field(default=0.1, ge=0, le=1, description="Probability of blur, of 0.5 to 1 voxel.")
    contrast: float = Field(default=0.2, ge=0, le=1, description="Probability of 0.7 to 1.4 times the contrast.")
    gamma: float = Field(default=0.3, ge=0, le=1, description="Probability of another gamma, 0.7 to 1.5.")
    coarse: float = Field(default=0.15, ge=0, le=1, description="Probability of voxels up to twice as large.")


NONE = Augmentation(turn=0, mirror=0, noise=0, blur=0, contrast=0, gamma=0, coarse=0)
"""Patches as they are."""


def turning(augmentation: Augmentation, spacing: AnyArray, rng: np.random.Generator) -> AnyArray | None:
    """A random turn and scale as a (3, 3) matrix in voxels; None for neither.

    Where voxels are more than three times as long as wide, only turns in the slice's plane are drawn.
    """
    angles = np.radians(rng.uniform(-augmentation.degrees, augmentation.degrees, 3))
    scale = np.exp(rng.uniform(*np.log(augmentation.scale)))
    if rng.random() >= augmentation.turn:
        return None
    spacing = np.asarray(spacing, np.float64)
    thick = int(spacing.argmax())
    if spacing[thick] > 3 * spacing.min():
        angles[np.arange(3) != thick] = 0
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return np.diag(1 / spacing) @ (matrix / scale) @ np.diag(spacing)


def turned(array: AnyArray, matrix: AnyArray, shape: tuple[int, int, int], nearest: bool) -> AnyArray:
    """An array sampled about its middle through a matrix; what lies outside is not asked for.

    Args:
        array: (i, j, k), large enough.
        matrix: (3, 3), from voxels of the result to voxels of the array.
        shape: Of the result.
        nearest: Nearest voxel for labels; linear otherwise, float32.
    """
    middle = (np.asarray(array.shape) - 1) / 2
    offset = middle - matrix @ ((np.asarray(shape) - 1) / 2)
    full = np.ascontiguousarray(np.column_stack([matrix, offset]))
    if nearest:
        out = np.empty(shape, np.uint8)
        _core.sample_nearest(np.ascontiguousarray(array), shape, full, None, None, np.zeros((), np.uint8), out)
        return out
    return _core.sample(np.ascontiguousarray(array, np.float32), shape, full, None, None, 1, 0.0)


def varied(image: FloatImage, augmentation: Augmentation, rng: np.random.Generator) -> FloatImage:
    """Other grey values: coarser, blurred, of other contrast, noisier."""
    from scipy.ndimage import gaussian_filter

    chances = rng.random(5)
    if chances[0] < augmentation.coarse:
        image = _coarser(image, rng.uniform(1.2, 2.0))
    if chances[1] < augmentation.blur:
        image = gaussian_filter(image, [rng.uniform(0.5, 1.0) if n > 1 else 0 for n in image.shape], mode="nearest")
    if chances[2] < augmentation.contrast:
        mean = image.mean()
        image = (image - mean) * np.float32(rng.uniform(0.7, 1.4)) + mean
    if chances[3] < augmentation.gamma:
        image = _gamma(image, float(np.exp(rng.uniform(np.log(0.7), np.log(1.5)))))
    if chances[4] < augmentation.noise:
        image = image + np.float32(rng.uniform(0, 0.3)) * rng.standard_normal(image.shape, np.float32)
    return image.astype(np.float32, copy=False)


def drawn(
    labels: Labels, spacing: tuple[float, float, float], rng: np.random.Generator, deviation: float = 0.1
) -> FloatImage:
    """An image from labels alone: a random grey for each, with noise whatever the spacing; the plainest rendering.

    B. Billot et al., Medical Image Analysis 86:102789, 2023, doi:10.1016/j.media.2023.102789.
    """
    del spacing
    ids, index = np.unique(labels, return_inverse=True)
    greys = rng.standard_normal(len(ids)).astype(np.float32)
    image = greys[index.reshape(labels.shape)]
    return image + np.float32(deviation) * rng.standard_normal(labels.shape, np.float32)


def _coarser(image: FloatImage, factor: float) -> AnyArray:
    fewer = [max(1, round(n / factor)) for n in image.shape]
    nearest = [np.rint(places(n, m)).astype(int) for n, m in zip(image.shape, fewer, strict=True)]
    small = np.ascontiguousarray(image[np.ix_(*nearest)])
    return along(small, [places(n, m) for n, m in zip(fewer, image.shape, strict=True)])


def _gamma(image: FloatImage, gamma: float) -> AnyArray:
    """Mean and deviation stay."""
    low, width = float(image.min()), float(np.ptp(image))
    if width == 0:
        return image
    mean, deviation = image.mean(), image.std()
    image = ((image - low) / width) ** np.float32(gamma)
    return (image - image.mean()) / max(float(image.std()), 1e-6) * deviation + mean
