"""A spine as T1, T2 or three-dimensional T2 images show it: tissues to intensities, thick slices, shading, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from voxbench import _core
from voxbench.geometry import Affine, Grid, LabelMap, Volume
from voxbench.geometry.spine_labels import CANAL_CLASS, DISC, DISC_CLASS, PARTIAL, VERTEBRA_CLASS, classes_of
from voxbench.simulate.fields import smooth_noise
from voxbench.simulate.phantoms.spine import (
    AIR,
    ANNULUS,
    BOWEL,
    CORD,
    CORTEX,
    FAT,
    FLUID,
    MARROW,
    MUSCLE,
    NUCLEUS,
    VESSEL,
)
from voxbench.simulate.slices import slice_weights

Sequence = Literal["t1", "t2", "t2_SPACE"]
INTENSITIES: Mapping[int, tuple[float, float]] = MappingProxyType(
    {
        AIR: (0.01, 0.01),
        MARROW: (0.58, 0.42),
        CORTEX: (0.08, 0.06),
        NUCLEUS: (0.36, 0.70),
        ANNULUS: (0.26, 0.14),
        FLUID: (0.16, 0.97),
        CORD: (0.36, 0.45),
        FAT: (0.95, 0.80),
        MUSCLE: (0.32, 0.20),
        VESSEL: (0.12, 0.08),
        BOWEL: (0.40, 0.45),
    }
)
"""Typical brightness of the phantom's tissues, 1 the brightest: in T1, in T2."""
NUCLEUS_T2 = MappingProxyType({1: 0.95, 2: 0.80, 3: 0.50, 4: 0.28, 5: 0.16})
"""Brightness of a disc's nucleus in T2 by its Pfirrmann grade."""
EDGE = 0.25


@dataclass(frozen=True)
class Look:
    """How a series is made.

    Attributes:
        sequence: Which contrast.
        slice_mm: Thickness of a slice.
        layers: Voxels across a slice before it is made.
        noise: Standard deviation of each channel, the brightest tissue being 1.
        bias: Standard deviation of the logarithm of the shading.
        grades: Pfirrmann's grade of each disc, by its number.
    """

    sequence: Sequence
    slice_mm: float
    layers: int
    noise: float
    bias: float
    grades: Mapping[int, int]


def render_spine(labels: LabelMap, tissues: LabelMap, look: Look, rng: np.random.Generator) -> Volume:
    """An image of a spine; the first array axis runs across the slices and comes out shorter by ``look.layers``.

    Args:
        labels: Numbers as in ``geometry.spine_labels``, thin layers.
        tissues: What everything is made of, on the same grid.
        look: Contrast, slices, noise, shading.
        rng: Source of all randomness: two series of one person differ in every tissue a little.

    Returns:
        float32, about 0 to 1, on `thick_grid`.
    """
    column = 0 if look.sequence == "t1" else 1
    table = np.zeros(256, np.float32)
    for tissue, means in INTENSITIES.items():
        table[tissue] = means[column] * np.exp(0.12 * rng.standard_normal())
    image = table[tissues.array]
    _vary_structures(image, labels.array, tissues.array, look, rng)
    image *= 1 + np.float32(0.05) * rng.standard_normal(image.shape, dtype=np.float32)
    image *= 1 + np.float32(0.06) * smooth_noise(labels.grid, rng, 4.0)
    sigma = np.array([0, 0.4, 0.4], np.float32)
    _core.gaussian(image, sigma, True)
    grid = thick_grid(labels.grid, look.layers)
    if look.layers > 1:
        step = float(labels.grid.spacing[0])
        centres = (np.arange(grid.shape[0]) * look.layers + (look.layers - 1) / 2) * step
        weights = slice_weights(centres, labels.grid.shape[0], step, (look.slice_mm, EDGE))
        image = np.tensordot(weights, image, axes=1)
    image *= np.exp(np.float32(look.bias) * smooth_noise(grid, rng, 70.0))
    real, other = (np.float32(look.noise) * rng.standard_normal(image.shape, dtype=np.float32) for _ in range(2))
    return Volume(np.hypot(image + real, other).astype(np.float32), grid)


def thick_grid(grid: Grid, layers: int) -> Grid:
    """Where slices of some layers lie, along the first axis; layers left over at the end are in no slice."""
    step = Affine.from_parts(np.diag([layers, 1.0, 1.0]), np.array([(layers - 1) / 2, 0, 0]), "voxel", "voxel")
    return Grid((grid.shape[0] // layers, grid.shape[1], grid.shape[2]), grid.world_from_voxel @ step)


def thick_labels(labels: LabelMap, layers: int) -> LabelMap:
    """The labels in the middle of every slice, as a reader draws them."""
    grid = thick_grid(labels.grid, layers)
    return LabelMap(np.ascontiguousarray(labels.array[layers // 2 :: layers][: grid.shape[0]]), grid)


def _vary_structures(
    image: np.ndarray, labels: np.ndarray, tissues: np.ndarray, look: Look, rng: np.random.Generator
) -> None:
    """Every vertebra's marrow a little its own; every disc's nucleus by its grade; in place."""
    scale = np.exp(0.07 * rng.standard_normal(256)).astype(np.float32)
    scale[0] = 1
    scale[PARTIAL + 1 : 2 * PARTIAL] = scale[1:PARTIAL]
    image *= scale[labels]
    if look.sequence == "t1":
        return
    bright = np.zeros(256, np.float32)
    for number, grade in look.grades.items():
        bright[DISC + number] = NUCLEUS_T2[grade] * np.exp(0.08 * rng.standard_normal())
    graded = (tissues == NUCLEUS) & (bright[labels] > 0)
    image[graded] = bright[labels[graded]]


def tissues_of(labels: LabelMap, rng: np.random.Generator) -> LabelMap:
    """Tissues for a label map that says nothing of them: cortex round marrow, nuclei, fluid and cord, patches around.

    What the labels lack is not invented: without a canal there is none.
    """
    import edt

    spacing = tuple(float(s) for s in labels.grid.spacing)
    classes = classes_of(labels.array)
    wide, narrow = smooth_noise(labels.grid, rng, 14.0), smooth_noise(labels.grid, rng, 4.0)
    found = np.select([wide + 0.4 * narrow > 0.7, wide + 0.4 * narrow < -0.5], [BOWEL, MUSCLE], FAT).astype(np.uint8)
    depth = edt.edt(labels.array.astype(np.uint8), anisotropy=spacing)  # to the next other label
    vertebra, disc, canal = (classes == c for c in (VERTEBRA_CLASS, DISC_CLASS, CANAL_CLASS))
    found[vertebra] = np.where(depth[vertebra] > 1.2, MARROW, CORTEX)
    found[disc] = np.where(depth[disc] > 3.0, NUCLEUS, ANNULUS)
    found[canal] = np.where(depth[canal] > 4.0, CORD, FLUID)
    return LabelMap(found, labels.grid)
