"""A CT of a knee, painted from the surfaces of its bones.

Bones have a cortical shell (thin at the joint, thick along the shaft), spongiosa with a texture that runs along the leg
and thins out towards the shaft, and fatty marrow in the shaft. Around them lie cartilage and menisci in the joint, the
quadriceps and patellar tendons, the fat pad behind the patella, muscles with fat between them, the fat of the hollow of
the knee, subcutaneous fat and skin, all made up from the bones' outline. A voxel that a surface crosses has a share of
both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydantic import Field

from voxbench import _core
from voxbench.config import Config
from voxbench.geometry import Affine, Grid, LabelMap, Volume, grid_points, voxelise
from voxbench.geometry.mesh import Mesh
from voxbench.simulate.fields import smooth_noise
from voxbench.simulate.phantoms.knee_tissue import BoneDepth, SoftTissue, soft_tissue

KNEE_LABELS = MappingProxyType({1: "patella", 2: "femur", 3: "fibula", 4: "tibia"})
"""The order of SSR-KD's sub_0 to sub_3, from 1."""
NEAR_VOXELS = 2.0
MARGIN_MM = 8.0
TEXTURE_MM = 0.8
"""Standard deviation of the texture's grain across the leg; along it 2.2 times as much."""


class BoneTissue(Config):
    """What bones are made of: lengths in mm, CT numbers in HU."""

    cortex_end_mm: float = Field(default=0.9, gt=0, le=10, description="Cortical shell near the joint, mm.")
    cortex_shaft_mm: float = Field(default=4.2, gt=0, le=10, description="Cortical shell of a thick shaft, mm.")
    cortex_hu: float = Field(default=1350.0, description="CT number of dense cortical bone.")
    shell_hu: float = Field(default=800.0, description="CT number of the thin shell near the joint.")
    spongiosa_hu: float = Field(default=230.0, description="Mean CT number of spongiosa at the joint.")
    texture_hu: float = Field(default=65.0, ge=0, description="Spread of the spongiosa's texture.")
    marrow_hu: float = Field(default=-60.0, description="CT number of fatty marrow.")
    shaft_from_mm: float = Field(default=25.0, ge=0, description="Distance from the joint where a shaft begins.")
    shaft_at_mm: float = Field(default=110.0, gt=0, description="Distance from the joint where it is all shaft.")


@dataclass(frozen=True, eq=False)
class KneePhantom:
    """The CT and its truth.

    Attributes:
        ct: CT numbers without noise or blur beyond the share each voxel has in a tissue, float32.
        labels: Which bone a voxel's centre lies in (`KNEE_LABELS`), uint8.
    """

    ct: Volume
    labels: LabelMap


def knee_phantom(
    bones: Mapping[str, Mesh],
    grid: Grid,
    rng: np.random.Generator,
    tissue: tuple[BoneTissue, SoftTissue] = (BoneTissue(), SoftTissue()),
) -> KneePhantom:
    """Paint a knee.

    Args:
        bones: Closed surfaces of patella, femur, fibula and tibia that do not meet, in the world, the leg along z, the
            person facing y. They may reach beyond the grid.
        grid: Where it is painted, in any orientation.
        rng: Texture of spongiosa, streaks of fat, thickness of what surrounds the bones.
        tissue: What bones and what surrounds them are made of.
    """
    inner, outer = tissue
    parts = {bone: bone_depth(bones[bone], grid) for bone in KNEE_LABELS.values()}
    image = np.array(soft_tissue(bones, grid, rng, outer).array)
    _fill_joint(image, parts, grid, outer)
    labels = np.zeros(grid.shape, np.uint8)
    joint = _joint_height(bones)
    for label, bone in KNEE_LABELS.items():
        part = parts[bone]
        if part.depth.size == 0:
            continue
        share = _share(part.depth, grid)
        hu = _inside(part, bones[bone], joint, rng, inner)
        place = image[part.box]
        place += share * (hu - place)
        labels[part.box][part.depth > 0] = label
    return KneePhantom(Volume(image, grid), LabelMap(labels, grid, dict(KNEE_LABELS)))


