"""Statistical shape models: how the surfaces of a group of bones vary from person to person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.affine import Affine
from voxbench.geometry.mesh import Mesh
from voxbench.types import AnyArray, Points, Vector3

Side = Literal["left", "right"]
LEAST = 1e-3
"""Modes of a smaller share of the largest deviation are left out."""


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Bones whose vertices move along fixed directions: ``mean + sum of coefficient x deviation x mode``.

    The model's own frame has its x axis to the right of the person, y to the front, z up, in mm. Coefficients are in
    standard deviations, so that an ordinary person has coefficients of about -2 to 2.

    Attributes:
        mean: The mean vertices of all bones, one bone after another, float64 (n, 3).
        modes: Directions of variation, each of length 1 over all its coordinates, float64 (k, n, 3).
        deviations: Standard deviation along each mode, mm, (k,).
        faces: Of each bone, (m, 3), counted from the bone's own first vertex; the order is that of the bones.
        landmarks: Named places of the mean.
        side: Which leg.
        source: Where it comes from, for people to read.
    """

    mean: AnyArray
    modes: AnyArray
    deviations: AnyArray
    faces: Mapping[str, AnyArray]
    landmarks: Mapping[str, Vector3] = field(default_factory=dict)
    side: Side = "right"
    source: str = ""

    def __post_init__(self) -> None:
        """Check that the parts fit, and freeze."""
        mean, modes, deviations = (np.array(a, np.float64) for a in (self.mean, self.modes, self.deviations))
        if mean.ndim != 2 or mean.shape[1:] != (3,) or modes.shape != (len(deviations), *mean.shape):
            raise InputError(f"modes {modes.shape} do not fit {len(deviations)} deviations and a mean of {mean.shape}")
        if len(mean) != sum(int(f.max()) + 1 for f in self.faces.values()):
            raise InputError(f"the faces do not name each of {len(mean)} vertices")
        for name, array in (("mean", mean), ("modes", modes), ("deviations", deviations)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "faces", MappingProxyType(dict(self.faces)))
        object.__setattr__(self, "landmarks", MappingProxyType(dict(self.landmarks)))

    @property
    def bones(self) -> tuple[str, ...]:
        """Names, in the order of the vertices."""
        return tuple(self.faces)

    @cached_property
    def derivative(self) -> np.ndarray:
        """Of the vertices with respect to the coefficients, mm per standard deviation, read-only float64 (k, n, 3)."""
        derivative = self.modes * self.deviations[:, None, None]
        derivative.flags.writeable = False
        return derivative

    @cached_property
    def ranges(self) -> Mapping[str, slice]:
        """Which vertices belong to each bone."""
        ends = np.cumsum([0, *(int(f.max()) + 1 for f in self.faces.values())]).tolist()
        return MappingProxyType({bone: slice(a, b) for bone, a, b in zip(self.faces, ends[:-1], ends[1:], strict=True)})

    def vertices(self, coefficients: np.ndarray | Sequence[float | int]) -> Points:
        """All vertices for some coefficients (those not given are 0), mm, float64 (n, 3).

        Raises:
            InputError: There are more coefficients than modes, or one is not finite.
        """
        c = np.asarray(coefficients, dtype=np.float64)
        if c.ndim != 1 or len(c) > len(self.modes) or not np.isfinite(c).all():
            raise InputError(f"at most {len(self.modes)} finite coefficients in a row; got {c.shape}: {c}")
        return self.mean + np.tensordot(c, self.derivative[: len(c)], axes=1)

    def sample(self, coefficients: np.ndarray | Sequence[float | int]) -> dict[str, Mesh]:
        """The bones for some coefficients, in the model's frame."""
        return self.meshes(self.vertices(coefficients))

    def meshes(self, vertices: Points) -> dict[str, Mesh]:
        """Vertices as bones."""
        return {bone: Mesh(vertices[part], self.faces[bone]) for bone, part in self.ranges.items()}

    def coefficients(self, vertices: Points) -> np.ndarray:
        """The coefficients nearest (by least squares) to vertices in the model's frame and order, float64 (k,)."""
        modes = self.modes.reshape(len(self.modes), -1)
        found = np.linalg.lstsq(modes.T, (vertices - self.mean).ravel(), rcond=None)[0]
        return np.divide(found, self.deviations, out=np.zeros_like(found), where=self.deviations > 0)

    def mirrored(self) -> ShapeModel:
        """The other leg: x becomes -x, faces turn round."""
        flip = np.array([-1.0, 1.0, 1.0])
        return replace(
            self,
            mean=self.mean * flip,
            modes=self.modes * flip,
            faces={bone: faces[:, ::-1] for bone, faces in self.faces.items()},
            landmarks={name: place * flip for name, place in self.landmarks.items()},
            side="left" if self.side == "right" else "right",
        )

    def on(self, side: Side) -> ShapeModel:
        """The model of one leg."""
        return self if self.side == side else self.mirrored()

    def __repr__(self) -> str:
        rms = np.linalg.norm(self.deviations) / np.sqrt(len(self.mean))
        return (
            f"ShapeModel({', '.join(self.bones)}   {len(self.mean)} vertices, {len(self.modes)} modes, "
            f"{rms:.2g} mm rms   {self.side}   {self.source})"
        )


