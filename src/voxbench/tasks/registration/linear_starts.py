"""Where to start: poses from headers, boxes, masses and principal axes, with turns and shifts around them."""

from __future__ import annotations

import itertools

import numpy as np

from voxbench.geometry import Affine, Grid
from voxbench.tasks.registration.linear_images import Content
from voxbench.tasks.registration.linear_models import Model, Pose, rotation_by
from voxbench.types import Vector3

NEAR_DEGREES = 50.0
"""Rotations up to this against the headers are what patients do; beyond it a header must be wrong."""


def near_headers(poses: np.ndarray) -> np.ndarray:
    """Which of many poses (n, 3, 4), or linear maps (n, 3, 3), turn no further than patients do."""
    u, _, v = np.linalg.svd(poses[:, :, :3])
    cosine = (np.trace(u @ v, axis1=1, axis2=2) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))) <= NEAR_DEGREES


def pose_of(map_: Affine, centre: Vector3) -> Pose:
    """The pose of a map of world points, about a centre."""
    return np.column_stack([map_.linear, map_(centre)])


def affine_of(pose: Pose, centre: Vector3) -> Affine:
    """The map of world points of a pose about a centre."""
    return Affine.from_parts(pose[:, :3], pose[:, 3] - pose[:, :3] @ centre)


def half_axis_turns() -> list[np.ndarray]:
    """The 24 rotations of the cube, the identity first."""
    turns = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turn = np.zeros((3, 3))
            turn[range(3), order] = signs
            if np.linalg.det(turn) > 0:
                turns.append(turn)
    return turns


def tilts(degrees: float, at_once: int) -> list[np.ndarray]:
    """Rotations of 0 or +-``degrees`` about up to ``at_once`` of the axes together, the identity first."""
    steps = [np.array(s) for s in itertools.product((0, 1, -1), repeat=3)]
    kept = [s for s in steps if np.count_nonzero(s) <= at_once]
    return [rotation_by(np.radians(degrees) * s)[0] for s in sorted(kept, key=np.count_nonzero)]


def candidates(sampled: tuple[Grid, Content], read: tuple[Grid, Content], model: Model, anywhere: bool) -> np.ndarray:
    """Poses worth scoring, the header's own first.

    Args:
        sampled: Grid and content of the image whose points are taken.
        read: Grid and content of the image they are read in.
        model: A translation has no turns, a rigid motion no scales.
        anywhere: Whether rotations beyond those of a patient are tried too.

    Returns:
        Poses, shape (n, 3, 4).
    """
    (grid, content), (other_grid, other) = sampled, read
    boxes = content.centre + other_grid.centre - grid.centre
    poses = [np.column_stack([np.eye(3), place]) for place in (content.centre, boxes, other.centre)]
    turns = [np.eye(3)] if model == "translation" else tilts(25.0, 1)
    places = shifted([content.centre, boxes, other.centre], 0.3 * content.radius)
    if content.part_of(other):
        places += lattice(other, 0.4 * content.radius)
    poses += [np.column_stack([turn, place]) for place in places for turn in turns]
    if model == "translation":
        return np.stack(poses)
    scales = [1.0]
    if model in ("similarity", "affine"):
        scales.append(float(np.clip((other.volume / content.volume) ** (1 / 3), 0.7, 1.4)))
    turns = [*tilts(25.0, 3), *tilts(50.0, 1)[1:], *axis_matches(content, other, anywhere)]
    centres = (boxes, other.centre)
    poses += [np.column_stack([s * turn, place]) for s in scales for place in centres for turn in turns]
    if anywhere:
        turns = [tilt @ turn for turn in half_axis_turns()[1:] for tilt in tilts(28.0, 2)]
        poses += [np.column_stack([turn, place]) for place in centres for turn in turns]
    return np.stack(poses)


def shifted(places: list[Vector3], step: float) -> list[np.ndarray]:
    """Places and those one step away from them along any axes."""
    steps = [step * np.array(s, dtype=np.float64) for s in itertools.product((0, 1, -1), repeat=3)]
    return [place + s for place in places for s in steps]


def lattice(content: Content, step: float) -> list[np.ndarray]:
    """Places all over a content: where the centre of a part of it may lie."""
    every = np.maximum(1, np.rint(step / content.grid.spacing)).astype(int)
    index = np.argwhere(content.inside(0.0)[:: every[0], :: every[1], :: every[2]]) * every
    return list(content.grid.world_from_voxel(index.astype(np.float64)))


def around(pose: Pose, radius: float, model: Model) -> np.ndarray:
    """A pose and its neighbours: shifted, turned, and smaller or larger by an eighth, as the model allows."""
    steps = [np.zeros(3), *(0.2 * radius * sign * axis for sign in (1, -1) for axis in np.eye(3))]
    turns = [np.eye(3)] if model == "translation" else tilts(12.0, 1)
    scales = (1.0, 1 / 1.125, 1.125) if model in ("similarity", "affine") else (1.0,)
    return np.stack(
        [
            np.column_stack([scale * turn @ pose[:, :3], pose[:, 3] + step])
            for scale, turn, step in itertools.product(scales, turns, steps)
        ]
    )


def axis_matches(content: Content, other: Content, anywhere: bool) -> list[np.ndarray]:
    """The four rotations that bring principal axes onto each other, without those no patient does unless asked."""
    matches = [
        other.axes @ np.diag(signs) @ content.axes.T
        for signs in itertools.product((1, -1), repeat=3)
        if np.prod(signs) > 0
    ]
    return [m for m, near in zip(matches, near_headers(np.stack(matches)), strict=True) if anywhere or near]


def distance_mm(one: Pose, other: Pose, radius: float) -> float:
    """Root mean square distance between where two poses put the points of a sphere about the centre."""
    difference = one - other
    return float(np.sqrt((difference[:, :3] ** 2).sum() * radius**2 / 3 + (difference[:, 3] ** 2).sum()))


def distinct(poses: np.ndarray, scores: np.ndarray, radius: float, apart_mm: float, count: int) -> list[int]:
    """Indices of the best poses that lie apart from each other, best first.

    Args:
        poses: Shape (n, 3, 4).
        scores: Larger is better.
        radius: Distance from the centre at which poses are compared, mm.
        apart_mm: Root mean square distance below which two poses count as one.
        count: At most so many.
    """
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if all(distance_mm(poses[index], poses[k], radius) > apart_mm for k in kept):
            kept.append(int(index))
        if len(kept) == count:
            break
    return kept
