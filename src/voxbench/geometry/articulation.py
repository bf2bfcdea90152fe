"""A knee in motion: a rigid map per bone, as a product of screws, with its derivatives.

Every parameter turns about a fixed axis or shifts along one. A bone's map is the product of the screws that carry it,
``exp(p1 S1) exp(p2 S2) ...``, so that its derivatives are exact: the screw's generator is put into the product at its
place (product of exponentials; R. W. Brockett, 1984, doi:10.1007/BFb0031048).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.affine import Affine
from voxbench.geometry.shapes import ShapeModel
from voxbench.types import AnyArray, Triple

PATELLA_FOLLOWS = 0.6
"""Share of the flexion that the patella makes: it glides on the femur while the tibia turns."""
FLEXION_CENTRE = "flexion centre"
JOINT_CENTRE = "joint centre"
PATELLA_CENTRE = "patella centre"
FIBULA_CENTRE = "fibula centre"
LANDMARKS = (FLEXION_CENTRE, JOINT_CENTRE, PATELLA_CENTRE, FIBULA_CENTRE)


@dataclass(frozen=True)
class KneePose:
    """How the bones of a knee stand; all zero is the shape model's own pose.

    Attributes:
        flexion: Bending of the knee, degrees; positive brings the foot back.
        varus: Degrees; positive brings the foot to the middle.
        rotation: Of the shin about its own axis, degrees; positive turns the foot outwards.
        gap: How much further the shin is from the femur, mm.
        glide: How much further to the front the shin is, mm.
        patella_gap: How much further to the front the patella is, mm.
        patella_height: How much higher the patella is, mm.
        patella_tilt: About the long axis, degrees; positive turns its outer edge back.
        fibula_gap: How much further to the outside the fibula is from the tibia, mm.
        pitch: Turn of the whole knee about the world's x axis, degrees.
        roll: About the world's y axis, degrees.
        yaw: About the world's z axis, degrees.
        x: Shift of the whole knee along the world's x axis, mm.
        y: Along y, mm.
        z: Along z, mm.
    """

    flexion: float | int = 0.0
    varus: float | int = 0.0
    rotation: float | int = 0.0
    gap: float | int = 0.0
    glide: float | int = 0.0
    patella_gap: float | int = 0.0
    patella_height: float | int = 0.0
    patella_tilt: float | int = 0.0
    fibula_gap: float | int = 0.0
    pitch: float | int = 0.0
    roll: float | int = 0.0
    yaw: float | int = 0.0
    x: float | int = 0.0
    y: float | int = 0.0
    z: float | int = 0.0

    @property
    def values(self) -> np.ndarray:
        """All parameters in order, degrees and mm, float64 (15,)."""
        return np.array(list(asdict(self).values()), dtype=np.float64)

    @staticmethod
    def from_values(values: np.ndarray) -> KneePose:
        """Back from `values`."""
        return KneePose(*(float(value) for value in values))


PARAMETERS = tuple(f.name for f in fields(KneePose))


@dataclass(frozen=True, eq=False)
class Screw:
    """A motion with one parameter.

    Attributes:
        parameter: Its index in `KneePose`.
        generator: 4 x 4; the motion is the matrix exponential of parameter times generator. Degrees or mm.
    """

    parameter: int
    generator: AnyArray

    def motion(self, values: np.ndarray) -> np.ndarray:
        """The 4 x 4 rigid matrix."""
        step = self.generator * values[self.parameter]
        angle = float(np.linalg.norm(step[:3, :3]) / np.sqrt(2))
        if angle < 1e-12:
            return np.eye(4) + step
        half = np.sin(angle / 2) / (angle / 2)
        # a turn about a fixed axis: step^3 = -angle^2 step, so the series closes
        return np.eye(4) + np.sin(angle) / angle * step + 0.5 * half**2 * (step @ step)


@dataclass(frozen=True, eq=False)
class Articulation:
    """The joints of a knee.

    Attributes:
        chains: For every bone the screws that carry it, the outermost first.
    """

    chains: Mapping[str, tuple[Screw, ...]]

    @staticmethod
    def of(model: ShapeModel) -> Articulation:
        """The joints of a shape model of femur, tibia, fibula and patella.

        Raises:
            InputError: A bone or a landmark is missing.
        """
        lacking = [name for name in LANDMARKS if name not in model.landmarks]
        lacking += [bone for bone in ("patella", "femur", "fibula", "tibia") if bone not in model.bones]
        if lacking:
            raise InputError(f"no knee can be moved: the shape model lacks {', '.join(lacking)}")
        centre, joint, patella, fibula = (model.landmarks[name] for name in LANDMARKS)
        out = np.array([1.0, 0, 0]) if model.side == "right" else np.array([-1.0, 0, 0])
        front, up = np.array([0, 1.0, 0]), np.array([0, 0, 1.0])
        whole = (
            *(_shift(name, axis) for name, axis in zip("xyz", np.eye(3), strict=True)),
            _turn("yaw", up, joint),
            _turn("roll", front, joint),
            _turn("pitch", np.array([1.0, 0, 0]), joint),
        )
        bend = np.array([-1.0, 0, 0])  # brings down to the back, on either side
        shin = (
            *whole,
            _turn("flexion", bend, centre),
            _turn("varus", np.cross(up, out), joint),
            _turn("rotation", np.cross(front, out), joint),
            _shift("glide", front),
            _shift("gap", -up),
        )
        kneecap = (
            *whole,
            _turn("flexion", bend * PATELLA_FOLLOWS, centre),
            _shift("patella_height", up),
            _shift("patella_gap", front),
            _turn("patella_tilt", np.cross(out, -front), patella),
        )
        away = fibula - joint
        away = away * np.array([1.0, 1.0, 0.0])
        away /= np.linalg.norm(away)
        return Articulation(
            {"patella": kneecap, "femur": whole, "fibula": (*shin, _shift("fibula_gap", away)), "tibia": shin}
        )

    def maps(self, pose: KneePose) -> dict[str, Affine]:
        """The rigid map of every bone, from the model's frame to the world."""
        return {bone: Affine(matrix, "world", "model") for bone, (matrix, _) in self._both(pose, False).items()}

    def derivatives(self, pose: KneePose) -> dict[str, np.ndarray]:
        """Of every bone's 4 x 4 matrix with respect to each of `PARAMETERS`, per degree or mm, float64 (15, 4, 4)."""
        return {bone: derivative for bone, (_, derivative) in self._both(pose, True).items()}

    def _both(self, pose: KneePose, wanted: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        values = pose.values
        found = {}
        for bone, chain in self.chains.items():
            motions = [screw.motion(values) for screw in chain]
            before = [np.eye(4)]
            for motion in motions:
                before.append(before[-1] @ motion)
            derivative = np.zeros((len(values), 4, 4))
            after = np.eye(4)
            for screw, motion, left in zip(chain[::-1], motions[::-1], before[-2::-1], strict=True):
                if not wanted:
                    break
                after = motion @ after
                derivative[screw.parameter] += left @ screw.generator @ after
            found[bone] = before[-1], derivative
        return found


def _turn(parameter: str, axis: np.ndarray, centre: Triple) -> Screw:
    """About an axis (by one degree times its length) through a point."""
    x, y, z = np.radians(axis)
    generator = np.zeros((4, 4))
    generator[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    generator[:3, 3] = -generator[:3, :3] @ np.asarray(centre)
    return Screw(PARAMETERS.index(parameter), generator)


def _shift(parameter: str, direction: np.ndarray) -> Screw:
    """Along a direction, by its length."""
    generator = np.zeros((4, 4))
    generator[:3, 3] = direction
    return Screw(PARAMETERS.index(parameter), generator)
