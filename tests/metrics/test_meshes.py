"""Distances and overlap of meshes: spheres and boxes whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Mesh
from voxbench.metrics import mesh_distances, mesh_overlap, point_distances
from voxbench.metrics.meshes import surface_places

QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
BOX_FACES = np.array([f for a, b, c, d in QUADS for f in ((a, b, c), (a, c, d))])


def cube(side: float, at: tuple[float, ...] = (0, 0, 0)) -> Mesh:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    return Mesh(np.array(at) + side * corners, BOX_FACES)


def sphere(radius: float, cuts: int = 4, at: tuple[float, ...] = (0, 0, 0)) -> Mesh:
    """An octahedron cut in four again and again, its vertices on the sphere."""
    vertices = np.vstack([np.eye(3), -np.eye(3)])
    faces = np.array([(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)])
    for _ in range(cuts):
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        middles = np.concatenate([a + b, b + c, c + a])
        middles /= np.linalg.norm(middles, axis=1, keepdims=True)
        n, m = len(vertices), len(faces)
        ab, bc, ca = (n + m * k + np.arange(m) for k in range(3))
        fa, fb, fc = faces.T
        faces = np.concatenate([np.stack(f, 1) for f in ((fa, ab, ca), (fb, bc, ab), (fc, ca, bc), (ab, bc, ca))])
        vertices = np.vstack([vertices, middles])
    return Mesh(np.array(at) + radius * vertices, faces)


def test_concentric_spheres_lie_the_difference_of_their_radii_apart():
    distances = mesh_distances(sphere(10, 5), sphere(12, 5), step=0.5)
    for value in (distances.assd, distances.masd, distances.hd, distances.hd95):
        assert value == pytest.approx(2, abs=0.01)  # the facets cut 0.006 mm deep


def test_a_cube_within_a_cube_has_its_distances_in_closed_form():
    inner, outer = cube(8, (1, 1, 1)), cube(10)
    distances = mesh_distances(inner, outer, step=0.25)
    # from inside out it is 1 everywhere; the other way 1 but for rims: an edge strip sqrt(1 + t^2), a corner square
    np.testing.assert_allclose(distances.forward.distances, 1, atol=1e-12)
    strip = (np.sqrt(2) + np.arcsinh(1)) / 2
    t = (np.arange(2000) + 0.5) / 2000
    corner = np.sqrt(1 + t[:, None] ** 2 + t[None] ** 2).mean()
    assert distances.backward.mean == pytest.approx((64 + 4 * 8 * strip + 4 * corner) / 100, rel=3e-4)
    assert distances.backward.maximum == distances.hd == pytest.approx(np.sqrt(3), rel=1e-14)
    assert distances.assd == pytest.approx((384 + 600 * distances.backward.mean) / 984, rel=1e-12)
    assert distances.masd == (distances.forward.mean + distances.backward.mean) / 2


def test_a_mesh_is_nowhere_away_from_itself_but_its_points_are():
    mesh = sphere(20, 4)
    distances = mesh_distances(mesh, mesh)
    assert distances.hd < 1e-12
    points = [surface_places(Mesh(mesh.vertices, faces), 1)[0] for faces in (mesh.faces[::2], mesh.faces[1::2])]
    assert point_distances(*points).assd > 0.1


def test_the_maximum_looks_at_vertices_and_percentiles_at_area():
    spike = Mesh(np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 3.0]]), np.array([[0, 1, 2], [0, 1, 3]]))
    flat = Mesh(spike.vertices[:3], spike.faces[:1])
    distances = mesh_distances(spike, flat, step=0.5)
    assert distances.hd == 3
    assert distances.hd95 < 2.5
    assert distances.backward.maximum == 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.5, 3))
def test_moving_both_changes_nothing_and_scaling_both_scales(seed, scale):
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shift = rng.normal(0, 50, 3)
    one, two = sphere(5, 2), cube(7, (1, -2, 0))
    before = mesh_distances(one, two, 1)
    moved = [Mesh(scale * mesh.vertices @ turn.T + shift, mesh.faces) for mesh in (one, two)]
    after = mesh_distances(*moved, step=scale)
    for name in ("assd", "masd", "hd", "hd95"):
        assert getattr(after, name) == pytest.approx(scale * getattr(before, name), rel=1e-9)


def test_distances_are_symmetric():
    one, two = sphere(5, 2), cube(7, (1, -2, 0))
    there, back = mesh_distances(one, two), mesh_distances(two, one)
    assert (there.hd, there.hd95, there.masd) == (back.hd, back.hd95, back.masd)
    assert there.assd == pytest.approx(back.assd, rel=1e-14)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), step=st.floats(0.3, 20))
def test_places_stand_for_the_whole_area_evenly(seed, step):
    mesh = Mesh(np.random.default_rng(seed).normal(0, 3, (9, 3)), np.arange(9).reshape(3, 3))
    places, areas = surface_places(mesh, step)
    assert areas.sum() == pytest.approx(mesh.area, rel=1e-12)
    a, b, c = mesh.corners
    first_moment = (mesh.face_areas[:, None] * (a + b + c) / 3).sum(axis=0)
    np.testing.assert_allclose((places * areas[:, None]).sum(axis=0), first_moment, atol=1e-9)


def test_points_to_points_by_hand():
    distances = point_distances(np.array([[0, 0, 0], [4, 0, 0.0]]), np.array([[1, 0, 0.0]]))
    assert distances.forward.distances.tolist() == [1, 3]
    assert (distances.assd, distances.masd, distances.hd) == ((1 + 3 + 1) / 3, 1.5, 3)


def test_boxes_overlap_by_their_shared_volume():
    overlap = mesh_overlap(cube(10), cube(10, (5, 0, 0)), spacing=0.5)
    assert (overlap.first, overlap.second, overlap.shared) == (1000, 1000, 500)
    assert overlap.dice == 0.5
    assert mesh_overlap(cube(10), cube(10, (50, 0, 0))).dice == 0
    assert mesh_overlap(cube(2, (0.1, 0.1, 0.1)), cube(3, (0, 0, 0)), spacing=7).shared == 0


def test_spheres_one_within_the_other_overlap_by_their_volumes():
    inner, outer = sphere(8, 4, (0.2, 0.1, 0)), sphere(10, 4)
    assert mesh_overlap(inner, outer, 0.5).dice == pytest.approx(2 * 0.512 / 1.512, rel=2e-3)


def test_dice_is_undefined_where_no_voxel_centre_lies_inside():
    assert np.isnan(mesh_overlap(cube(0.2, (0.1, 0.1, 0.1)), cube(0.2, (0.1, 0.1, 0.1)), 1.0).dice)


def test_meshes_too_large_for_their_unit_are_refused():
    with pytest.raises(InputError, match=r"takes 8e\+12 voxels of 0.5 mm.*\n.*in mm"):
        mesh_overlap(cube(10), cube(10000))
    with pytest.raises(InputError, match=r"places at a step of 1 mm"):
        mesh_distances(cube(1e5), cube(10))


def test_surfaces_without_area_or_inside_are_refused():
    flat = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(EmptyShapeError, match="without area"):
        mesh_distances(cube(1), flat)
    with pytest.raises(InputError, match="open surface"):
        mesh_overlap(cube(3), Mesh(cube(3).vertices, BOX_FACES[1:]))
