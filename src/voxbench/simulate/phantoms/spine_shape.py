"""The joints and sizes of a lumbar spine drawn from formulas: where each vertebra stands, how high, how wedged.

Nothing is traced from a person. Lengths are of the order found among adults: bodies of 20 to 29 mm, lumbar lordosis of
20 to 65 degrees, discs of 4 to 14 mm; at times a wedge fracture, a narrowed or bulging disc, a slipped vertebra, a
curve to the side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.types import Vector3

# mm, from L5 up to T8: anterior and posterior height, half width, half depth; disc below, in front and behind
_BODIES = (
    (28.5, 24.0, 26.0, 17.5, 14.0, 7.0),
    (28.0, 26.5, 25.0, 17.5, 13.5, 8.5),
    (28.0, 27.5, 24.0, 17.2, 12.0, 8.0),
    (27.5, 27.5, 23.0, 17.0, 10.5, 7.5),
    (26.5, 27.5, 22.0, 16.5, 9.0, 6.5),
    (25.0, 26.5, 21.5, 16.3, 7.0, 5.5),
    (23.0, 24.0, 20.0, 16.0, 5.5, 5.0),
    (21.5, 22.5, 18.5, 15.8, 5.0, 4.5),
    (20.5, 21.5, 17.5, 15.3, 4.5, 4.3),
    (20.0, 21.0, 16.5, 15.0, 4.2, 4.1),
)
# from S1 down: anterior and posterior height, half width, half depth; disc above
_SACRUM = ((29.0, 26.0, 25.0, 16.0, 0.0), (24.0, 21.0, 20.0, 11.0, 3.0), (20.0, 19.0, 16.0, 8.0, 2.0))
BACK = 0.86
"""Where the flat back of a body lies, in half depths."""
CONUS = 5
"""The cord ends within this vertebra (L1)."""
HEIGHT_PLACES = (0.15, 0.5, 0.85)
"""Where heights are stated: shares of the depth, from the front."""


class SpineAnatomy(Config):
    """How spines vary; a seed draws one of them."""

    vertebrae: int = Field(default=9, ge=1, le=len(_BODIES), description="Vertebrae above the sacrum, from L5 up.")
    size_spread: float = Field(default=0.06, ge=0, le=0.15, description="Standard deviation of the size, relative.")
    lordosis: float = Field(default=1.0, ge=0, le=2, description="Wedging of the discs, 1 is about 45 degrees in all.")
    lordosis_spread: float = Field(default=0.2, ge=0, le=0.5, description="Standard deviation of the same.")
    scoliosis_degrees: float = Field(default=6.0, ge=0, le=40, description="Standard deviation of the Cobb angle.")
    fracture: float = Field(default=0.06, ge=0, le=1, description="Probability of each vertebra to be wedged in front.")
    narrowed: float = Field(default=0.18, ge=0, le=1, description="Probability of each disc to have lost height.")
    bulging: float = Field(default=0.2, ge=0, le=1, description="Probability of each disc to reach into the canal.")
    slipped: float = Field(default=0.05, ge=0, le=1, description="Probability of L4 and L5 to have slid forward.")


PLAIN = SpineAnatomy(
    size_spread=0, lordosis_spread=0, scoliosis_degrees=0, fracture=0, narrowed=0, bulging=0, slipped=0
)
"""The mean of all."""


@dataclass(frozen=True, eq=False)
class Body:
    """A vertebra where it stands.

    Attributes:
        number: From below, L5 is 1; 0 and less are of the sacrum.
        centre: World, mm.
        axes: Its right, front and up, as columns.
        height: In the middle of the endplates' planes, mm.
        half_wedge: Half the angle between them, radians, positive if the front is higher.
        half_width: Half axis across, mm.
        half_depth: Half axis to the front, mm.
        waist: Relative narrowing at mid-height.
        hollow: Depth of the endplates' hollows, mm.
        arch: Size of the arch, 1 for L3; 0 for none.
    """

    number: int
    centre: Vector3
    axes: np.ndarray
    height: float
    half_wedge: float
    half_width: float
    half_depth: float
    waist: float
    hollow: float
    arch: float = 1.0

    @property
    def front_back(self) -> tuple[float, float]:
        """Where front and back lie at mid-height, mm from the centre."""
        return self.half_depth * (1 - self.waist), -BACK * self.half_depth

    def height_at(self, y: float) -> float:
        """Height in the middle plane at a distance to the front of the centre, mm."""
        hollow = self.hollow * max(0.0, 1 - (y / self.half_depth) ** 2)
        return self.height + 2 * y * float(np.tan(self.half_wedge)) - 2 * hollow

    @property
    def canal(self) -> Vector3:
        """Middle of the canal behind it, world, mm."""
        return self.centre + self.axes[:, 1] * (self.front_back[1] - 1.5 - CANAL_HALF[1])


CANAL_HALF = (11.5, 8.0)
"""Half axes of the canal, across and to the front, mm, before size and level."""


@dataclass(frozen=True)
class Disc:
    """What lies below a vertebra.

    Attributes:
        number: As the vertebra above it.
        height: Between the planes of the endplates, in the middle, mm.
        bulge: How far it reaches backwards beyond the bodies, mm.
        grade: Pfirrmann's, 1 to 5: its nucleus is bright in T2 if low.
    """

    number: int
    height: float
    bulge: float
    grade: int


@dataclass(frozen=True, eq=False)
class SpineShape:
    """A spine, L3's centre at the origin.

    Attributes:
        bodies: From L5 up.
        sacrum: From S1 down.
        discs: From L5/S1 up; the last one lies above the last body if there is one more disc than bodies.
        slips: How far each body has slid forward over what is below it, mm.
        size: Relative to the mean.
        cobb_degrees: Angle of the curve to the side.
    """

    bodies: tuple[Body, ...]
    sacrum: tuple[Body, ...]
    discs: tuple[Disc, ...]
    slips: tuple[float, ...]
    size: float
    cobb_degrees: float


@dataclass(frozen=True)
class LevelTruth:
    """What is known of a vertebra and the disc below it by construction; lengths in mm.

    Heights are those at 15, 50 and 85 % of the depth, in the middle plane.
    """

    number: int
    anterior_height: float
    middle_height: float
    posterior_height: float
    wedge_degrees: float
    depth: float
    width: float
    slip: float
    disc_height: float
    disc_grade: int


def level_truth(shape: SpineShape) -> tuple[LevelTruth, ...]:
    """Of every vertebra of a spine, from below."""
    found = []
    for body, disc, slip in zip(shape.bodies, shape.discs, shape.slips, strict=True):
        front, back = body.front_back
        heights = [body.height_at(front - share * (front - back)) for share in HEIGHT_PLACES]
        found.append(
            LevelTruth(
                number=body.number,
                anterior_height=heights[0],
                middle_height=heights[1],
                posterior_height=heights[2],
                wedge_degrees=float(np.degrees(2 * body.half_wedge)),
                depth=front - back,
                width=2 * body.half_width * (1 - body.waist),
                slip=slip,
                disc_height=disc.height,
                disc_grade=disc.grade,
            )
        )
    return tuple(found)


def spine_shape(seed: int = 0, anatomy: SpineAnatomy = SpineAnatomy()) -> SpineShape:
    """Draw a spine.

    Args:
        seed: Which.
        anatomy: How they vary.
    """
    rng = np.random.default_rng([seed, 0x591E])
    size = float(np.exp(anatomy.size_spread * rng.standard_normal()))
    lordosis = max(0.0, anatomy.lordosis + anatomy.lordosis_spread * rng.standard_normal())
    cobb = anatomy.scoliosis_degrees * float(rng.standard_normal())
    slope = 30 + 12 * (lordosis - 1) + 5 * min(anatomy.lordosis_spread * 5, 1) * rng.standard_normal()
    bends = _bends(anatomy.vertebrae, cobb, rng)
    frame = _turned(np.eye(3), 0, -np.radians(slope))  # of the sacrum's endplate
    place = np.zeros(3)
    sacrum = _sacrum(place, frame, size)
    bodies, discs, slips = [], [], []
    for level in range(anatomy.vertebrae):
        front, back, width, depth, disc_front, disc_back = (size * v for v in _BODIES[level])
        disc, slip = _disc(level, ((disc_front + disc_back) / 2, size), anatomy, rng)
        wedge = lordosis * np.arctan((disc_front - disc_back) / (2 * depth)) * min(1.0, disc.height / (size * 8))
        place, frame = _on(place, frame, disc.height, wedge, bends[level])
        place = place + frame[:, 1] * slip
        front, back, hollow = _crushed(front, back, size, anatomy, rng)
        angle = float(np.arctan((front - back) / (1.7 * depth)))
        height = (front + back) / 2
        middle = _turned(frame, 0, angle / 2)
        arch = size * (1 - 0.05 * max(0, level - 4))
        shape = (height, angle / 2, width, depth, 0.12, hollow, arch)
        bodies.append(Body(level + 1, place + middle[:, 2] * height / 2, middle, *shape))
        place, frame = _on(place, frame, height, angle)
        discs.append(disc)
        slips.append(slip)
    lean = np.radians(4 * min(anatomy.lordosis_spread * 5, 1) * rng.standard_normal())
    upright = _upright(bodies, float(lean))
    return SpineShape(
        tuple(upright(body) for body in bodies),
        tuple(upright(body) for body in sacrum),
        tuple(discs),
        tuple(slips),
        size,
        cobb,
    )


def _bends(count: int, cobb: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Of every joint the bend to the side and the turn about the spine's axis, radians: one bow and its return."""
    apex = rng.uniform(2.0, 4.5)
    levels = np.arange(count)
    side = np.sin(np.clip((levels - apex + 2.5) / 5, -1, 2) * np.pi)
    side *= np.radians(cobb) / max(np.abs(side).sum() / 2, 1e-9)
    return [(float(bend), float(-0.25 * bend)) for bend in side]


