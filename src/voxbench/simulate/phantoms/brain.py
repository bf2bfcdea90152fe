"""A brain drawn from formulas: folded cortex, white matter, ventricles, deep nuclei, cerebellum and brainstem.

Nothing is traced from a person. Lengths are those of an adult head; ids are FreeSurfer's, so that tables of
contrasts serve phantoms and real label maps alike. Two seeds are two people: other proportions, other folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from voxbench.geometry import Grid, LabelMap, grid_points
from voxbench.simulate.fields import smooth_noise

BRAIN_NAMES: Mapping[int, str] = MappingProxyType(
    {
        2: "left white matter",
        3: "left cortex",
        4: "left lateral ventricle",
        7: "left cerebellar white matter",
        8: "left cerebellar cortex",
        10: "left thalamus",
        11: "left caudate",
        12: "left putamen",
        13: "left pallidum",
        14: "third ventricle",
        15: "fourth ventricle",
        16: "brainstem",
        17: "left hippocampus",
        18: "left amygdala",
        24: "cerebrospinal fluid",
        41: "right white matter",
        42: "right cortex",
        43: "right lateral ventricle",
        46: "right cerebellar white matter",
        47: "right cerebellar cortex",
        49: "right thalamus",
        50: "right caudate",
        51: "right putamen",
        52: "right pallidum",
        53: "right hippocampus",
        54: "right amygdala",
        165: "skull",
        258: "scalp",
    }
)
"""Names of the phantom's labels by FreeSurfer id; skull and scalp only with ``head=True``."""

RIGHT = MappingProxyType({2: 41, 3: 42, 4: 43, 7: 46, 8: 47, 10: 49, 11: 50, 12: 51, 13: 52, 17: 53, 18: 54})
Triple = tuple[float | int, float | int, float | int]
"""Three lengths, mm: across, along, up."""
HULL_MM = (66.0, 84.0, 62.0)
"""Half axes of the cerebrum: to the side, to front and back, up and down."""
CORTEX_MM = 3.0
SULCUS_MM = 24.0
"""How deep the deepest folds reach below the hull."""
SULCUS_WIDTH = 0.32
"""Sulci lie where a smooth random field of unit variance is below this at the hull."""
FOLD_SMOOTHNESS_MM = 4.5
UP_MM = 12.0
CEREBELLUM = ((0.0, -48.0, -46.0), (48.0, 30.0, 22.0))
BRAINSTEM = ((0.0, -22.0, -52.0), (14.0, 13.0, 34.0))
FOURTH_VENTRICLE = ((0.0, -34.0, -44.0), (4.0, 5.0, 9.0))

Points3 = np.ndarray | tuple[np.ndarray, np.ndarray, np.ndarray]
"""Coordinates, one array each."""


@dataclass(frozen=True)
class _Nucleus:
    """A deep structure of the left side: an ellipsoid that leans in the sagittal plane.

    Attributes:
        label: FreeSurfer id of the left one (or of the only one, at x = 0).
        centre: mm from the middle of the brain; x is the distance from the midline.
        half_axes: mm.
        lean: Degrees it turns about the left-right axis, front up.
    """

    label: int
    centre: Triple
    half_axes: Triple
    lean: float | int = 0.0


NUCLEI = (  # later ones win where two overlap
    _Nucleus(12, (25, 8, -2), (7, 17, 10)),
    _Nucleus(13, (19, 4, -2), (4.5, 10, 7)),
    _Nucleus(11, (13, 16, 9), (5, 15, 8), 20),
    _Nucleus(10, (10.5, -14, 4), (8.5, 14, 9)),
    _Nucleus(17, (26, -18, -20), (6, 19, 6), -20),
    _Nucleus(18, (24, 3, -22), (7, 7, 7)),
    _Nucleus(4, (9, 20, 17), (4.5, 17, 6), -10),
    _Nucleus(4, (11, -10, 20), (4.5, 24, 5), 5),
    _Nucleus(4, (22, -36, 6), (5, 13, 7), 25),
    _Nucleus(14, (0, -6, 0), (2.6, 13, 9)),
)


def brain_phantom(grid: Grid, seed: int = 0, *, head: bool = False) -> LabelMap:
    """A labelled brain in the middle of a grid.

    Built in the world (x to the right, y to the front, z up), so the grid may have any spacing and orientation, and
    one seed is one person on all of them.

    Args:
        grid: Where it is drawn; an adult brain fits 160 x 224 x 192 mm. Where the grid ends, the brain is cut.
        seed: Which person.
        head: Draw skull and scalp too.

    Returns:
        26 labels (28 with the head), int16, FreeSurfer's ids; ``BRAIN_NAMES`` has their names.
    """
    rng = np.random.default_rng([seed, 0xB4A1])
    person = _person(rng)
    x, y, z = _coordinates(grid, person)
    box = Grid.from_parts((200, 240, 220), origin=grid.centre - (99.5, 119.5, 109.5))
    folds = smooth_noise(grid, rng, FOLD_SMOOTHNESS_MM, box)
    hindbrain = _ellipsoid((np.abs(x), y, z), *CEREBELLUM)
    labels = _head(x, y, z) if head else np.zeros(grid.shape, np.int16)
    _draw_cerebrum(labels, (x, y, z), folds, hindbrain, grid.spacing)
    _draw_hindbrain(labels, (x, y, z), folds, hindbrain)
    for part in person.nuclei:
        labels[_ellipsoid((np.abs(x), y, z), part.centre, part.half_axes, part.lean) < 1] = part.label
    right = x > 0
    for left_id, right_id in RIGHT.items():
        labels[right & (labels == left_id)] = right_id
    present = {int(i) for i in np.unique(labels)}
    return LabelMap(labels, grid, {i: n for i, n in BRAIN_NAMES.items() if i in present})