def part_of(model: ShapeModel, *bones: str) -> ShapeModel:
    """Some bones of a model, with principal modes of their own: the same distribution of these bones' vertices."""
    kept = np.concatenate([np.arange(part.start, part.stop) for part in (model.ranges[bone] for bone in bones)])
    spread = model.derivative[:, kept].reshape(len(model.modes), -1)
    _, deviations, directions = np.linalg.svd(spread, full_matrices=False)
    count = int((deviations > LEAST * max(float(deviations[0]), 1e-300)).sum())
    modes = directions[:count].reshape(count, -1, 3)
    faces = {bone: model.faces[bone] for bone in bones}
    return replace(model, mean=model.mean[kept], modes=modes, deviations=deviations[:count], faces=faces)


def side_by_side(first: ShapeModel, second: ShapeModel) -> ShapeModel:
    """Two models of other bones of one leg as one, in which they vary independently.

    Args:
        first: Its modes come first.
        second: In the same frame, of the same side.

    Raises:
        InputError: They are of two legs, or share a bone.
    """
    if first.side != second.side or set(first.bones) & set(second.bones):
        raise InputError(f"these do not go together: {first!r} and {second!r}")
    shapes = (len(first.modes), len(second.mean), 3), (len(second.modes), len(first.mean), 3)
    modes = [np.concatenate([first.modes, np.zeros(shapes[0])], axis=1)]
    modes.append(np.concatenate([np.zeros(shapes[1]), second.modes], axis=1))
    return ShapeModel(
        np.concatenate([first.mean, second.mean]),
        np.concatenate(modes),
        np.concatenate([first.deviations, second.deviations]),
        {**first.faces, **second.faces},
        {**first.landmarks, **second.landmarks},
        first.side,
        f"{first.source}; {second.source}",
    )


def principal_modes(examples: np.ndarray, most: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, modes and deviations of aligned examples.

    Args:
        examples: Corresponding vertices of s people, mm, (s, n, 3).
        most: The most modes; those without variance are left out in any case.

    Returns:
        Mean (n, 3), modes (k, n, 3) by falling deviation, their deviations (with s - 1 degrees of freedom) (k,).
    """
    mean = examples.mean(axis=0)
    centred = (examples - mean).reshape(len(examples), -1)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    deviations = values / np.sqrt(max(len(examples) - 1, 1))
    count = int((deviations > LEAST * max(deviations[0], 1e-300)).sum())
    count = min(count, most or count)
    return mean, directions[:count].reshape(count, *mean.shape), deviations[:count]


def rigid_fit(moving: Points, fixed: Points) -> Affine:
    """The rotation and translation that bring corresponding points nearest in the sense of least squares.

    References:
        B. K. P. Horn et al., J. Opt. Soc. Am. A 5:1127-1135, 1988, doi:10.1364/JOSAA.5.001127
    """
    a, b = moving.mean(axis=0), fixed.mean(axis=0)
    u, _, vt = np.linalg.svd((fixed - b).T @ (moving - a))
    rotation = u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt
    return Affine.from_parts(rotation, b - rotation @ a)
