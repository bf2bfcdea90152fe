"""The mesh kernels against slow definitions: nearest triangles one by one, and solid angles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench import _core


def slow_distance(point: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Least of: the foot on the plane if its barycentric coordinates are all positive, and the three edges."""
    candidates = []
    for p, q in ((a, b), (b, c), (c, a)):
        length = (q - p) @ (q - p)
        t = np.clip((point - p) @ (q - p) / length, 0, 1) if length else 0.0
        candidates.append(np.linalg.norm(point - p - t * (q - p)))
    edges = np.column_stack([b - a, c - a])
    if np.linalg.matrix_rank(edges) == 2:
        s, t = np.linalg.lstsq(edges, point - a, rcond=None)[0]
        if s >= 0 and t >= 0 and s + t <= 1:
            candidates.append(np.linalg.norm(edges @ [s, t] + a - point))
    return min(candidates)


def slow_distances(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return np.array([min(slow_distance(p, *vertices[f]) for f in faces) for p in points])


def winding(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Solid angle of the surface over 4 pi, by A. van Oosterom and J. Strackee (doi:10.1109/TBME.1983.325207)."""
    a, b, c = (vertices[faces[:, corner]][None] - points[:, None] for corner in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    top = np.einsum("nmd,nmd->nm", a, np.cross(b, c))
    dots = [(u * v).sum(-1) * w for u, v, w in ((a, b, lc), (b, c, la), (c, a, lb))]
    return np.arctan2(top, la * lb * lc + sum(dots)).sum(axis=1) / (2 * np.pi)


def soup(seed: int, count: int, vertices: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 10, (vertices, 3)), rng.integers(0, vertices, (count, 3)).astype(np.int32)


def octahedron(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Closed, with corners anywhere on its axes."""
    reach = np.random.default_rng(seed).uniform(2, 6, 6)
    corners = np.vstack([np.diag(reach[:3]), -np.diag(reach[3:])]) + 7.3
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    return corners, np.array(faces, np.int32)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.sampled_from([1, 2, 5, 17, 60]))
def test_distances_are_those_of_every_triangle_one_by_one(seed, count):
    vertices, faces = soup(seed, count)
    points = np.vstack([np.random.default_rng(seed + 1).normal(0, 15, (12, 3)), vertices[:4]])
    np.testing.assert_allclose(
        _core.surface_distances(points, vertices, faces), slow_distances(points, vertices, faces), atol=1e-12
    )


def test_degenerate_triangles_are_segments_and_points():
    vertices = np.array([[0, 0, 0], [2, 0, 0], [1, 0, 0], [5, 5, 5], [1, 1e-14, 0]], float)
    segment, dot, sliver = (np.array([f], np.int32) for f in ((0, 1, 2), (3, 3, 3), (0, 1, 4)))
    points = np.array([[1, 3, 4], [-3, 4, 0], [5, 5, 7]], float)
    expected = [5, 5, np.sqrt(9 + 25 + 49)]
    np.testing.assert_array_equal(_core.surface_distances(points, vertices, segment), expected)
    np.testing.assert_allclose(_core.surface_distances(points, vertices, sliver), expected, rtol=1e-13)
    assert _core.surface_distances(points, vertices, dot)[2] == 2


def test_every_instruction_set_and_number_of_threads_gives_the_same_bits():
    vertices, faces = soup(3, 500, 300)
    points = np.random.default_rng(0).normal(0, 15, (200, 3))
    corners, triangles = octahedron(3)
    found = []
    best = _core.instruction_set()
    try:
        for level, threads in [(level, threads) for level in range(best + 1) for threads in (1, 2)]:
            _core.set_instruction_set(level)
            _core.threads(threads)
            inside = _core.voxelise(corners, triangles, (15, 15, 15))
            found.append(_core.surface_distances(points, vertices, faces).tobytes() + inside.tobytes())
    finally:
        _core.set_instruction_set(best)
        _core.threads(2)
    assert len(set(found)) == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), flipped=st.booleans())
def test_inside_is_where_the_solid_angle_is_full(seed, flipped):
    vertices, faces = octahedron(seed)
    shape = (14, 15, 16)
    centres = np.stack(np.indices(shape), -1).reshape(-1, 3).astype(float)
    wound = np.abs(winding(centres, vertices, faces))
    mask = _core.voxelise(vertices, faces[:, ::-1].copy() if flipped else faces, shape).ravel()
    sure = np.abs(wound - 0.5) > 1e-6
    np.testing.assert_array_equal(mask[sure], wound[sure] > 0.5)


def test_no_ray_leaks_where_vertices_and_edges_lie_on_voxel_centres():
    corners = np.array([[x, y, z] for x in (2, 7) for y in (3, 9) for z in (1, 4)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))], np.int32)
    mask = _core.voxelise(corners, faces, (10, 11, 6))
    # half-open: a centre on a face belongs to the side of the greater index
    own = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    assert [len(o) for o in own] == [5, 6, 3]
    assert mask.sum() == 5 * 6 * 3


def test_what_lies_outside_the_grid_is_cut_off():
    vertices, faces = octahedron(1)
    whole = _core.voxelise(vertices, faces, (14, 14, 14))
    part = _core.voxelise(vertices - [6, 6, 6], faces, (5, 4, 3))
    np.testing.assert_array_equal(part, whole[6:11, 6:10, 6:9])
    assert not _core.voxelise(vertices + 1e12, faces, (5, 5, 5)).any()
    assert not _core.voxelise(vertices - 1e12, faces, (5, 5, 5)).any()
    assert _core.voxelise((vertices - 7.3) * 1e9, faces, (3, 3, 3)).all()


@pytest.mark.parametrize(
    ("points", "vertices", "faces", "error"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((3, 3)), np.array([[0, 1, 2]], np.int32), TypeError),
        (np.zeros((2, 2)), np.zeros((3, 3)), np.array([[0, 1, 2]], np.int32), ValueError),
        (np.full((1, 3), np.nan), np.zeros((3, 3)), np.array([[0, 1, 2]], np.int32), ValueError),
        (np.zeros((2, 3)), np.zeros((3, 3)), np.array([[0, 1, 3]], np.int32), ValueError),
        (np.zeros((2, 3)), np.zeros((3, 3)), np.array([[0, 1, -1]], np.int32), ValueError),
        (np.zeros((2, 3)), np.zeros((3, 3)), np.array([[0, 1, 2]], np.int64), TypeError),
        (np.zeros((2, 3)), np.zeros((3, 3)), np.zeros((0, 3), np.int32), TypeError),
        (np.zeros((4, 3))[::2], np.zeros((3, 3)), np.array([[0, 1, 2]], np.int32), TypeError),
    ],
)
def test_arrays_that_do_not_fit_are_refused(points, vertices, faces, error):
    with pytest.raises(error):
        _core.surface_distances(points, vertices, faces)
