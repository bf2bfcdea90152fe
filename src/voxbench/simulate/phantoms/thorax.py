"""A chest drawn from formulas: what surrounds the lymph nodes of the mediastinum, as contrast CT shows it.

Nothing is traced from a person. The world's origin is the carina, x grows to the patient's right, y to the front, z up.
Tubes run along smooth curves through hand-placed points; solids are given by the depth below their surface, so that
each voxel knows its share in every tissue. Shoulders, breasts, single muscles and the abdomen's organs are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.simulate.phantoms.tubes import Tube, curve

AIR, SKIN_FAT, MUSCLE, FAT, LUNG, HEART, AORTA, VEIN, PULMONARY, AIRWAY, OESOPHAGUS, BONE, ABDOMEN, WALL = range(14)
THORAX_NAMES = MappingProxyType(
    {
        SKIN_FAT: "subcutaneous fat", MUSCLE: "muscle", FAT: "mediastinal fat", LUNG: "lung", HEART: "heart",
        AORTA: "aorta and its branches", VEIN: "veins", PULMONARY: "pulmonary arteries", AIRWAY: "airway",
        OESOPHAGUS: "oesophagus", BONE: "bone", ABDOMEN: "abdomen", WALL: "wall of the airway",
    }
)  # fmt: skip
Depth = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
SLEEVE_MM = 4.0
STEP_MM = 1.25
"""A slice is the mean of layers at most this far apart."""


class ThoraxAnatomy(Config):
    """CT numbers and how much people differ."""

    variation: float = Field(default=1.0, ge=0, le=2, description="How much people differ in size and course; 0: not.")
    arteries_hu: tuple[float, float] = Field(default=(120.0, 240.0), description="Range of contrast in arteries, HU.")
    veins_hu: tuple[float, float] = Field(default=(90.0, 190.0), description="Range of contrast in veins, HU.")
    fat_hu: float = Field(default=-98.0, description="Fat, HU.")
    muscle_hu: float = Field(default=55.0, description="Muscle, HU.")
    lung_hu: tuple[float, float] = Field(default=(-880.0, -780.0), description="Range of the lungs' mean, HU.")


@dataclass(frozen=True, eq=False)
class Thorax:
    """The phantom.

    Attributes:
        ct: CT numbers without noise, float32.
        tissues: Which of ``THORAX_NAMES`` lies at a voxel's centre.
    """

    ct: Volume
    tissues: LabelMap


def thorax_phantom(grid: Grid, seed: int = 0, anatomy: ThoraxAnatomy = ThoraxAnatomy()) -> Thorax:
    """A chest in the box of a grid; the carina lies at the world's origin.

    Args:
        grid: Where it is drawn; voxel axes along the world's, slices along the third.
        seed: Which person.
        anatomy: CT numbers, variation.

    Raises:
        InputError: The grid is turned.
    """
    if not np.allclose(np.abs(grid.direction), np.eye(3), atol=1e-6):
        raise InputError(f"a thorax is drawn on voxels along the world's axes, slices across z; not on {grid!r}")
    rng = np.random.default_rng([seed, 0x7402])
    person = _person(rng, anatomy)
    x = grid.world_from_voxel(np.stack([np.arange(grid.shape[0]), *np.zeros((2, grid.shape[0]))], 1))[:, 0, None]
    y = grid.world_from_voxel(np.stack([np.zeros(n := grid.shape[1]), np.arange(n), np.zeros(n)], 1))[None, :, 1]
    z = grid.world_from_voxel(np.stack([*np.zeros((2, n := grid.shape[2])), np.arange(n)], 1))[:, 2]
    layers = max(1, int(np.ceil(grid.spacing[2] / STEP_MM)))
    offsets = ((np.arange(layers) + 0.5) / layers - 0.5) * grid.spacing[2]
    ct, tissues = np.empty(grid.shape, np.float32), np.empty(grid.shape, np.uint8)
    middle = layers // 2
    for k, height in enumerate(z):
        drawn = [person.layer(x, y, float(height + offset), float(grid.spacing[:2].mean())) for offset in offsets]
        ct[:, :, k] = np.mean([layer for layer, _ in drawn], axis=0)
        tissues[:, :, k] = drawn[middle][1]
    return Thorax(Volume(ct, grid), LabelMap(tissues, grid, dict(THORAX_NAMES)))


@dataclass(frozen=True)
class _Part:
    """One thing that is painted over what came before."""

    depth: Depth
    hu: float
    tissue: int


@dataclass(frozen=True)
class _Person:
    """All parts, in the order they are painted, and how this person's space is bent."""

    parts: tuple[_Part, ...]
    scale: float
    bend: np.ndarray

    def layer(self, x: np.ndarray, y: np.ndarray, z: float, pixel: float) -> tuple[np.ndarray, np.ndarray]:
        """CT numbers and tissues in one plane."""
        waves = self.bend[:, :2] @ np.array([np.sin(z / 45), np.cos(z / 60)])
        px, py = x / self.scale + waves[0], y / self.scale + waves[1]
        ct = np.full((x.shape[0], y.shape[1]), -1000.0, np.float32)
        tissue = np.zeros(ct.shape, np.uint8)
        for part in self.parts:
            depth = part.depth(px, py, z / self.scale)
            if depth.size == 0:
                continue
            share = np.clip(0.5 + depth * self.scale / pixel, 0, 1)
            ct += share * (part.hu - ct)
            tissue[depth > 0] = part.tissue
        return ct, tissue


