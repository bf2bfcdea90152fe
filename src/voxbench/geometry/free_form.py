"""What a shape model of few people cannot say: smooth deformations of each bone, drawn from a Gaussian process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.shapes import ShapeModel
from voxbench.types import AnyArray

PLACES = 400
"""The process is decomposed at so many vertices of a bone, spread evenly."""


def with_free_form(
    model: ShapeModel, scales: Sequence[tuple[float, float]], count: int, within_mm: float = np.inf
) -> ShapeModel:
    """A shape model and, on top, free deformations of its bones, each bone by itself.

    The surface moves along its normals. The covariance of two places is that of a vector field with independent
    components, a sum of squared exponentials ``amplitude^2 exp(-distance^2 / (2 length^2))``, seen along the normals:
    so the two sides of a thin bone move the same way in space. Of each bone's process the modes of most variance are
    kept; they follow the model's own modes, in the order of the bones.

    Args:
        model: Its modes come first, unchanged.
        scales: Amplitude (standard deviation) and length of each squared exponential, mm.
        count: Modes of each bone.
        within_mm: Places whose height (z) is further than this from 0 stay, but for what smoothness asks.

    Raises:
        InputError: No scale, or one that is not positive, or fewer than one mode.

    References:
        M. Luethi et al., IEEE Trans. Pattern Anal. Mach. Intell. 40:1860-1873, 2018, doi:10.1109/TPAMI.2017.2739743
    """
    if not scales or min(min(scale) for scale in scales) <= 0 or count < 1:
        raise InputError(f"free forms need positive amplitudes and lengths, and modes; got {scales}, {count} modes")
    added = []
    for bone, part in model.ranges.items():
        fields = _fields(Mesh(model.mean[part], model.faces[bone]), scales, count, within_mm)
        whole = np.zeros((len(fields), *model.mean.shape))
        whole[:, part] = fields
        added.append(whole)
    derivative = np.concatenate(added)
    deviations = np.linalg.norm(derivative.reshape(len(derivative), -1), axis=1)
    modes = derivative / np.maximum(deviations, 1e-300)[:, None, None]
    return replace(
        model,
        modes=np.concatenate([model.modes, modes]),
        deviations=np.concatenate([model.deviations, deviations]),
        source=f"{model.source}; free forms",
    )


def _fields(mesh: Mesh, scales: Sequence[tuple[float, float]], count: int, within: float) -> AnyArray:
    """The modes of one bone, mm per standard deviation, (k, n, 3)."""
    normals = _normals(mesh)
    free = np.flatnonzero(np.abs(mesh.vertices[:, 2]) <= within)
    if not len(free):
        return np.zeros((0, len(normals), 3))
    chosen = free[_spread_out(mesh.vertices[free], PLACES)]
    spots = mesh.vertices[chosen], normals[chosen]
    values, vectors = np.linalg.eigh(_covariance(*spots, *spots, scales))
    kept = np.argsort(values)[::-1][:count]
    # Nystroem: the modes at the chosen places, extended by the covariance to all
    vectors = vectors[:, kept] * np.sign(vectors[np.argmax(np.abs(vectors[:, kept]), axis=0), kept])
    heights = _covariance(mesh.vertices, normals, *spots, scales) @ vectors / np.sqrt(np.maximum(values[kept], 1e-12))
    return heights.T[:, :, None] * normals


def _covariance(
    places: AnyArray, normals: AnyArray, others: AnyArray, their: AnyArray, scales: Sequence[tuple[float, float]]
) -> AnyArray:
    """Of the movements along the normals, mm^2."""
    square = (places**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * places @ others.T
    total = sum(a**2 * np.exp(-np.maximum(square, 0) / (2 * length**2)) for a, length in scales)
    return total * (normals @ their.T)


def _spread_out(places: AnyArray, count: int) -> AnyArray:
    """Indices of places, each the furthest from those before it."""
    chosen = np.zeros(min(count, len(places)), np.int64)
    far = np.full(len(places), np.inf)
    for number in range(1, len(chosen)):
        far = np.minimum(far, ((places - places[chosen[number - 1]]) ** 2).sum(axis=1))
        chosen[number] = np.argmax(far)
    return chosen


def _normals(mesh: Mesh) -> AnyArray:
    """Unit normals of the vertices, outwards."""
    a, b, c = mesh.corners
    across = np.cross(b - a, c - a)
    sums = np.zeros_like(mesh.vertices)
    for corner in range(3):
        np.add.at(sums, mesh.faces[:, corner], across)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
