"""Labelled points for training: near the surfaces, and anywhere in the volume (the recipe of PIFu).

Their generator is not public; these are the names and the shape that their loader reads. S. Saito et al., ICCV 2019,
doi:10.1109/ICCV.2019.00239.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.processed import Frame, Processed
from voxbench.geometry import Mesh, sample_surface
from voxbench.geometry.inside import inside
from voxbench.io import atomic
from voxbench.types import Points


@dataclass(frozen=True, eq=False)
class Sampled:
    """Points and which bone each lies in.

    Attributes:
        surface: Near a surface, mm, (n, 3).
        surface_labels: 0 outside, else 1 to 4 in the order of `BONES`, uint8 (n,).
        random: Anywhere in the volume, mm, (m, 3).
        random_labels: The same, (m,).
    """

    surface: Points
    surface_labels: np.ndarray
    random: np.ndarray
    random_labels: np.ndarray


def sample_points(
    bones: Mapping[str, Mesh], frame: Frame, count: int, jitter_mm: float, rng: np.random.Generator
) -> Sampled:
    """Draw points and label them exactly.

    Args:
        bones: Closed meshes in the world.
        frame: The volume.
        count: Near the surface of each bone, and as many as all these anywhere.
        jitter_mm: Standard deviation of the distance to the surface's point, along each axis, mm.
        rng: Source of randomness.
    """
    near = [sample_surface(bones[bone], count, rng) for bone in BONES]
    surface = np.concatenate(near)
    surface = surface + jitter_mm * rng.standard_normal(surface.shape)
    surface = surface[(np.abs(frame.stored(surface)) < 1).all(axis=1)]
    anywhere = frame.world_from_stored(rng.uniform(-1, 1, (len(BONES) * count, 3)))
    return Sampled(surface, _labels(bones, surface), anywhere, _labels(bones, anywhere))


def write_samples(case: Processed, sampled: Sampled, frame: Frame) -> None:
    """The points as their loader reads them: a pickled dict under ``arr_0``.

    The same arrays are there once more under names of their own, for readers that do not unpickle.
    """
    content = {}
    for name, points, labels in (
        ("surface", sampled.surface, sampled.surface_labels),
        ("random", sampled.random, sampled.random_labels),
    ):
        stored = frame.stored(points).astype(np.float32)
        content[f"{name}_inside"] = stored[labels > 0]
        content[f"{name}_outside"] = stored[labels == 0]
        content[f"{name}_inside_labels"] = labels[labels > 0]
    with atomic(case.samples) as temporary:
        np.savez_compressed(temporary, np.array(content, dtype=object), **content)


def _labels(bones: Mapping[str, Mesh], points: np.ndarray) -> np.ndarray:
    labels = np.zeros(len(points), np.uint8)
    for number, bone in enumerate(BONES, 1):
        labels[inside(bones[bone], points)] = number
    return labels