def _person(rng: np.random.Generator, anatomy: ThoraxAnatomy) -> _Person:
    vary = anatomy.variation
    jitter = rng.normal(0, 2.0 * vary, (len(COURSES), 3))
    wide = 1 + 0.08 * vary * np.clip(rng.standard_normal(len(COURSES)), -2, 2)
    artery, vein = rng.uniform(*anatomy.arteries_hu), rng.uniform(*anatomy.veins_hu)
    lungs = rng.uniform(*anatomy.lung_hu)
    levels = {AORTA: artery, VEIN: vein, PULMONARY: (artery + vein) / 2, OESOPHAGUS: 40.0, WALL: 35.0, AIRWAY: -990.0}
    tubes = [
        (tissue, curve(np.array(points, float) + np.append(shift, 0.0), float(width)))
        for (tissue, points), shift, width in zip(COURSES, jitter, wide, strict=True)
    ]
    heart = (1 + 0.08 * vary * np.clip(rng.standard_normal(), -2, 2)) * np.array([58.0, 47.0, 54.0])
    parts = [
        _Part(_body(0.0), anatomy.fat_hu - 7, SKIN_FAT),
        _Part(_body(14.0), anatomy.muscle_hu, MUSCLE),
        _Part(_cavity(0.0), anatomy.fat_hu, FAT),
        _Part(_lungs, lungs, LUNG),
        *(_Part(branch.depth, 45.0, LUNG) for branch in _branches(rng)),
        _Part(_ellipsoid((-20.0, 22.0, -70.0), heart + 6), anatomy.fat_hu, FAT),
        *(_Part(tube.wider(SLEEVE_MM), anatomy.fat_hu, FAT) for tissue, tube in tubes if tissue != AIRWAY),
        _Part(_abdomen, 70.0, ABDOMEN),
        _Part(_ellipsoid((-20.0, 22.0, -70.0), heart), (artery + vein) / 2 - 15, HEART),
        *(_Part(tube.wider(2.0), levels[WALL], WALL) for tissue, tube in tubes if tissue == AIRWAY),
        *(_Part(tube.depth, levels[tissue], tissue) for tissue, tube in tubes),
        *(_Part(depth, hu, BONE) for depth, hu in _bones()),
    ]
    return _Person(tuple(parts), 1 + 0.05 * vary * float(np.clip(rng.standard_normal(), -2, 2)), _bend(rng, vary))


def _bend(rng: np.random.Generator, vary: float) -> np.ndarray:
    return vary * rng.normal(0, 1.5, (2, 2))


COURSES = (
    (
        AORTA,
        ((-8, 18, -45, 15), (6, 26, -10, 15), (9, 24, 18, 15), (3, 8, 42, 14), (-12, -14, 46, 13), (-22, -36, 34, 13),
         (-25, -47, 5, 12), (-22, -50, -60, 12), (-14, -52, -150, 11)),
    ),
    (AORTA, ((4, 10, 50, 6), (12, 6, 75, 6), (24, 2, 120, 5))),
    (AORTA, ((-6, -2, 52, 4), (-12, -4, 80, 4), (-16, -4, 120, 3.5))),
    (AORTA, ((-15, -14, 50, 5), (-24, -18, 80, 5), (-34, -18, 120, 4.5))),
    (VEIN, ((25, 10, -45, 10), (25, 14, 0, 9), (26, 19, 55, 8), (34, 12, 90, 7), (40, 8, 120, 7))),
    (VEIN, ((26, 20, 55, 7), (2, 30, 60, 7), (-26, 22, 78, 6), (-40, 10, 120, 6))),
    (VEIN, ((8, -50, -150, 4), (8, -50, 10, 4), (18, -34, 24, 4), (25, 6, 20, 4.5))),
    (VEIN, ((-10, -4, -28, 7), (20, -6, -26, 6), (50, -8, -30, 5))),
    (VEIN, ((-14, -4, -26, 7), (-32, -8, -20, 6), (-54, -12, -22, 5))),
    (PULMONARY, ((-20, 42, -45, 14), (-24, 30, -8, 14), (-18, 10, 6, 13))),
    (PULMONARY, ((-18, 10, 5, 12), (10, 4, 0, 11), (46, -4, -8, 7))),
    (PULMONARY, ((-18, 10, 6, 12), (-34, -8, 10, 10), (-54, -18, 2, 7))),
    (OESOPHAGUS, ((-1, -27, 130, 6), (-4, -32, 0, 7), (-12, -36, -70, 7), (-22, -28, -150, 8))),
    (AIRWAY, ((2, -8, 140, 8), (2, -10, 60, 8), (0, -13, 2, 8.5))),
    (AIRWAY, ((0, -13, 2, 8), (24, -16, -16, 6.5), (52, -20, -30, 4.5))),
    (AIRWAY, ((0, -13, 2, 7.5), (-28, -18, -16, 5.5), (-54, -24, -22, 4))),
)  # fmt: skip
"""Where tubes run: x, y, z and radius in mm; a vessel is taken to be round."""


