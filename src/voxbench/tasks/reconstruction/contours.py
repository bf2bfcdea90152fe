"""Where a surface meets the rays tangentially: the lines that a radiograph shows as the edge of a bone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.geometry.projection import View
from voxbench.types import AnyArray


@dataclass(frozen=True, eq=False)
class Surface:
    """The triangles of a bone, with what is needed to follow its normals.

    Attributes:
        faces: int (m, 3).
        count: Number of vertices.
        counted: Which faces may give edges; the flat ends at which a bone was cut off may not.
    """

    faces: AnyArray
    count: int
    counted: AnyArray

    def normals(self, vertices: AnyArray) -> AnyArray:
        """Unit normals of the vertices (means of the faces', by area), outwards, float64 (n, 3)."""
        a, b, c = (vertices[self.faces[:, corner]] for corner in range(3))
        across = np.cross(b - a, c - a)
        at = self.faces.T.ravel()
        sums = np.stack([np.bincount(at, np.tile(across[:, d], 3), self.count) for d in range(3)], axis=1)
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True, eq=False)
class Contour:
    """Short pieces of occluding contour, one per triangle that the contour crosses.

    Attributes:
        corners: Vertices of the triangle, int (n, 3).
        shares: What each of them contributes to the middle of the piece, (n, 3).
        pixels: Where the middle falls, (row, column), (n, 2).
        normals: Unit vectors on the detector, away from the bone, in pixels, (n, 2).
        moves: How far the contour moves along the normal with the middle of the piece, pixels per mm, (n, 3).
        lengths: Of the pieces on the detector, pixels, (n,).
    """

    corners: AnyArray
    shares: AnyArray
    pixels: AnyArray
    normals: AnyArray
    moves: AnyArray
    lengths: AnyArray


def occluding_contour(surface: Surface, vertices: AnyArray, normals: AnyArray, view: View) -> Contour:
    """The contour of a bone in a view, hidden parts included, for X-rays see them.

    The contour is where the normals, interpolated over each triangle, are at a right angle to the rays. Where a surface
    is hollow along the ray the radiograph shows no rise towards the bone; such pieces are left out.

    Args:
        surface: The bone's triangles.
        vertices: The bone's vertices in the world, mm, (n, 3).
        normals: Of the vertices, (n, 3).
        view: Where from.
    """
    away = vertices - view.source
    facing = np.einsum("nd,nd->n", normals, away)
    at = facing[surface.faces]
    back = at > 0
    some = back.sum(axis=1)
    crossed = np.flatnonzero(surface.counted & ((some == 1) | (some == 2)))
    faces, at, back = surface.faces[crossed], at[crossed], back[crossed]
    lone = np.argmax(back == (back.sum(axis=1) == 1)[:, None], axis=1)
    rows = np.arange(len(faces))
    ends = []
    for step in (1, 2):
        other = (lone + step) % 3
        share = at[rows, lone] / (at[rows, lone] - at[rows, other])
        weights = np.zeros((len(faces), 3))
        weights[rows, lone], weights[rows, other] = 1 - share, share
        ends.append(weights)
    shares = (ends[0] + ends[1]) / 2
    triangles = vertices[faces]
    rounded = _rounded(triangles, at, shares, view)
    faces, shares, triangles = faces[rounded], shares[rounded], triangles[rounded]
    ends = [end[rounded] for end in ends]
    first, last = (view.project(np.einsum("nk,nkd->nd", end, triangles)) for end in ends)
    middle = np.einsum("nk,nkd->nd", shares, triangles)
    between = np.einsum("nk,nkd->nd", shares, normals[faces])
    flat = np.stack([between @ view.down * view.pixel_mm[0], between @ view.right * view.pixel_mm[1]], axis=1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    pixels = view.project(middle)
    lengths = np.linalg.norm(last - first, axis=1)
    return Contour(faces, shares, pixels, flat, _moves(middle, pixels, flat, view), lengths)


def _rounded(triangles: AnyArray, at: AnyArray, shares: AnyArray, view: View) -> AnyArray:
    """Which pieces lie where the surface bulges along the ray: front before back."""
    one, two = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    ray = np.einsum("nk,nkd->nd", shares, triangles) - view.source
    aa, ab, bb = (np.einsum("nd,nd->n", p, q) for p, q in ((one, one), (one, two), (two, two)))
    ra, rb = (np.einsum("nd,nd->n", ray, p) for p in (one, two))
    # the ray in the plane of the triangle is x one + y two, both times the (positive) determinant
    x, y = bb * ra - ab * rb, aa * rb - ab * ra
    return x * (at[:, 1] - at[:, 0]) + y * (at[:, 2] - at[:, 0]) > 0


def _moves(points: AnyArray, pixels: AnyArray, normals: AnyArray, view: View) -> AnyArray:
    """Derivative of the projected points along the normals with respect to the points, (n, 3)."""
    matrix = view.pixels_from_world
    depth = (points - view.source) @ view.normal
    along = normals @ matrix[:2, :3] - np.einsum("nk,nk->n", normals, pixels)[:, None] * matrix[2, :3]
    return along / depth[:, None]