def _disc(
    level: int, sizes: tuple[float, float], anatomy: SpineAnatomy, rng: np.random.Generator
) -> tuple[Disc, float]:
    """A disc, and how far the vertebra above it has slid."""
    height, size = sizes
    narrowed, bulging, slipped = rng.random(3) < (anatomy.narrowed, anatomy.bulging, anatomy.slipped)
    lost, reach, slid = rng.uniform((0.35, 1.5, 3), (0.7, 4.0, 9))
    grade = int(rng.integers(3, 6)) if narrowed else int(rng.integers(1, 5))
    height *= lost if narrowed else float(np.exp(min(anatomy.size_spread, 0.1) * rng.standard_normal()))
    disc = Disc(level + 1, max(height, 2.0), float(size * reach) if bulging else 0.0, grade)
    return disc, float(size * slid) if slipped and level < 2 else 0.0


def _crushed(
    front: float, back: float, size: float, anatomy: SpineAnatomy, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Anterior and posterior height, and the endplates' hollow, after what may have happened to them."""
    hit, left = rng.random() < anatomy.fracture, rng.uniform(0.55, 0.8)
    spread = rng.normal(size=3) * min(anatomy.size_spread, 0.06)
    front, back = front * float(np.exp(spread[0] / 2)), back * float(np.exp(spread[1] / 2))
    hollow = size * 1.4 * float(np.exp(4 * spread[2]))
    return (front * left, back * 0.97, hollow + 1.0) if hit else (front, back, hollow)


def _sacrum(place: Vector3, frame: np.ndarray, size: float) -> list[Body]:
    """S1 and what is below, from its endplate down."""
    found = []
    for level, values in enumerate(_SACRUM):
        front, back, width, depth, gap = (size * v for v in values)
        angle = -float(np.arctan((front - back) / (1.7 * depth)))  # downwards
        place = place - frame[:, 2] * gap
        middle = _turned(frame, 0, angle / 2)
        height = (front + back) / 2
        centre = place - middle[:, 2] * height / 2
        found.append(Body(-level, centre, middle, height, -angle / 2, width, depth, 0.04, 0.6 * size, 0.0))
        place, frame = place - middle[:, 2] * height, _turned(frame, 0, angle + 0.22)
    return found


def _on(
    place: Vector3, frame: np.ndarray, height: float, wedge: float, bend: tuple[float, float] = (0.0, 0.0)
) -> tuple[Vector3, np.ndarray]:
    """From the lower end of something to its upper: half the turn, the way, the other half."""
    for half in (1, 2):
        frame = _turned(_turned(_turned(frame, 0, wedge / 2), 1, bend[0] / 2), 2, bend[1] / 2)
        if half == 1:
            place = place + frame[:, 2] * height
    return place, frame


def _turned(frame: np.ndarray, axis: int, angle: float) -> np.ndarray:
    """A frame turned about one of its own axes; positive about the first brings the front up."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.eye(3)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    turn[a, a], turn[b, b], turn[a, b], turn[b, a] = c, c, -s, s
    return frame @ turn


def _upright(bodies: list[Body], lean: float) -> Callable[[Body], Body]:
    """The whole turned until its top stands over its foot, but for a lean to the front; L3's centre at the origin."""
    way = bodies[-1].centre - bodies[0].centre + 1e-3 * bodies[0].axes[:, 2]
    turn = _turned(np.eye(3), 0, float(np.arctan2(way[1], way[2])) - lean)
    origin = bodies[min(2, len(bodies) - 1)].centre
    return lambda body: replace(body, centre=turn @ (body.centre - origin), axes=turn @ body.axes)
