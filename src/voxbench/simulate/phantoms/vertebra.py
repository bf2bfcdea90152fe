"""A vertebral body drawn from formulas: trabecular rods and plates in marrow, a cortical shell, soft tissue, air.

Nothing is traced from a person. Struts hang on a jittered lattice of nodes: rods along and across the axis of the
spine, and plates upright between them, more and thicker ones towards the endplates. Every strut has a thickness of its
own, so the truth is known by construction: the bone volume is what the struts occupy, the thickness what they were
drawn with. Lengths of the struts are those of a lumbar vertebra whatever the size of the box; the outline of the body
grows with the box. There is no posterior arch.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.geometry import Grid, LabelMap, Volume, grid_points
from voxbench.simulate.fields import smooth_noise
from voxbench.simulate.phantoms.struts import Lattice, draw, lattice

AIR, TRABECULAR, CORTICAL, SOFT_TISSUE = 0, 1, 2, 3
VERTEBRA_NAMES = MappingProxyType(
    {TRABECULAR: "trabecular region", CORTICAL: "cortical shell", SOFT_TISSUE: "soft tissue"}
)
"""Regions; the trabecular one holds struts and the marrow between them."""
SLAB = 32


class VertebraAnatomy(Config):
    """Lengths and CT numbers of the phantom.

    Defaults are ordinary values of the lumbar spine: struts 0.1 to 0.3 mm thick and 0.6 to 1 mm apart (T. Hildebrand et
    al., J. Bone Miner. Res. 14:1167-1174, 1999, doi:10.1359/jbmr.1999.14.7.1167), a shell of about 0.4 mm (W. T.
    Edwards et al., Bone 18:127-135, 1996).
    """

    node_spacing_mm: float = Field(default=0.85, gt=0.2, description="Distance of the lattice's nodes, mm.")
    jitter: float = Field(default=0.36, ge=0, le=0.45, description="Largest shift of a node, in node spacings.")
    bend_mm: float = Field(default=0.45, ge=0, le=1, description="How far the lattice as a whole is bent, mm.")
    rod_mm: float = Field(default=0.18, gt=0, description="Mean diameter of rods, mm.")
    plate_mm: float = Field(default=0.16, gt=0, description="Mean thickness of plates, mm.")
    thickness_spread: float = Field(default=0.2, ge=0, lt=0.5, description="Relative spread of both.")
    rods_across: float = Field(default=0.7, ge=0, le=1, description="Share of the possible rods across the axis.")
    rods_along: float = Field(default=0.92, ge=0, le=1, description="Share of the possible rods along the axis.")
    plates: float = Field(default=0.38, ge=0, le=1, description="Share of the possible upright plates.")
    gradient: float = Field(default=0.35, ge=0, lt=1, description="How much denser the ends are than the middle.")
    shell_mm: float = Field(default=0.4, gt=0, description="Mean thickness of the cortical shell, mm.")
    bone_hu: float = Field(default=1500.0, description="CT number of struts.")
    cortex_hu: float = Field(default=1700.0, description="CT number of the shell.")
    marrow_hu: float = Field(default=-30.0, description="CT number of marrow, half of it fat.")
    soft_tissue_hu: float = Field(default=50.0, description="CT number of soft tissue.")
    air_hu: float = Field(default=-1000.0, description="CT number of air.")


@dataclass(frozen=True)
class BoneTruth:
    """What is known of the trabecular region by construction.

    Attributes:
        bone_volume_fraction: Volume of the struts over the volume of the region (BV/TV).
        strut_thickness: Mean over the volume of the struts of the thickness each was drawn with, mm. Where struts
            join, the largest sphere that fits is larger: trabecular thickness by spheres lies a little above it.
        strut_thickness_spread: Standard deviation of the same, mm.
        shell_thickness: Mean thickness of the cortical shell, mm.
        region_mm3: Volume of the trabecular region, mm^3.
    """

    bone_volume_fraction: float
    strut_thickness: float
    strut_thickness_spread: float
    shell_thickness: float
    region_mm3: float


@dataclass(frozen=True, eq=False)
class Vertebra:
    """The phantom.

    Attributes:
        ct: CT numbers without noise or blur beyond the share each voxel has in a tissue, float32.
        bone: Share of every voxel that is bone, struts and shell, 0 to 1, float32.
        regions: Which of ``VERTEBRA_NAMES`` a voxel's centre lies in.
        truth: What is known of it.
    """

    ct: Volume
    bone: Volume
    regions: LabelMap
    truth: BoneTruth


def vertebra_phantom(grid: Grid, seed: int = 0, anatomy: VertebraAnatomy = VertebraAnatomy()) -> Vertebra:
    """A vertebral body in the middle of a grid, the axis of the spine along the world's z.

    Args:
        grid: Where it is drawn, at most 0.15 mm between voxels for struts of the default thickness to be seen.
        seed: Which vertebra.
        anatomy: Lengths and CT numbers.
    """
    rng = np.random.default_rng([seed, 0x5B1E])
    nodes = _bent(lattice(grid, anatomy.node_spacing_mm, anatomy.jitter, rng), grid, anatomy.bend_mm, rng)
    drawn = draw(grid, _struts(nodes, grid, anatomy, rng), rng)
    wobble = smooth_noise(grid, rng, 3.0)
    depth, outer = _depth(grid, wobble)
    pixel = float(grid.spacing.mean())
    shell = anatomy.shell_mm * (1 + 0.15 * wobble)
    body, inner, tissue = (_share(d, pixel) for d in (depth, depth - shell, outer))
    strut = _share(-drawn.distance, pixel) * inner
    ct = anatomy.air_hu + tissue * (anatomy.soft_tissue_hu - anatomy.air_hu)
    ct += body * (anatomy.cortex_hu - anatomy.soft_tissue_hu)
    ct += inner * (anatomy.marrow_hu - anatomy.cortex_hu)
    ct += strut * (anatomy.bone_hu - anatomy.marrow_hu)
    regions = np.select([depth > shell, depth > 0, outer > 0], [TRABECULAR, CORTICAL, SOFT_TISSUE], AIR)
    bone = Volume((body - inner + strut).astype(np.float32), grid)
    labels = LabelMap(regions.astype(np.uint8), grid, dict(VERTEBRA_NAMES))
    truth = _truth(strut, inner, drawn.thickness, float(shell[regions == CORTICAL].mean() if body.any() else 0), grid)
    return Vertebra(Volume(ct.astype(np.float32), grid), bone, labels, truth)


def _truth(strut: np.ndarray, inner: np.ndarray, thickness: np.ndarray, shell: float, grid: Grid) -> BoneTruth:
    volume, region = float(strut.sum(dtype=np.float64)), float(inner.sum(dtype=np.float64))
    mean = float((strut * thickness).sum(dtype=np.float64)) / max(volume, 1e-9)
    square = float((strut * np.square(thickness - mean)).sum(dtype=np.float64)) / max(volume, 1e-9)
    return BoneTruth(volume / max(region, 1e-9), mean, square**0.5, shell, region * grid.voxel_volume)


def _bent(nodes: Lattice, grid: Grid, amount_mm: float, rng: np.random.Generator) -> Lattice:
    """The nodes carried along by a smooth random field, so that no row of struts stays straight."""
    if amount_mm == 0:
        return nodes
    shape, step = nodes.points.shape[:3], nodes.spacing_mm
    coarse = Grid.from_parts((shape[0], shape[1], shape[2]), (step, step, step), grid.centre)
    shift = [amount_mm * smooth_noise(coarse, rng, 1.6) for _ in range(3)]
    return Lattice(nodes.points + np.stack(shift, axis=-1), nodes.sizes, step)


def _struts(nodes: Lattice, grid: Grid, anatomy: VertebraAnatomy, rng: np.random.Generator) -> Lattice:
    """Which rods and plates there are, and how thick: more and thicker towards both ends of the body."""
    half = 0.5 * abs(float(np.ptp(grid.corners[:, 2])))
    height = np.abs(nodes.points[..., 2] - grid.centre[2]) / max(half, 1e-9)
    dense = 1 + anatomy.gradient * (np.clip(height, 0, 1) ** 2 - 1 / 3)
    shares = (anatomy.rods_across, anatomy.rods_across, anatomy.rods_along, anatomy.plates, anatomy.plates)
    means = (anatomy.rod_mm * 0.9, anatomy.rod_mm * 0.9, anatomy.rod_mm * 1.15, anatomy.plate_mm, anatomy.plate_mm)
    there = [rng.random(dense.shape) < share * dense for share in shares]
    spread = [1 + anatomy.thickness_spread * np.clip(rng.standard_normal(dense.shape), -2, 2) for _ in shares]
    sizes = [mean * wide * dense**0.5 for mean, wide in zip(means, spread, strict=True)]
    return Lattice(nodes.points, np.where(there, sizes, 0.0), nodes.spacing_mm)


def _share(depth: np.ndarray, pixel: float) -> np.ndarray:
    """The share of a voxel that lies inside a surface whose depth at its centre is known."""
    return np.clip(0.5 + depth / pixel, 0, 1).astype(np.float32)


def _depth(grid: Grid, wobble: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth below the surface of the body, and below the skin, mm; negative outside."""
    low, high = grid.corners.min(axis=0), grid.corners.max(axis=0)
    half = np.maximum((high - low) / 2, 1e-6)
    depth, outer = np.empty(grid.shape, np.float32), np.empty(grid.shape, np.float32)
    for i in range(0, grid.shape[0], SLAB):
        part = slice(i, min(i + SLAB, grid.shape[0]))
        slab = grid.cropped((part.start, 0, 0), (part.stop, *grid.shape[1:]))
        x, y, z = np.moveaxis(grid_points(slab) - grid.centre, -1, 0)
        depth[part] = _body(x, y, z, half) + 0.012 * half[:2].min() * wobble[part]
        outer[part] = (0.96 - np.hypot(x / half[0], y / half[1])) * half[:2].min()
    return depth, outer


def _body(x: np.ndarray, y: np.ndarray, z: np.ndarray, half: np.ndarray) -> np.ndarray:
    """A drum with a waist, hollow endplates, and a hollow at the back where the spinal canal runs."""
    along = z / (0.84 * half[2])
    waist = 1 - 0.10 * np.clip(1 - along**2, 0, None)
    a, b = 0.80 * half[0] * waist, 0.66 * half[1] * waist
    radius = (np.abs(x / a) ** 2.4 + np.abs(y / b) ** 2.4) ** (1 / 2.4)
    side = (1 - radius) * np.minimum(a, b)
    end = 0.84 * half[2] * (1 - 0.10 * np.clip(1 - radius**2, 0, None)) - np.abs(z)
    canal = 0.34 * (np.hypot(x / 0.42, (y + 0.86 * half[1]) / 0.34) - half[1])
    round_ = 0.10 * half.min()
    return _rounded(_rounded(side, end, round_), canal, round_)


def _rounded(one: np.ndarray, other: np.ndarray, radius: float) -> np.ndarray:
    """The smaller of two depths, the edge where they meet rounded off."""
    blend = np.clip(radius - np.abs(one - other), 0, None)
    return np.minimum(one, other) - blend**2 / (4 * radius)