def _branches(rng: np.random.Generator) -> list[Tube]:
    """Vessels of the lungs: from each hilum outwards."""
    made = []
    for side, hilum in ((1, (50.0, -8.0, -12.0)), (-1, (-52.0, -14.0, -6.0))):
        for _ in range(16):
            way = rng.normal(size=3) * (0.5, 0.8, 1.0) + (0.9 * side, 0.1, 0.0)
            way /= np.linalg.norm(way)
            bent = np.cross(way, rng.normal(size=3))
            reach = rng.uniform(45, 75)
            points = [np.array(hilum) + t * reach * way + 10 * t**2 * bent for t in (0.0, 0.5, 1.0)]
            made.append(curve(np.array([[*p, r] for p, r in zip(points, (4.0, 2.4, 1.0), strict=True)]), 1.0))
    return made


def _body(within: float) -> Depth:
    def depth(x: np.ndarray, y: np.ndarray, _z: float) -> np.ndarray:
        return 118 * (1 - _superellipse(x / 172, (y + 6) / 118, 2.5)) - within

    return depth


def _cavity(within: float) -> Depth:
    """What the ribs enclose; it narrows towards the neck."""

    def depth(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        narrow = 1 - 0.55 * np.clip((z - 30) / 110, 0, 1) ** 2
        return 86 * narrow * (1 - _superellipse(x / (134 * narrow), (y + 4) / (86 * narrow), 2.3)) - within

    return depth


def _lungs(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
    border = 9 + 34 * np.exp(-(((y - 4) / 42) ** 2))
    return np.minimum(_cavity(3.0)(x, y, z), np.minimum(np.abs(x) - border, 118 - z + 0 * x))


def _abdomen(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
    """Below the diaphragm's two domes."""
    dome = -112 + 28 * np.exp(-((x - 68) ** 2 + y**2) / 4200) + 20 * np.exp(-((x + 68) ** 2 + y**2) / 4200)
    return np.minimum(dome - z, _cavity(1.0)(x, y, z))


def _ellipsoid(centre: tuple[float, float, float], semi: np.ndarray) -> Depth:
    def depth(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        radius = np.sqrt(
            ((x - centre[0]) / semi[0]) ** 2 + ((y - centre[1]) / semi[1]) ** 2 + ((z - centre[2]) / semi[2]) ** 2
        )
        return float(semi.min()) * (1 - radius)

    return depth


def _bones() -> list[tuple[Depth, float]]:
    def column(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        disc = abs((z / 25 + 0.5) % 1 - 0.5) * 25 - 2.2
        return np.minimum(15 * (1 - _superellipse(x / 18, (y + 73) / 15, 2.6)), disc)

    def marrow(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        return column(x, y, z) - 1.8

    def arch(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        ring = 4.0 - np.abs(np.hypot(x / 1.15, y + 96) - 12)
        spine = np.minimum(3.5 - np.abs(x), 13 - np.abs(y + 118))
        return np.maximum(ring, np.minimum(spine, 8 - abs((z / 25 + 0.5) % 1 - 0.5) * 25 + 0 * x))

    def ribs(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        out = _cavity(0.0)(x, y, z) + 6
        along = ((z + 0.4 * (y + 80)) / 27 + 0.5) % 1 - 0.5
        return np.minimum(4 * (1 - np.hypot(out / 4, along * 27 / 7)), np.abs(x) - 18 + 40 * (y < 0))

    def sternum(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        thick = 6 - np.abs(_cavity(0.0)(x, y, z) + 8)
        return np.minimum(np.minimum(thick, 17 - np.abs(x)), np.minimum(y - 20, 70 - abs(z + 30)))

    return [(column, 480.0), (marrow, 190.0), (arch, 330.0), (ribs, 380.0), (sternum, 220.0)]


def _superellipse(a: np.ndarray, b: np.ndarray, power: float) -> np.ndarray:
    return (np.abs(a) ** power + np.abs(b) ** power) ** (1 / power)
