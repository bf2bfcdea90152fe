"""What lies around the bones of a knee, made up from their outline: muscle, tendons, fat, skin, air."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.geometry import Affine, Grid, Volume, grid_points, resample
from voxbench.geometry.mesh import Mesh
from voxbench.simulate.fields import smooth_noise
from voxbench.types import AnyArray, Points

COARSEST_MM = 1.0
SLICE_MM = 4.0
SMOOTH_MM = 18.0
SLAB = 16
NOISES = MappingProxyType({"skin": (14.0, 1.0), "fat": (25.0, 1.0), "muscles": (11.0, 4.0), "streaks": (2.5, 1.5)})
"""How smooth (mm), and how much longer along the leg."""


class SoftTissue(Config):
    """Lengths in mm and CT numbers in HU of what surrounds the bones."""

    front_mm: float = Field(default=12.0, gt=4, le=80, description="From the bones forward to the skin, mm.")
    back_mm: float = Field(default=34.0, gt=4, le=120, description="From the bones back to the skin, mm.")
    side_mm: float = Field(default=16.0, gt=4, le=80, description="From the bones sideways to the skin, mm.")
    thigh_mm: float = Field(default=20.0, ge=0, le=100, description="How much more there is 100 mm up, mm.")
    calf_mm: float = Field(
        default=12.0, ge=0, le=100, description="How much more there is 100 mm down, at the back, mm."
    )
    fat_mm: float = Field(default=6.0, gt=0, le=60, description="Mean thickness of the fat under the skin, mm.")
    skin_mm: float = Field(default=1.8, gt=0, le=5, description="Thickness of the skin, mm.")
    spread: float = Field(default=0.2, ge=0, le=0.5, description="Relative spread of all these from knee to knee.")
    muscle_hu: float = Field(default=58.0, description="CT number of muscle.")
    fat_hu: float = Field(default=-100.0, description="CT number of fat.")
    skin_hu: float = Field(default=30.0, description="CT number of skin.")
    tendon_hu: float = Field(default=95.0, description="CT number of tendons.")
    cartilage_hu: float = Field(default=85.0, description="CT number of cartilage and menisci.")
    cartilage_mm: float = Field(default=3.0, ge=0, le=10, description="How far cartilage reaches from a bone, mm.")
    cartilage_reach_mm: float = Field(default=9.0, ge=0, le=30, description="Widest gap that is filled, mm.")
    air_hu: float = Field(default=-1000.0, description="CT number of air.")


@dataclass(frozen=True, eq=False)
class BoneDepth:
    """How deep voxels near a bone lie in it.

    Attributes:
        box: Which part of the grid.
        grid: Of that part.
        depth: mm, negative outside, float32; empty if the bone does not touch the grid.
    """

    box: tuple[slice, slice, slice]
    grid: Grid
    depth: AnyArray

    def within(self, box: tuple[slice, ...]) -> np.ndarray:
        """A view of the depths in a part of the whole grid that lies in this one's."""
        return self.depth[tuple(slice(b.start - a.start, b.stop - a.start) for a, b in zip(self.box, box, strict=True))]


