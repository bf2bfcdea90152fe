"""Where a fit begins: a look at many places, bendings, sizes and both sides, with the coarsest radiographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from voxbench.geometry.articulation import PARAMETERS
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.projection import View
from voxbench.tasks.reconstruction.config import ReconstructionConfig
from voxbench.tasks.reconstruction.edges import STRONG
from voxbench.tasks.reconstruction.fit import Radiograph, blurred, descend
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.types import AnyArray

GRID_MM = 4.0
FOLLOWED = 2
"""Levels for which every start is followed before the best goes on."""
PLACE = [PARAMETERS.index(axis) for axis in "xyz"]


@dataclass(frozen=True, eq=False)
class Start:
    """Parameters to begin with.

    Attributes:
        knee: The model, of one side.
        values: Its parameters.
        score: Mean strength of the edges.
    """

    knee: MovingKnee
    values: AnyArray
    score: float


def meeting_point(radiographs: Sequence[Radiograph]) -> AnyArray:
    """The place nearest to the rays to the middles of all detectors: where something in every view would be."""
    rays = [r.view.rays((np.array(r.view.shape) - 1) / 2) for r in radiographs]
    beside = [np.eye(3) - np.outer(ray, ray) for ray in rays]
    sources = [r.view.source for r in radiographs]
    return np.linalg.lstsq(sum(beside), sum(b @ s for b, s in zip(beside, sources, strict=True)), rcond=None)[0]


def first_look(
    knees: Sequence[MovingKnee], radiographs: Sequence[Radiograph], config: ReconstructionConfig
) -> list[Start]:
    """The best place for every side, bending and size, the best first."""
    middle = meeting_point(radiographs)
    shades = [_shade(radiograph, middle) for radiograph in radiographs]
    found = []
    for knee, flexion, size in product(knees, config.flexions, config.sizes):
        values = np.zeros(POSE + len(knee.model.modes))
        values[0], values[POSE], values[PLACE] = flexion, size, middle
        places, scores = _placed(knee, values, radiographs, shades, config.search_mm)
        best = int(np.argmax(scores))
        values[PLACE] = middle + places[best]
        found.append(Start(knee, values, float(scores[best])))
    return sorted(found, key=lambda start: -start.score)


def followed(
    starts: Sequence[Start], radiographs: Sequence[Radiograph], config: ReconstructionConfig
) -> list[Start]:
    """The best starts after the first levels, the best first."""
    found = []
    levels = config.levels[:FOLLOWED]
    middle = meeting_point(radiographs)
    slopes = [blurred(radiographs, level, middle) for level in levels]
    for start in starts[: config.starts]:
        values, score = start.values, start.score
        for level, slope in zip(levels, slopes, strict=True):
            values, asked = descend(start.knee, values, radiographs, slope, (level, config.correlation_mm))
            score = asked.score
        found.append(Start(start.knee, values, score))
    return sorted(found, key=lambda start: -start.score)


def _placed(
    knee: MovingKnee, values: AnyArray, radiographs: Sequence[Radiograph], shades: Sequence[AnyArray], search: float
) -> tuple[AnyArray, AnyArray]:
    """Shifts of a knee, mm (n, 3), and how well its shade fits there.

    A shift of the knee shifts its shade on each detector (nearly) as a whole, so that each view is scored by itself for
    all shifts in its plane, and the places in space look these up.
    """
    from scipy.ndimage import map_coordinates

    meshes = knee.meshes(values)
    middle = values[PLACE]
    line = np.arange(-np.ceil(search / GRID_MM), np.ceil(search / GRID_MM) + 1) * GRID_MM
    places = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    scores = np.zeros(len(places))
    for radiograph, image in zip(radiographs, shades, strict=True):
        view = radiograph.view
        step = GRID_MM / radiograph.pixel_at_bone(middle)
        expected = _gradient(_thickness(meshes, view, step, image.shape[1:]))
        table = _correlation(image, expected)
        shift = (view.project(middle + places) - view.project(middle)) / step + np.array(table.shape) // 2
        scores += map_coordinates(table, shift.T, order=1, mode="nearest") / len(radiographs)
    return places, scores


def _shade(radiograph: Radiograph, middle: AnyArray) -> AnyArray:
    """The directions in which a radiograph rises, coarse, steep places no more than twice the ordinary ones."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    step = GRID_MM / radiograph.pixel_at_bone(middle)
    image = gaussian_filter(np.asarray(radiograph.image, np.float32), step / 2, mode="nearest")
    rows, cols = (int(np.ceil(n / step)) for n in image.shape)
    at = np.stack(np.meshgrid(np.arange(rows) * step, np.arange(cols) * step, indexing="ij"))
    return _gradient(map_coordinates(image, at, order=1, mode="nearest"))


def _gradient(image: AnyArray) -> AnyArray:
    """Of a coarse image, without weight on how steep it is beyond what is ordinary: (2, rows, columns)."""
    slopes = np.stack(np.gradient(image))
    slopes[:, [0, -1]] = 0
    slopes[:, :, [0, -1]] = 0
    size = np.hypot(*slopes)
    return slopes / (size + max(float(np.quantile(size, STRONG)), 1e-20) / 2)


def _thickness(meshes: Mapping[str, Mesh], view: View, step: float, shape: tuple[int, ...]) -> AnyArray:
    """How much bone lies on each ray, coarsely: every triangle gives its distance from the source, back less front."""
    from scipy.ndimage import gaussian_filter

    total = np.zeros(shape[0] * shape[1])
    for mesh in meshes.values():
        a, b, c = mesh.corners
        middle = (a + b + c) / 3
        away = middle - view.source
        distance = np.linalg.norm(away, axis=1)
        # solid angle times distance is area across the ray over distance
        path = np.einsum("nd,nd->n", np.cross(b - a, c - a), away) / 2 / distance**2
        at = view.project(middle) / step
        low = np.floor(at).astype(int)
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            cell = low + corner
            inside = ((cell >= 0) & (cell < shape)).all(axis=1)
            share = np.prod(1 - np.abs(at - cell), axis=1) * path
            total += np.bincount(cell[inside] @ [shape[1], 1], share[inside], len(total))
    return gaussian_filter(total.reshape(shape), 0.7)


def _correlation(image: AnyArray, expected: AnyArray) -> AnyArray:
    """Cosine of the angle between two fields for all shifts of the second, (2 rows, 2 columns); 0 in the middle."""
    rows, cols = image.shape[1:]
    size = (2 * rows, 2 * cols)
    spectra = [np.fft.rfft2(field, s=size, axes=(1, 2)) for field in (image, expected)]
    product = np.fft.irfft2((spectra[0] * np.conj(spectra[1])).sum(axis=0), s=size)
    length = np.linalg.norm(image) * np.linalg.norm(expected)
    return np.fft.fftshift(product) / max(float(length), 1e-20)
