"""The patella looked for up and down, where a fit may have caught the wrong edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from voxbench.geometry.articulation import PARAMETERS
from voxbench.tasks.reconstruction.config import POSE_SPREAD
from voxbench.tasks.reconstruction.contours import occluding_contour
from voxbench.tasks.reconstruction.edges import Slopes
from voxbench.tasks.reconstruction.fit import Radiograph, inside
from voxbench.tasks.reconstruction.knee import MovingKnee
from voxbench.types import AnyArray

HEIGHTS = np.arange(-20.0, 21.0, 2.5)
DEPTHS = np.arange(-12.0, 13.0, 2.0)
"""Shifts of the patella that are tried, mm."""
HEIGHT, DEPTH = (PARAMETERS.index(name) for name in ("patella_height", "patella_gap"))
SPREAD = np.array([POSE_SPREAD[name] for name in ("patella_height", "patella_gap")])
DOUBT = 0.02
"""What one standard deviation of height or depth costs, as a strength of edges; it grows with the square."""


def patella_found(
    knee: MovingKnee, values: AnyArray, radiographs: Sequence[Radiograph], slopes: Sequence[Slopes]
) -> AnyArray:
    """The parameters with the patella where the edges under its contour are strongest.

    It is the only bone that a fit can lose while the others are found: small, and in front of the femur, whose edges
    are stronger. Shifts by up to 20 mm up and down and 12 mm to the front and back are tried.

    Args:
        knee: What is fitted.
        values: Its parameters.
        radiographs: The images.
        slopes: Their gradients.
    """
    posed = knee.at(values)
    vertices, normals = posed.bones["patella"], posed.normals["patella"]
    up, forth = (posed.moved["patella"][index] for index in (HEIGHT, DEPTH))
    shape = np.concatenate([posed.shape["patella"], np.ones((len(vertices), 1))], axis=1)
    ways = [(shape @ way.T)[:, :3].mean(axis=0) for way in (up, forth)]
    contours = [occluding_contour(knee.surfaces["patella"], vertices, normals, r.view) for r in radiographs]
    contours = [inside(contour, r.view) for contour, r in zip(contours, radiographs, strict=True)]
    best, reached, middle = values, -np.inf, vertices.mean(axis=0)
    for height, depth in product(HEIGHTS, DEPTHS):
        shift = height * ways[0] + depth * ways[1]
        moved = np.array([values[HEIGHT] + height, values[DEPTH] + depth])
        strength = -DOUBT * float(((moved / SPREAD) ** 2).sum())
        for radiograph, contour, slope in zip(radiographs, contours, slopes, strict=True):
            rise = slope.rises(
                contour.pixels + radiograph.view.project(middle + shift) - radiograph.view.project(middle),
                contour.normals,
            )
            strength += float(np.average(np.nan_to_num(rise / (1 + rise)), weights=contour.lengths)) / len(radiographs)
        if strength > reached:
            best, reached = values.copy(), strength
            best[HEIGHT] += height
            best[DEPTH] += depth
    return best
