"""Random knees out of a shape model: another shape, another pose, bones that do not meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry.articulation import Articulation, KneePose
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.seating import Gaps, pose_meshes, seated_pose
from voxbench.geometry.shapes import ShapeModel, Side

TRIES = 50
Spread = Annotated[float, Field(ge=0, le=30)]
Gap = Annotated[float, Field(gt=0, le=20)]


class KneeVariation(Config):
    """What differs from knee to knee. Pairs are the ends of a uniform draw, single numbers standard deviations.

    Joint spaces are those of radiographs: 3 to 6 mm between femur and tibia (J. Lequesne, Osteoarthritis Cartilage
    3 Suppl. A:35-38, 1995, gives a mean near 4.8 mm), the rest a few degrees and mm of how a leg is laid down.
    """

    shape: float = Field(default=1.0, ge=0, le=2, description="Spread of the coefficients, standard deviations.")
    most: float = Field(default=2.5, gt=0, le=4, description="Coefficients are drawn again beyond this.")
    side: Literal["left", "right", "both"] = Field(default="both", description="Which leg.")
    flexion: tuple[float, float] = Field(default=(0.0, 20.0), description="Bending, degrees.")
    varus: Spread = Field(default=2.0, description="Varus and valgus, degrees.")
    rotation: Spread = Field(default=3.0, description="Of the shin about its axis, degrees.")
    glide: Spread = Field(default=1.0, description="Of the shin to the front, mm.")
    gap: tuple[Gap, Gap] = Field(default=(3.0, 6.0), description="Least distance of femur and tibia, mm.")
    patella_gap: tuple[Gap, Gap] = Field(default=(2.5, 5.0), description="Least distance of femur and patella, mm.")
    patella_height: Spread = Field(default=3.0, description="Patella up and down, mm.")
    patella_tilt: Spread = Field(default=3.0, description="Patella about the long axis, degrees.")
    fibula_gap: tuple[Gap, Gap] = Field(default=(0.8, 2.0), description="Least distance of tibia and fibula, mm.")
    turn: Spread = Field(default=3.0, description="Of the whole knee about each axis, degrees.")
    shift: Spread = Field(default=3.0, description="Of the whole knee along each axis, mm.")


@dataclass(frozen=True, eq=False)
class Knee:
    """A knee whose making is known.

    Attributes:
        bones: Closed meshes in the world, mm, that do not meet.
        coefficients: Of the shape model, standard deviations.
        pose: How the bones stand.
        gaps: Least distances between them.
        side: Which leg.
    """

    bones: Mapping[str, Mesh]
    coefficients: np.ndarray
    pose: KneePose
    gaps: Gaps
    side: Side


def random_knee(
    model: ShapeModel,
    rng: np.random.Generator,
    variation: KneeVariation = KneeVariation(),
    like: tuple[np.ndarray, float] | None = None,
) -> Knee:
    """Draw a knee; one whose bones cannot be kept apart is drawn again.

    The middle of the joint lies near the world's origin, the person upright along z and facing y.

    Args:
        model: Of femur, tibia, fibula and patella, with the landmarks of `Articulation`.
        rng: Source of randomness.
        variation: What differs.
        like: Coefficients of another knee, and the correlation with them, 0 to 1.

    Raises:
        InputError: No draw of fifty gave bones that are apart, or the model is not one of a knee.
    """
    v = variation
    side: Side = v.side if v.side != "both" else ("left", "right")[int(rng.integers(2))]
    own = model.on(side)
    joints = Articulation.of(own)
    refused = ""
    for _ in range(TRIES):
        coefficients = _within(rng, len(own.modes), v.most / v.shape if v.shape else v.most) * v.shape
        if like is not None:
            coefficients = like[1] * like[0] + np.sqrt(1 - like[1] ** 2) * coefficients
        pose, gaps = _pose(rng, v), Gaps(*(float(rng.uniform(*ends)) for ends in (v.gap, v.patella_gap, v.fibula_gap)))
        bones = own.sample(coefficients)
        try:
            pose = seated_pose(bones, joints, pose, gaps)
        except InputError as error:
            refused = str(error)
            continue
        return Knee(pose_meshes(bones, joints, pose), coefficients, pose, gaps, side)
    raise InputError(f"{TRIES} knees were drawn, and none had bones that are apart; the last one: {refused}")


def _pose(rng: np.random.Generator, v: KneeVariation) -> KneePose:
    def normal(spread: float) -> float:
        return float(_within(rng, 1, 2.5)[0] * spread)

    return KneePose(
        flexion=float(rng.uniform(*v.flexion)),
        varus=normal(v.varus),
        rotation=normal(v.rotation),
        glide=normal(v.glide),
        patella_height=normal(v.patella_height),
        patella_tilt=normal(v.patella_tilt),
        pitch=normal(v.turn),
        roll=normal(v.turn),
        yaw=normal(v.turn),
        x=normal(v.shift),
        y=normal(v.shift),
        z=normal(v.shift),
    )


def _within(rng: np.random.Generator, count: int, most: float) -> np.ndarray:
    """Standard normal numbers, those beyond ``most`` drawn again."""
    drawn = rng.standard_normal(count)
    while (far := np.abs(drawn) > most).any():
        drawn[far] = rng.standard_normal(int(far.sum()))
    return drawn