@dataclass(frozen=True)
class _Person:
    """Proportions of one person: overall size along each axis, and the deep structures."""

    size: np.ndarray
    nuclei: tuple[_Nucleus, ...]


def _person(rng: np.random.Generator) -> _Person:
    size = 1 + rng.uniform(-0.05, 0.05, 3)
    ventricles = rng.uniform(0.8, 1.35)
    nuclei = []
    for part in NUCLEI:
        grown = (ventricles if part.label in (4, 14) else 1.0) * (1 + rng.uniform(-0.08, 0.08, 3))
        moved = rng.uniform(-1.2, 1.2, 3) * (part.centre[0] > 0, 1, 1)
        centre, axes = np.add(part.centre, moved).tolist(), np.multiply(part.half_axes, grown).tolist()
        nuclei.append(_Nucleus(part.label, (centre[0], centre[1], centre[2]), (axes[0], axes[1], axes[2]), part.lean))
    return _Person(size, tuple(nuclei))


def _coordinates(grid: Grid, person: _Person) -> np.ndarray:
    """Brain coordinates of every voxel, mm, float32 (3, i, j, k); the cerebrum's middle lies above the grid's."""
    points = (grid_points(grid) - grid.centre) / person.size - (0, 0, UP_MM)
    return np.ascontiguousarray(np.moveaxis(points, -1, 0), dtype=np.float32)


def _ellipsoid(points: Points3, centre: Triple, half_axes: Triple, lean: float | int = 0.0) -> np.ndarray:
    """Distance from the centre, 1 on the surface."""
    across, along, up = (p - c for p, c in zip(points, centre, strict=True))
    if lean:
        cosine, sine = np.cos(np.radians(lean)), np.sin(np.radians(lean))
        along, up = cosine * along + sine * up, cosine * up - sine * along
    return np.sqrt((across / half_axes[0]) ** 2 + (along / half_axes[1]) ** 2 + (up / half_axes[2]) ** 2)


def _hull(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The cerebrum without its folds: 1 on the surface, flatter below than above."""
    up = np.where(z > 0, z / HULL_MM[2], z / (0.68 * HULL_MM[2]))
    power = 2.3
    sides = np.abs(x / HULL_MM[0]) ** power + np.abs(y / HULL_MM[1]) ** power
    return (sides + np.abs(up) ** power) ** (1 / power)


def _draw_cerebrum(
    labels: np.ndarray, points: Points3, folds: np.ndarray, hindbrain: np.ndarray, spacing: np.ndarray
) -> None:
    """Fluid round the hull and in the sulci, a ribbon of cortex along them, white matter within."""
    import edt

    x, y, z = points
    hull = _hull(x, y, z)
    depth = (1 - hull) * np.mean(HULL_MM)
    sulcus = np.abs(folds) < SULCUS_WIDTH * np.clip(1 - depth / SULCUS_MM, 0, 1)
    fissure = (np.abs(x) < 1.2) & ((y / 46) ** 2 + ((z - 3) / 25) ** 2 > 1)
    fluid = (hull >= 1) | sulcus | fissure | (hindbrain < 1.06)
    distance = edt.edt(~fluid, anisotropy=tuple(float(s) for s in spacing), parallel=1)
    brain = hull < 1
    labels[hull < 1 + 3 / np.mean(HULL_MM)] = 24
    labels[brain & ~fluid] = np.where(distance <= CORTEX_MM, 3, 2)[brain & ~fluid]


def _draw_hindbrain(labels: np.ndarray, points: Points3, folds: np.ndarray, cerebellum: np.ndarray) -> None:
    """Cerebellum with a branching core, brainstem, fourth ventricle."""
    labels[cerebellum < 1.06] = 24
    labels[cerebellum < 1] = 8
    labels[cerebellum < 0.62 + 0.12 * folds] = 7
    labels[_ellipsoid(points, *BRAINSTEM) < 1] = 16
    labels[_ellipsoid(points, *FOURTH_VENTRICLE) < 1] = 15


def _head(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Scalp, skull, and fluid within."""
    radius = _ellipsoid((x, y, z), (0, 0, -10), (74, 92, 78))
    return np.select([radius < 1, radius < 1.06, radius < 1.13], [24, 165, 258], 0).astype(np.int16)
