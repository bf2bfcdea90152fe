"""Meshes: what they measure, when they are closed, points on them, voxels in them and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import DimensionError, EmptyShapeError, InputError, NotFiniteError
from voxbench.geometry import Affine, Grid, LabelMap, Mesh, extract_mesh, sample_surface, voxelise
from voxbench.geometry.mesh import same_positions

QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
BOX_FACES = np.array([f for a, b, c, d in QUADS for f in ((a, b, c), (a, c, d))])


def box(low: tuple[float, ...] = (0, 0, 0), high: tuple[float, ...] = (2, 3, 4)) -> Mesh:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    return Mesh(np.array(low) + corners * (np.array(high) - np.array(low)), BOX_FACES)


def test_a_box_has_its_area_volume_and_description():
    mesh = box()
    assert mesh.area == 52
    assert mesh.volume == pytest.approx(24, rel=1e-14)
    assert mesh.is_watertight
    assert mesh.is_closed
    assert repr(mesh) == "Mesh(8 vertices, 12 faces   2 x 3 x 4 mm   closed, 0.024 ml)"
    assert Mesh(mesh.vertices, mesh.faces[:, ::-1]).volume == pytest.approx(-24, rel=1e-14)


def test_a_mesh_with_a_hole_is_open_and_has_no_volume():
    mesh = box()
    holed = Mesh(mesh.vertices, mesh.faces[1:])
    assert not holed.is_watertight
    assert holed.open_edges == 3
    assert np.isnan(holed.volume)
    assert "open at 3 edges" in repr(holed)
    with pytest.raises(InputError, match="3 edges belong to an odd number of faces"):
        voxelise(holed, Grid.from_parts((3, 3, 3)))


def test_corners_at_one_position_count_as_one_vertex():
    mesh = box()
    soup = Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(36).reshape(12, 3))
    assert len(soup.vertices) == 36  # kept as they are
    assert soup.is_watertight


def test_two_boxes_that_share_an_edge_are_closed_but_not_watertight():
    one, two = box((0, 0, 0), (1, 1, 1)), box((1, 1, 0), (2, 2, 1))
    both = Mesh(np.vstack([one.vertices, two.vertices]), np.vstack([one.faces, two.faces + 8]))
    assert not both.is_watertight
    assert both.is_closed
    assert both.volume == pytest.approx(2)


def test_positions_are_found_in_the_order_they_turn_up():
    kept, place = same_positions(np.array([[5, 0, 0], [1, 0, 0], [5, 0, 0], [0, 0, 0], [1, 0, 0]], float))
    np.testing.assert_array_equal(kept, [0, 1, 3])
    np.testing.assert_array_equal(place, [0, 1, 0, 2, 1])


@pytest.mark.parametrize(
    ("vertices", "faces", "error", "says"),
    [
        (np.zeros((3, 2)), np.array([[0, 1, 2]]), DimensionError, "three coordinates"),
        (np.zeros((4, 3)), np.array([[0, 1, 2, 3]]), DimensionError, "triangles"),
        (np.zeros((4, 3)), np.zeros((0, 3), int), EmptyShapeError, "without faces; it has 4 vertices"),
        (np.array([[0, 0, 0], [1, np.nan, 0], [0, 1, np.inf]]), np.array([[0, 1, 2]]), NotFiniteError, "2 of 3"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), InputError, "0 to 3; there are 0 to 2"),
        (np.zeros((3, 3)), np.array([[-1, 1, 2]]), InputError, "-1 to 2"),
    ],
)
def test_what_is_no_mesh_is_refused(vertices, faces, error, says):
    with pytest.raises(error, match=says):
        Mesh(vertices, faces)


def test_a_mesh_does_not_change():
    vertices = np.zeros((3, 3))
    mesh = Mesh(vertices, np.array([[0, 1, 2]]))
    vertices[:] = 7
    assert not mesh.vertices.any()
    with pytest.raises(ValueError, match="read-only"):
        mesh.vertices[0] = 1


def test_points_lie_on_the_surface_as_dense_everywhere_and_repeat_with_their_seed():
    mesh = box((0, 0, 0), (1, 1, 8))
    points = sample_surface(mesh, 20000, np.random.default_rng(4))
    inner = np.minimum(points, [1, 1, 8] - points)
    assert np.abs(inner.min(axis=1)).max() < 1e-12  # on a face
    share = (np.abs(inner[:, 2]) < 1e-9).mean()
    assert share == pytest.approx(2 / 34, abs=4 * np.sqrt(2 / 34 / 20000))
    np.testing.assert_array_equal(points, sample_surface(mesh, 20000, np.random.default_rng(4)))


def test_a_surface_without_area_has_no_points():
    with pytest.raises(EmptyShapeError, match="without area"):
        sample_surface(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 3, np.random.default_rng(0))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    flip=st.sampled_from([(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (-1, -1, -1)]),
    order=st.permutations([0, 1, 2]),
)
def test_the_surface_of_voxels_voxelised_on_their_grid_gives_the_voxels_again(seed, flip, order):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (6, 7, 5))
    direction = (np.diag(flip) @ np.eye(3)[order]).astype(float)
    turn = Affine.from_parts(_rotation(rng), np.zeros(3)).linear
    grid = Grid.from_parts((6, 7, 5), (0.7, 1.3, 2.0), (-40, 12, 5), turn @ direction)
    mesh = extract_mesh(LabelMap(labels, grid), 2)
    assert mesh.is_closed
    assert mesh.volume > 0  # faces look outwards, whichever way the voxels turn
    np.testing.assert_array_equal(voxelise(mesh, grid), labels == 2)


def _rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_a_single_voxel_at_the_border_has_a_closed_surface_around_its_centre():
    labels = np.zeros((3, 3, 3), int)
    labels[0, 2, 1] = 5
    grid = Grid.from_parts((3, 3, 3), (2, 2, 2), (10, 20, 30))
    mesh = extract_mesh(LabelMap(labels, grid))
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), [10, 24, 32])
    np.testing.assert_allclose(mesh.bounds, ([9, 23, 31], [11, 25, 33]))


def test_no_voxel_of_the_label_is_an_error_that_says_what_there_is():
    labels = LabelMap(np.eye(3, dtype=int)[None].repeat(3, 0) * 4, Grid.from_parts((3, 3, 3)))
    with pytest.raises(EmptyShapeError, match=r"label 7; there are 4"):
        extract_mesh(labels, 7)


def test_voxels_of_a_box_count_its_volume_exactly():
    mask = voxelise(box((1, 1, 1), (3, 4, 6)), Grid.from_parts((8, 8, 8)))
    assert int(mask.sum()) == 2 * 3 * 5
    assert mask.dtype == np.bool_
    one, two = (
        voxelise(box(low, high), Grid.from_parts((8, 8, 8)))
        for low, high in (((0, 0, 0), (3, 3, 3)), ((3, 0, 0), (6, 3, 3)))
    )
    assert not (one & two).any()


def test_real_bones_are_closed_and_their_voxels_hold_their_volume(real_data):
    from voxbench.io import read_labels, read_mesh

    patella = read_mesh(real_data / "knee" / "vhf_right_patella.stl")
    low, high = patella.bounds
    grid = Grid.from_parts(tuple(int(n) for n in np.ceil(high - low) + 2), (1, 1, 1), low - 0.5)
    assert patella.is_watertight
    assert float(voxelise(patella, grid).sum()) == pytest.approx(abs(patella.volume), rel=5e-3)
    knee = read_labels(real_data / "knee" / "dess_right_bones-label.nrrd")
    bone = extract_mesh(knee, 7)
    np.testing.assert_array_equal(voxelise(bone, knee.grid), knee.mask(7))
    assert bone.volume == pytest.approx(knee.mask(7).sum() * knee.grid.voxel_volume, rel=0.02)
