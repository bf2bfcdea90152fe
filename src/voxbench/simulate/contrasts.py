"""Images of no particular contrast from label maps alone, fast enough to be made anew for every training patch.

Every region gets an intensity at random, structures of one kind vary about it, what is not labelled is filled with
patches of its own; then comes what a scanner does: a slice profile, blur, a bias field, noise, and a gamma of unknown
size. What learns from such images cannot rely on any one contrast.

References:
    B. Billot et al., Medical Image Analysis 86:102789, 2023, doi:10.1016/j.media.2023.102789
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from voxbench import _core
from voxbench.config import Config
from voxbench.geometry.spine_labels import DISC
from voxbench.simulate.slices import slice_weights
from voxbench.types import FloatImage, Labels, Triple

EDGE = 0.3
"""Flanks of the slice profile, in thicknesses."""
_SHELL = 4
"""Code of the outermost layer of vertebrae, after the classes of ``spine_labels``."""


class RandomContrast(Config):
    """How far images may differ; pairs are the least and the most."""

    slice_mm: tuple[float, float] = Field(default=(1.0, 5.5), description="Thickness of the slices, mm.")
    blur_mm: tuple[float, float] = Field(default=(0.2, 1.0), description="Standard deviation in the plane, mm.")
    bias: float = Field(default=0.35, ge=0, le=1, description="Largest standard deviation of the bias field's log.")
    noise: float = Field(default=0.08, ge=0, le=1, description="Largest noise, as a share of the range of intensities.")
    texture: float = Field(default=0.06, ge=0, le=1, description="Largest spread within a region, likewise.")
    gamma: float = Field(default=0.4, ge=0, le=2, description="Standard deviation of the logarithm of gamma.")
    shell: float = Field(default=0.7, ge=0, le=1, description="Probability of vertebrae to have a cortex of their own.")
    patches: float = Field(default=0.8, ge=0, le=1, description="Probability of what is not labelled to be in patches.")


def random_contrast(
    labels: Labels,
    spacing: Triple,
    rng: np.random.Generator,
    regions: Labels | None = None,
    *,
    slice_axis: int | None = None,
    settings: RandomContrast = RandomContrast(),
) -> FloatImage:
    """An image of a label map of a spine in a contrast drawn at random.

    The same generator gives the same image. A patch of 128 x 128 x 64 takes less than a tenth of a second.

    Args:
        labels: Numbers as in ``spine_labels``.
        spacing: mm along the array's axes.
        rng: Source of all randomness.
        regions: What gets an intensity (a phantom's tissues, say); by default vertebrae, their cortex, discs, canal,
            and patches of background.
        slice_axis: The axis across the slices (left to right in sagittal images); None for no slices.
        settings: How far images may differ.

    Returns:
        float32, 0 to 1, of the labels' shape.
    """
    labels = np.ascontiguousarray(labels)
    codes = _codes(labels, rng, settings) if regions is None else np.ascontiguousarray(regions)
    codes = codes.astype(np.uint8, copy=False)
    image = rng.uniform(0, 1, 256).astype(np.float32)[codes]
    image += _of_each(rng)[np.minimum(labels, 255).astype(np.uint8)]
    if rng.random() < settings.patches:
        where = (codes == 0).astype(np.float32) if regions is None else np.float32(0.3)
        _add_patches(image, where, np.asarray(spacing, np.float64), rng)
    spread = (settings.texture * rng.uniform(0, 1, 256)).astype(np.float32)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image += spread[codes] * grain
    image = _blurred(image, np.asarray(spacing, np.float64), slice_axis, rng, settings)
    image *= np.exp(rng.uniform(0, settings.bias) * _smooth(image.shape, np.asarray(spacing, np.float64), 60.0, rng))
    return _noisy(image, grain, rng, settings)


def _codes(labels: np.ndarray, rng: np.random.Generator, settings: RandomContrast) -> np.ndarray:
    """Background 0, vertebra 1, disc 2, canal 3, the outermost layer of vertebrae 4."""
    small = np.minimum(labels, 255).astype(np.uint8)
    table = np.ones(256, np.uint8)
    table[0], table[100], table[DISC + 1 :] = 0, 3, 2
    codes = table[small]
    if rng.random() >= settings.shell:
        return codes
    inner = codes == 1
    rim = np.zeros(inner.shape, bool)
    for axis in range(3):
        one = [slice(None)] * 3
        other = [slice(None)] * 3
        one[axis], other[axis] = slice(1, None), slice(None, -1)
        differ = small[tuple(one)] != small[tuple(other)]
        rim[tuple(one)] |= differ
        rim[tuple(other)] |= differ
    codes[rim & inner] = _SHELL
    return codes


def _of_each(rng: np.random.Generator) -> np.ndarray:
    """By how much each structure differs from its kind; discs most."""
    shift = rng.standard_normal(256).astype(np.float32)
    shift[:DISC] *= np.float32(rng.uniform(0, 0.08))
    shift[DISC:] *= np.float32(rng.uniform(0, 0.2))
    shift[0] = 0
    return shift


def _add_patches(
    image: np.ndarray, where: np.ndarray | np.float32, spacing: np.ndarray, rng: np.random.Generator
) -> None:
    """Regions of other intensities, some large, some small, in place."""
    for smoothness, count in ((float(rng.uniform(12, 40)), 6), (float(rng.uniform(3, 8)), 3)):
        field = _smooth(image.shape, spacing, smoothness, rng)
        np.clip(field * np.float32(count / 3) + np.float32(count / 2), 0, count, out=field)
        shift = rng.uniform(-0.5, 0.5, count + 1).astype(np.float32) * np.float32(1 if smoothness > 8 else 0.5)
        image += shift[field.astype(np.uint8)] * where


def _smooth(shape: tuple[int, ...], spacing: np.ndarray, smoothness: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field of about unit variance: a coarse lattice read linearly."""
    counts = [max(2, int(np.ceil(n * s / smoothness)) + 1) for n, s in zip(shape, spacing, strict=True)]
    field = rng.standard_normal(counts, dtype=np.float32) * np.float32(1.5)
    for axis, (n, count) in enumerate(zip(shape, counts, strict=True)):
        field = _along(field, _linear(count, n), axis)
    return field


def _linear(count: int, n: int) -> np.ndarray:
    """Weights that read n places evenly over a lattice of some points."""
    place = np.linspace(0, count - 1, n)
    return np.clip(1 - np.abs(place[:, None] - np.arange(count)), 0, None).astype(np.float32)


def _along(array: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """A matrix applied along an axis."""
    if axis == 0:
        return (weights @ array.reshape(array.shape[0], -1)).reshape(-1, *array.shape[1:])
    if axis == 1:
        return np.matmul(weights, array)
    return (array.reshape(-1, array.shape[2]) @ weights.T).reshape(*array.shape[:2], -1)


def _blurred(
    image: np.ndarray, spacing: np.ndarray, slice_axis: int | None, rng: np.random.Generator, settings: RandomContrast
) -> np.ndarray:
    """Through slices of some thickness, read back linearly, and blurred in the plane."""
    sigma = rng.uniform(*settings.blur_mm) / spacing
    thickness = float(rng.uniform(*settings.slice_mm))
    start = float(rng.uniform(0, 1))
    if slice_axis is not None:
        n, step = image.shape[slice_axis], float(spacing[slice_axis])
        if thickness > step:
            sigma[slice_axis] = 0
            centres = np.arange(-start * thickness, (n - 1) * step + thickness, thickness)
            slices = slice_weights(centres, n, step, (thickness, EDGE))
            place = (np.arange(n) * step - centres[0]) / thickness
            back = np.clip(1 - np.abs(place[:, None] - np.arange(len(centres))), 0, None).astype(np.float32)
            image = np.ascontiguousarray(_along(image, back @ slices, slice_axis))
    _core.gaussian(image, np.where(sigma < 0.3, 0, sigma).astype(np.float32), True)
    return image


def _noisy(image: np.ndarray, grain: np.ndarray, rng: np.random.Generator, settings: RandomContrast) -> np.ndarray:
    """From 0 to 1, with noise as in a magnitude image, and a gamma.

    Both channels of the noise are the grain of the texture read backwards: drawing it anew would take half the time.
    """
    low, high = np.percentile(image[::3, ::3, ::3], (0.5, 99.5))
    image -= np.float32(low)
    image *= np.float32(1 / max(float(high - low), 1e-6))
    noise = np.float32(rng.uniform(0, settings.noise))
    image += noise * grain[::-1]
    image = np.hypot(image, noise * grain[:, ::-1])
    gamma = np.float32(np.exp(settings.gamma * rng.standard_normal()))
    np.clip(image, 1e-6, 1, out=image)
    return np.power(image, gamma)
