"""Where a fit to surface points begins: every place, both sides, some bendings and sizes, by one correlation each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from voxbench.errors import InputError
from voxbench.tasks.reconstruction.config import ReconstructionConfig
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.starts import APART_MM, PEAKS, PLACE, Start, chosen
from voxbench.tasks.reconstruction.surface_fit import (
    SURFACE_LEVELS,
    Extra,
    SurfaceLevel,
    SurfacePull,
    Targets,
    descend_to,
)
from voxbench.types import AnyArray

GRID_MM = 6.0
LONGEST_MM = (150.0, 150.0, 440.0)
"""Of a model's knee."""
FEWEST = 200
"""Points; from fewer nothing is fitted."""


def fit_surfaces(
    knees: Sequence[MovingKnee],
    targets: Targets,
    config: ReconstructionConfig = ReconstructionConfig(),
    levels: Sequence[SurfaceLevel] = SURFACE_LEVELS,
    extra: Extra | None = None,
) -> tuple[Start, SurfacePull]:
    """The knee that points on its surfaces show best.

    Args:
        knees: One for each side that may be it.
        targets: The points.
        config: Bendings and sizes of the starts.
        levels: Coarse to fine.
        extra: Further normal equations for the last level.

    Returns:
        The knee with its parameters, and what the points ask for there.

    Raises:
        InputError: There are hardly any points.
    """
    if len(targets.places) < FEWEST:
        raise InputError(
            f"{len(targets.places)} points on surfaces of bones; {FEWEST} are needed to fit a knee to them"
        )
    reached: list[tuple[Start, SurfacePull | None]] = [(start, None) for start in surface_look(knees, targets, config)]
    for number, level in enumerate(levels):
        passed: list[tuple[Start, SurfacePull | None]] = []
        for start in chosen([start for start, _ in reached], level.starts):
            own = extra if number == len(levels) - 1 else None
            values, asked = descend_to(start.knee, start.values, targets, level, own)
            passed.append((Start(start.knee, values, asked.score), asked))
        reached = sorted(passed, key=lambda pair: -pair[0].score)
    best, asked = reached[0]
    assert asked is not None
    return best, asked


def surface_look(knees: Sequence[MovingKnee], targets: Targets, config: ReconstructionConfig) -> list[Start]:
    """The best places for every side, bending and size; the best first, sides in turn.

    The normals of points and of the model are put on a coarse grid; how well they agree for every shift of the model is
    a correlation of these two vector fields.
    """
    low = targets.box[0]
    shape = tuple(int(n) for n in np.ceil((targets.box[1] - low) / GRID_MM) + 1)
    seen = _normals_on(targets.places, targets.normals, np.ones(len(targets.places)), (low, shape))
    padded = tuple(_even(n + int(np.ceil(most / GRID_MM))) for n, most in zip(shape, LONGEST_MM, strict=True))
    spectrum = np.fft.rfftn(seen, s=padded, axes=(1, 2, 3))
    middle = targets.box.mean(axis=0)
    queues = []
    for knee in knees:
        found = []
        for flexion, size in product(config.flexions, config.sizes):
            values = np.zeros(POSE + len(knee.model.modes))
            values[0], values[POSE], values[PLACE] = flexion, size, middle
            for shift, score in _peaks(knee, values, (low, shape, padded), spectrum):
                own = values.copy()
                own[PLACE] = middle + shift
                found.append(Start(knee, own, score))
        queues.append(sorted(found, key=lambda start: -start.score))
    return [start for row in zip(*queues, strict=True) for start in row]


def _peaks(
    knee: MovingKnee, values: AnyArray, grid: tuple[AnyArray, tuple[int, ...], tuple[int, ...]], spectrum: AnyArray
) -> list[tuple[AnyArray, float]]:
    """The best shifts of a knee that keep its joint in the box, mm, and how well it agrees there."""
    low, shape, padded = grid
    posed = knee.at(values)
    places, normals, areas = [], [], []
    for bone, vertices in posed.bones.items():
        surface = knee.surfaces[bone]
        corners = vertices[surface.faces[surface.counted]]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(across, axis=1)
        places.append(corners.mean(axis=1))
        normals.append(across / np.maximum(area, 1e-12)[:, None])
        areas.append(area)
    at = np.concatenate(places)
    first = np.floor(at.min(axis=0) / GRID_MM) * GRID_MM
    box = tuple(int(n) for n in np.ceil((at.max(axis=0) - first) / GRID_MM) + 2)
    # a model longer than the padding wraps around; what wraps lies beyond the box and meets nothing
    own = _normals_on(at, np.concatenate(normals), np.concatenate(areas), (first, box))
    own = own[:, : padded[0], : padded[1], : padded[2]]
    product_ = (spectrum * np.conj(np.fft.rfftn(own, s=padded, axes=(1, 2, 3)))).sum(axis=0)
    table = np.fft.irfftn(product_, s=padded, axes=(0, 1, 2))
    joint = np.round((values[PLACE] - first) / GRID_MM).astype(int)
    # shift of the model by s cells puts its joint at cell joint + s of the box; look at those within it
    rows = [(np.arange(n) - j) % p for n, j, p in zip(shape, joint, padded, strict=True)]
    near = table[np.ix_(*rows)] / max(float(np.linalg.norm(own)), 1e-20)
    found = []
    for _ in range(PEAKS):
        best = np.array(np.unravel_index(int(np.argmax(near)), shape))
        found.append((low + (best - joint) * GRID_MM - first, float(near[tuple(best)])))
        apart = int(APART_MM // GRID_MM)
        near[tuple(slice(max(0, b - apart), b + apart + 1) for b in best.tolist())] = -np.inf
    return found


def _normals_on(
    places: AnyArray, normals: AnyArray, areas: AnyArray, grid: tuple[AnyArray, tuple[int, ...]]
) -> AnyArray:
    """Normals summed on a grid, by their direction alone where there are many, (3, ...)."""
    from scipy.ndimage import gaussian_filter

    low, shape = grid
    at = np.round((places - low) / GRID_MM).astype(int)
    held = ((at >= 0) & (at < shape)).all(axis=1)
    flat = np.ravel_multi_index(tuple(at[held].T), shape)
    size = int(np.prod(shape))
    weighted = normals[held] * areas[held, None]
    field = np.stack([np.bincount(flat, weighted[:, d], size).reshape(shape) for d in range(3)])
    field = np.stack([gaussian_filter(part, 0.8) for part in field])
    length = np.linalg.norm(field, axis=0)
    strong = max(float(np.quantile(length[length > 0], 0.5)) if (length > 0).any() else 0.0, 1e-12)
    return field / (length + strong)


def _even(n: int) -> int:
    """A length not much greater whose Fourier transform is quick: at most 16 times a power of 2."""
    power = 2 ** max(0, (n - 1).bit_length() - 4)
    return power * -(-n // power)
