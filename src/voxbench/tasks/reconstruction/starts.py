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
from voxbench.tasks.reconstruction.fit import Pull, Radiograph, blurred, descend
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.search import patella_found
from voxbench.types import AnyArray

GRID_MM = 4.0
PEAKS = 3
APART_MM = 12.0
"""Of each bending, size and side, the best three places that are so far apart are starts."""
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

    def freed(self, config: ReconstructionConfig) -> Start:
        """The same knee, free to deform."""
        knee = self.knee.freed(config)
        return Start(knee, np.pad(self.values, (0, POSE + len(knee.model.modes) - len(self.values))), self.score)


def meeting_point(radiographs: Sequence[Radiograph]) -> AnyArray:
    """The place nearest to the rays to the middles of all detectors: where something in every view would be."""
    rays = [r.view.rays((np.array(r.view.shape) - 1) / 2) for r in radiographs]
    beside = [np.eye(3) - np.outer(ray, ray) for ray in rays]
    sources = [r.view.source for r in radiographs]
    return np.linalg.lstsq(sum(beside), sum(b @ s for b, s in zip(beside, sources, strict=True)), rcond=None)[0]


def first_look(
    knees: Sequence[MovingKnee], radiographs: Sequence[Radiograph], config: ReconstructionConfig
) -> list[Start]:
    """The best places for every side, bending and size; the best first, sides in turn."""
    middle = meeting_point(radiographs)
    shades = [_shade(radiograph, middle) for radiograph in radiographs]
    queues = []
    for knee in knees:
        found = []
        for flexion, size in product(config.flexions, config.sizes):
            values = np.zeros(POSE + len(knee.model.modes))
            values[0], values[POSE], values[PLACE] = flexion, size, middle
            for shift, score in _peaks(*_placed(knee, values, radiographs, shades, config.search_mm)):
                own = values.copy()
                own[PLACE] = middle + shift
                found.append(Start(knee, own, score))
        queues.append(sorted(found, key=lambda start: -start.score))
    return [start for row in zip(*queues, strict=True) for start in row]


def followed(
    starts: Sequence[Start], radiographs: Sequence[Radiograph], config: ReconstructionConfig
) -> tuple[list[Start], Pull]:
    """Starts followed from coarse to fine, fewer at every level.

    Args:
        starts: The best first.
        radiographs: The images.
        config: How many come how far.

    Returns:
        Those that came to the end, the best first, and the edges about the best.
    """
    middle = meeting_point(radiographs)
    reached = [(start, None) for start in starts]
    for level in config.levels:
        slopes = blurred(radiographs, level, middle)
        passed = []
        for start in chosen([start for start, _ in reached], level.starts):
            start = start.freed(config) if level.free else start
            begun = start.values
            if level.search:
                begun = patella_found(start.knee, begun, radiographs, slopes)
            values, asked = descend(start.knee, begun, radiographs, slopes, (level, config.correlation_mm))
            passed.append((Start(start.knee, values, asked.score), asked))
        reached = sorted(passed, key=lambda pair: -pair[0].score)
    best = reached[0][1]
    assert best is not None
    return [start for start, _ in reached], best


def chosen(starts: Sequence[Start], count: int) -> list[Start]:
    """So many of the best, but the best of either side if there is room: the two look alike until late."""
    sides = {start.knee.model.side: start for start in reversed(starts)}
    own = [start for start in starts if start is sides[start.knee.model.side]]
    rest = [start for start in starts if start is not sides[start.knee.model.side]]
    return own[:1] if count == 1 else (own + rest)[:count]


def _peaks(places: AnyArray, scores: AnyArray) -> list[tuple[AnyArray, float]]:
    """The best places, apart from each other."""
    left, found = scores.copy(), []
    for _ in range(PEAKS):
        best = int(np.argmax(left))
        found.append((places[best], float(scores[best])))
        left[np.linalg.norm(places - places[best], axis=1) < APART_MM] = -np.inf
    return found


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
    """The directions in which a radiograph rises, coarsely."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    step = GRID_MM / radiograph.pixel_at_bone(middle)
    image = gaussian_filter(np.asarray(radiograph.image, np.float32), step / 2, mode="nearest")
    rows, cols = (int(np.ceil(n / step)) for n in image.shape)
    at = np.stack(np.meshgrid(np.arange(rows) * step, np.arange(cols) * step, indexing="ij"))
    return _gradient(map_coordinates(image, at, order=1, mode="nearest"))


def _gradient(image: AnyArray) -> AnyArray:
    """Of a coarse image, by its direction alone where it is not flat: (2, rows, columns)."""
    slopes = np.stack([np.gradient(image, axis=axis) for axis in (0, 1)])
    slopes[:, [0, -1]] = 0
    slopes[:, :, [0, -1]] = 0
    size = np.hypot(*slopes)
    return slopes / (size + max(float(np.quantile(size, STRONG)), 1e-20) / 10)


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