def bone_depth(mesh: Mesh, grid: Grid) -> BoneDepth:
    """How deep the voxels near a bone lie in it.

    Exact within two voxels of the surface, else to about half a voxel; inside or outside is that of `voxelise`.

    Args:
        mesh: Closed; what lies beyond the grid is left out.
        grid: Any orientation.
    """
    import edt

    voxels = grid.voxel_from_world(mesh.vertices)
    margin = MARGIN_MM / grid.spacing
    low = np.clip(np.floor(voxels.min(axis=0) - margin), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(voxels.max(axis=0) + margin) + 1, low, grid.shape).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    if (high <= low).any():
        empty = np.zeros((0, 0, 0), np.float32)
        return BoneDepth((box[0], box[1], box[2]), grid, empty)
    start, stop = tuple(low.tolist()), tuple(high.tolist())
    local = grid.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    inside = np.ascontiguousarray(voxelise(mesh, local))
    spacing = tuple(float(s) for s in grid.spacing)
    half = float(grid.spacing.mean()) / 2
    depth = np.full(local.shape, -2 * MARGIN_MM, np.float32)
    if inside.any():
        deep = edt.edt(inside, anisotropy=spacing, black_border=False, parallel=1) - half
        out = edt.edt(~inside, anisotropy=spacing, black_border=False, parallel=1) - half
        depth = np.where(inside, deep, -out).astype(np.float32)
        near = np.flatnonzero(np.abs(depth).ravel() < NEAR_VOXELS * float(grid.spacing.max()))
        at = np.stack(np.unravel_index(near, local.shape), axis=1).astype(np.float64)
        places = np.ascontiguousarray(local.world_from_voxel(at))
        exact = _core.surface_distances(places, mesh.vertices, mesh.faces)
        depth.ravel()[near] = np.where(inside.ravel()[near], exact, -exact)
    return BoneDepth((box[0], box[1], box[2]), local, depth)


def _inside(part: BoneDepth, mesh: Mesh, joint: float, rng: np.random.Generator, tissue: BoneTissue) -> np.ndarray:
    """CT numbers within a bone: shell, spongiosa, marrow."""
    local, depth = part.grid, part.depth
    height = np.abs(grid_points(local)[..., 2] - joint).astype(np.float32)
    along = _eased((height - tissue.shaft_from_mm) / (tissue.shaft_at_mm - tissue.shaft_from_mm))
    size = _radius(mesh)
    thick = min(tissue.cortex_shaft_mm, 0.42 * size)
    shell = tissue.cortex_end_mm + along * (thick - tissue.cortex_end_mm)
    shell *= 1 + 0.12 * smooth_noise(local, rng, 6.0)
    squeezed = np.array(local.world_from_voxel.matrix)
    squeezed[2] *= 0.45  # the texture is drawn where z is shorter, so that it runs along the leg
    fine = max(TEXTURE_MM, 0.4 * float(local.spacing.mean()))
    texture = smooth_noise(Grid(local.shape, Affine(squeezed, "world", "voxel")), rng, fine)
    texture = 0.8 * texture + 0.6 * smooth_noise(local, rng, 3.5)
    spongy = (1 - _eased((height - 12) / 60)) * (0.75 + 0.25 * np.exp(-np.clip(depth, 0, None) / 5))
    dense = np.exp(-np.clip(depth - shell, 0, None) / 3.0) * 0.35 + 1.0  # denser under the surface
    core = tissue.marrow_hu + spongy * dense * (tissue.spongiosa_hu - tissue.marrow_hu)
    core += np.sqrt(spongy) * tissue.texture_hu * texture
    hard = tissue.shell_hu + along * (tissue.cortex_hu - tissue.shell_hu) + 40 * texture
    inner = _share(depth - shell, local)
    return (hard + inner * (core - hard)).astype(np.float32)


def _fill_joint(image: np.ndarray, parts: Mapping[str, BoneDepth], grid: Grid, tissue: SoftTissue) -> None:
    """Cartilage and menisci: what is near both of two bones that move on each other."""
    for one, other in (("femur", "tibia"), ("femur", "patella")):
        box = tuple(
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(parts[one].box, parts[other].box, strict=True)
        )
        if any(part.stop <= part.start for part in box):
            continue
        first, second = parts[one].within(box), parts[other].within(box)
        reach = -(first + second)  # small only between the two
        share = np.clip((tissue.cartilage_reach_mm - reach) / float(grid.spacing.mean()), 0, 1)
        share *= (np.minimum(-first, -second) < tissue.cartilage_mm).astype(np.float32)
        image[box] += share * (tissue.cartilage_hu - image[box])


def _joint_height(bones: Mapping[str, Mesh]) -> float:
    """World z of the joint: half way between the femur's lowest and the tibia's highest vertex."""
    return float(bones["femur"].vertices[:, 2].min() + bones["tibia"].vertices[:, 2].max()) / 2


def _radius(mesh: Mesh) -> float:
    """Radius of a shaft of the bone's volume per length, mm."""
    low, high = mesh.bounds
    return float(np.sqrt(abs(mesh.volume) / np.pi / max(float((high - low).max()), 1e-9)))


def _share(depth: np.ndarray, grid: Grid) -> np.ndarray:
    """The share of a voxel that lies inside a surface whose depth at its centre is known."""
    return np.clip(0.5 + depth / float(grid.spacing.mean()), 0, 1).astype(np.float32)


def _eased(along: np.ndarray) -> np.ndarray:
    """From 0 to 1 without corners."""
    t = np.clip(along, 0, 1)
    return t * t * (3 - 2 * t)
