"""Edges of bones in a radiograph, searched for along the normals of a contour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from voxbench.types import AnyArray

STRONG = 0.9
"""Gradients are measured against this quantile of all,"""
RELIABLE = 3.0
"""Contours are expected to err by the reach of a search over this."""
LEAST = 0.1
"""or, where most of an image is flat, against this share of the largest."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """The gradient of an image after a Gaussian blur, relative to what is strong in that image.

    Attributes:
        down: Derivative along rows' count, (rows, columns).
        right: Along columns' count.
        blur: Width of the blur, pixels.
    """

    down: AnyArray
    right: AnyArray
    blur: float

    @staticmethod
    def of(image: AnyArray, blur: float) -> Slopes:
        """Blur and differentiate.

        Args:
            image: (rows, columns), bone brighter than what surrounds it.
            blur: Width of the Gaussian, pixels.
        """
        from scipy.ndimage import gaussian_filter1d

        image = np.asarray(image, np.float32)
        parts = []
        for axis in (0, 1):
            slope = gaussian_filter1d(image, blur, axis=axis, order=1, mode="nearest", truncate=3)
            parts.append(gaussian_filter1d(slope, blur, axis=1 - axis, mode="nearest", truncate=3))
        size = np.hypot(*parts)
        strong = max(float(np.quantile(size, STRONG)), float(size.max()) * LEAST)
        scale = np.float32(1 / max(strong, 1e-20))
        return Slopes(parts[0] * scale, parts[1] * scale, float(blur))

    def rises(self, pixels: AnyArray, normals: AnyArray) -> AnyArray:
        """How steeply the image rises towards the bone, less where it rises aslant; 0 or above, NaN beyond the image.

        Args:
            pixels: (row, column), (..., 2).
            normals: Away from the bone, (..., 2).
        """
        from scipy.ndimage import map_coordinates

        at = np.moveaxis(pixels, -1, 0)
        down, right = (
            map_coordinates(part, at, order=1, mode="constant", cval=np.nan) for part in (self.down, self.right)
        )
        straight = -(down * normals[..., 0] + right * normals[..., 1])
        size = np.hypot(down, right)
        return np.clip(straight, 0, None) * np.clip(straight / np.maximum(size, 1e-12), 0, None)


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for each piece of a contour.

    Attributes:
        offsets: From the contour outwards to the edge, pixels; NaN where there is none.
        strengths: 0 to 1.
    """

    offsets: AnyArray
    strengths: AnyArray


@dataclass(frozen=True, eq=False)
class Rivals:
    """Contours of other bones, which explain the edges near them.

    Attributes:
        pixels: (row, column), (m, 2).
        normals: Away from their bones, (m, 2).
    """

    pixels: AnyArray
    normals: AnyArray

    @cached_property
    def tree(self) -> Any:
        """For what is near."""
        from scipy.spatial import KDTree

        return KDTree(self.pixels, balanced_tree=False, compact_nodes=False)

    def leave(self, places: AnyArray, normals: AnyArray, along: AnyArray, reach: float) -> AnyArray:
        """The share of an edge at each place that belongs to the bone whose contour is searched from, (n, k).

        Two bones share an edge by how near their contours are expected to it, if both expect its direction.

        Args:
            places: Where edges are looked for, (n, k, 2).
            normals: Of the pieces, (n, 2).
            along: How far from the piece the places are, (k,).
            reach: Of the search, pixels; contours err by a third of it.
        """
        if not len(self.pixels):
            return np.ones(places.shape[:2])
        width = reach / RELIABLE
        far, which = self.tree.query(places, distance_upper_bound=3 * width)
        known = np.append(self.normals, [[0.0, 0.0]], axis=0)[which]
        alike = np.clip(np.einsum("nkd,nd->nk", known, normals), 0, None)
        with np.errstate(over="ignore"):
            return 1 / (1 + alike * np.exp(((along**2) - far**2) / (2 * width**2)))


def find_edges(
    slopes: Slopes, pixels: AnyArray, normals: AnyArray, search: tuple[float, float], rivals: Rivals | None = None
) -> Found:
    """The best edge near each piece of a contour: steep, and not far.

    Args:
        slopes: Of the image.
        pixels: (row, column), (n, 2).
        normals: Away from the bone, (n, 2).
        search: How far is searched on either side, and steps between the places looked at, pixels; a Gaussian of half
            that reach favours what is near.
        rivals: Contours of other bones, whose edges these may be.
    """
    reach, step = search
    count = max(1, int(np.ceil(reach / step)))
    along = np.arange(-count, count + 1) * step
    places = pixels[:, None] + along[:, None] * normals[:, None]
    rise = slopes.rises(places, np.broadcast_to(normals[:, None], places.shape))
    strength = rise / (1 + rise)
    if rivals is not None:
        strength = strength * rivals.leave(places, normals, along, reach)
    favoured = np.where(np.isnan(strength), -1.0, strength) * np.exp(-2 * (along / reach) ** 2)
    best = np.argmax(favoured, axis=1)
    rows, inner = np.arange(len(best)), np.clip(best, 1, 2 * count - 1)
    low, mid, high = (favoured[rows, inner + k] for k in (-1, 0, 1))
    bend = low - 2 * mid + high
    finer = np.where(bend < -1e-12, np.clip((low - high) / (2 * np.where(bend < -1e-12, bend, 1)), -0.5, 0.5), 0)
    offsets = along[inner] + finer * step
    peak = (best == inner) & (mid > 1e-3) & (low >= 0) & (high >= 0)
    return Found(np.where(peak, offsets, np.nan), np.where(peak, strength[rows, inner], 0.0))