@dataclass(frozen=True, eq=False)
class _Outline:
    """The leg's cross-section at heights ``z``: middle and half axes, mm, each (n,)."""

    z: np.ndarray
    middle: np.ndarray
    half: np.ndarray

    def at(self, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Middle and half axes (..., 2) at any height."""
        columns = [np.interp(height, self.z, column) for column in (*self.middle.T, *self.half.T)]
        return np.stack(columns[:2], axis=-1), np.stack(columns[2:], axis=-1)


def soft_tissue(bones: Mapping[str, Mesh], grid: Grid, rng: np.random.Generator, tissue: SoftTissue) -> Volume:
    """A leg without bones: CT numbers, float32.

    It is painted with voxels of 1 mm at the least and then brought to the grid.

    Args:
        bones: In the world, the leg along z, the person facing y.
        grid: Any orientation.
        rng: Thicknesses and streaks of fat.
        tissue: Lengths and CT numbers.
    """
    step = np.maximum(grid.spacing, COARSEST_MM)
    coarse = grid if np.allclose(step, grid.spacing) else grid.with_spacing(step)
    scale = 1 + tissue.spread * np.clip(rng.standard_normal(5), -2, 2)
    leg = _Leg(bones, tissue, scale, _outline(bones, tissue, scale))
    noises = {name: _noise(coarse, rng, *how) for name, how in NOISES.items()}
    image = np.empty(coarse.shape, np.float32)
    for start in range(0, coarse.shape[0], SLAB):
        part = slice(start, min(start + SLAB, coarse.shape[0]))
        slab = coarse.cropped((part.start, 0, 0), (part.stop, *coarse.shape[1:]))
        image[part] = leg.painted(slab, {name: noise[part] for name, noise in noises.items()})
    painted = Volume(image, coarse)
    return painted if coarse is grid else resample(painted, onto=grid, outside=tissue.air_hu)


@dataclass(frozen=True, eq=False)
class _Leg:
    """What a part of the leg is painted from."""

    bones: Mapping[str, Mesh]
    tissue: SoftTissue
    scale: np.ndarray
    outline: _Outline

    def painted(self, grid: Grid, noise: Mapping[str, np.ndarray]) -> np.ndarray:
        """CT numbers without bones."""
        t, points, pixel = self.tissue, grid_points(grid), float(grid.spacing.mean())
        depth = _skin_depth(points, self.outline) + 0.6 * noise["skin"]
        fat = t.fat_mm * float(self.scale[4]) * (1 + 0.35 * noise["fat"])
        fat = np.clip(fat * _thinner_in_front(points, self.outline), 1.5, None)
        image = np.full(grid.shape, t.air_hu, np.float32)
        _paint(image, _share(depth, pixel), t.skin_hu)
        _paint(image, _share(depth - t.skin_mm, pixel), t.fat_hu)
        septa = np.exp(-np.square(noise["muscles"] / 0.10)) * (0.75 + 0.25 * noise["streaks"])
        lean = 0.95 - 0.8 * np.clip(septa, 0, 1) - 0.12 * np.clip(noise["streaks"], 0, 1)
        _paint(image, _share(depth - t.skin_mm - fat, pixel) * lean, t.muscle_hu)
        under = _share(depth - t.skin_mm, pixel)
        hollow = _popliteal(points, self.bones) * np.clip(0.85 + 0.1 * noise["streaks"], 0, 1)
        _paint(image, under * np.maximum(hollow, _pad(points, self.bones)), t.fat_hu)
        _paint(image, under * _tendons(points, self.bones, pixel), t.tendon_hu)
        image += 5 * noise["streaks"] * (depth > 0)
        return image.astype(np.float32)


def _noise(grid: Grid, rng: np.random.Generator, smooth_mm: float, along: float) -> np.ndarray:
    """Smooth noise, longer along z by a factor, drawn on voxels no finer than it needs."""
    step = np.maximum(grid.spacing, 0.5 * smooth_mm)
    rough = grid.with_spacing(step)
    rough = rough.cropped((-1, -1, -1), (rough.shape[0] + 1, rough.shape[1] + 1, rough.shape[2] + 1))
    squeezed = np.array(rough.world_from_voxel.matrix)
    squeezed[2] /= along
    drawn = smooth_noise(Grid(rough.shape, Affine(squeezed, "world", "voxel")), rng, smooth_mm)
    return resample(Volume(drawn, rough), onto=grid).array


def _outline(bones: Mapping[str, Mesh], tissue: SoftTissue, scale: np.ndarray) -> _Outline:
    """Around the bones' extent at every height, smoothed along the leg."""
    from scipy.ndimage import gaussian_filter1d

    vertices = np.concatenate([mesh.vertices for mesh in bones.values()])
    joint = float(bones["tibia"].vertices[:, 2].max())
    z = np.arange(vertices[:, 2].min(), vertices[:, 2].max() + SLICE_MM, SLICE_MM)
    extents = []
    for height in z:
        near = vertices[np.abs(vertices[:, 2] - height) < 3 * SLICE_MM]
        extents.append(np.concatenate([near[:, :2].min(axis=0), near[:, :2].max(axis=0)]) if len(near) else extents[-1])
    low, high = np.split(gaussian_filter1d(np.array(extents), SMOOTH_MM / SLICE_MM, axis=0, mode="nearest"), 2, axis=1)
    up, down = np.clip((z - joint) / 100, 0, 1.5), np.clip((joint - z) / 100, 0, 1.5)
    thigh, calf = tissue.thigh_mm * scale[3] * up, tissue.calf_mm * scale[3] * down
    side = tissue.side_mm * scale[0] + thigh + 0.6 * calf
    front = tissue.front_mm * scale[1] + 1.2 * thigh
    back = tissue.back_mm * scale[2] * (1 - 0.35 * np.clip(up, 0, 1)) + 0.8 * thigh + calf
    low = low - np.stack([side, back], axis=1)
    high = high + np.stack([side, front], axis=1)
    return _Outline(z, (low + high) / 2, (high - low) / 2)


def _skin_depth(points: Points, outline: _Outline) -> np.ndarray:
    """About how far under the skin, mm; negative in the air. The cross-section is a rounded rectangle."""
    middle, half = outline.at(points[..., 2])
    scaled = np.abs(points[..., :2] - middle) / half
    norm = (scaled**2.5).sum(axis=-1) ** (1 / 2.5)
    return ((1 - norm) * half.min(axis=-1)).astype(np.float32)


def _thinner_in_front(points: Points, outline: _Outline) -> np.ndarray:
    """There is little fat over the patella and the shin."""
    middle, half = outline.at(points[..., 2])
    forward = np.clip((points[..., 1] - middle[..., 1]) / half[..., 1], -1, 1)
    return (1 - 0.55 * np.clip(forward, 0, 1)).astype(np.float32)


def _pad(points: Points, bones: Mapping[str, Mesh]) -> np.ndarray:
    """The fat pad between patella, femur and tibia, 0 to 1."""
    patella, tibia = bones["patella"].vertices, bones["tibia"].vertices
    below = patella[int(np.argmin(patella[:, 2]))]
    top = tibia[tibia[:, 2] > tibia[:, 2].max() - 25]
    edge = top[int(np.argmax(top[:, 1]))]
    centre = np.array([below[0], 0.55 * below[1] + 0.45 * edge[1] - 3, (below[2] + edge[2]) / 2])
    radii = np.array([21.0, 13.0, max(10.0, 0.6 * float(below[2] - edge[2]) + 6)])
    norm = np.sqrt((((points - centre) / radii) ** 2).sum(axis=-1))
    return np.clip((1 - norm) * 5, 0, 1).astype(np.float32)


def _popliteal(points: Points, bones: Mapping[str, Mesh]) -> np.ndarray:
    """The fat of the hollow of the knee, behind the condyles, 0 to 1."""
    femur = bones["femur"].vertices
    end = femur[femur[:, 2] < femur[:, 2].min() + 45]
    back = end[int(np.argmin(end[:, 1]))]
    centre = np.array([float(end[:, 0].mean()), float(back[1]) - 8.0, float(back[2]) + 30.0])
    norm = np.sqrt((((points - centre) / np.array([20.0, 13.0, 55.0])) ** 2).sum(axis=-1))
    return np.clip((1 - norm) * 4, 0, 1).astype(np.float32)


def _tendons(points: Points, bones: Mapping[str, Mesh], pixel: float) -> np.ndarray:
    """Flat bands from the patella up along the thigh and down to the tibia's front, 0 to 1."""
    patella, tibia = bones["patella"].vertices, bones["tibia"].vertices
    top, tip = patella[int(np.argmax(patella[:, 2]))], patella[int(np.argmin(patella[:, 2]))]
    shin = tibia[(tibia[:, 2] < tip[2] - 40) & (tibia[:, 2] > tip[2] - 65)]
    ends = [(top + np.array([0, 2.0, -3]), top + np.array([0, 4.0, 90.0]), (14.0, 3.6))]
    if len(shin):
        ends.append((tip + np.array([0, 2.0, 3]), shin[int(np.argmax(shin[:, 1]))], (12.0, 2.8)))
    share = np.zeros(points.shape[:-1], np.float32)
    for start, end, (wide, thick) in ends:
        axis = end - start
        along = np.clip(((points - start) @ axis) / (axis @ axis), 0, 1)
        away = points - start - along[..., None] * axis
        norm = np.sqrt((away[..., 0] / wide) ** 2 + (away[..., 1] / thick) ** 2 + (away[..., 2] / thick) ** 2)
        share = np.maximum(share, _share((1 - norm) * thick, pixel))
    return share


def _paint(image: np.ndarray, share: np.ndarray, value: float) -> None:
    image += share * (value - image)


def _share(depth: np.ndarray, pixel: float) -> np.ndarray:
    return np.clip(0.5 + depth / pixel, 0, 1).astype(np.float32)
