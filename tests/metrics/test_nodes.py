"""Lymph nodes: shapes whose axes are known."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import GridMismatchError
from voxbench.geometry import Affine, Grid
from voxbench.metrics import lymph_nodes
from voxbench.metrics.flat_axes import axes_in_plane
from voxbench.metrics.nodes import components, enlarged, measured

CT = Grid.from_parts((50, 50, 16), (0.826, 0.826, 3.0), (-20.0, -15.0, 100.0))


def ellipsoid(grid: Grid, diameters: tuple[float, ...], degrees: float = 0.0) -> np.ndarray:
    """True in an ellipsoid at the grid's centre, turned in the axial plane."""
    world = grid.world_from_voxel(np.stack(np.indices(grid.shape, dtype=float), -1)) - grid.centre
    turn = np.radians(degrees)
    x = world[..., 0] * np.cos(turn) + world[..., 1] * np.sin(turn)
    y = world[..., 1] * np.cos(turn) - world[..., 0] * np.sin(turn)
    a, b, c = (d / 2 for d in diameters)
    return (x / a) ** 2 + (y / b) ** 2 + (world[..., 2] / c) ** 2 <= 1


def section(shape: np.ndarray, z: float) -> np.ndarray:
    """Points on the outline of an ellipsoid x' shape x = 1 in the plane at z; none where the plane misses it."""
    flat, middle = shape[:2, :2], -np.linalg.solve(shape[:2, :2], shape[:2, 2] * z)
    left = 1 - shape[2, 2] * z**2 + middle @ flat @ middle
    if left <= 0:
        return np.empty((0, 2))
    turn = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    return (np.linalg.inv(np.linalg.cholesky(flat / left)).T @ circle).T + middle


def brute_force(outline: np.ndarray) -> tuple[float, float]:
    """The longest of all distances between points of an outline, and the extent perpendicular to it."""
    if not len(outline):
        return 0.0, 0.0
    apart = np.linalg.norm(outline[:, None] - outline[None], axis=-1)
    a, b = np.unravel_index(apart.argmax(), apart.shape)
    along = (outline[a] - outline[b]) / apart[a, b]
    return apart[a, b], np.ptp(outline @ np.array([-along[1], along[0]]))


@pytest.mark.parametrize("seed", range(60))
def test_axes_of_ellipsoids_lying_anyhow_are_those_of_brute_force_within_a_pixel(seed):
    rng = np.random.default_rng(seed)
    diameters = rng.uniform(8, 32) * np.array([1, *rng.uniform(0.25, 1, 2)])
    pixel, thickness = rng.uniform(0.6, 1.5), rng.uniform(1, 5)
    if seed < 4:
        pixel, thickness = (0.6, 1.5)[seed % 2], (1.0, 5.0)[seed % 2]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    shape = turn @ np.diag(4 / diameters**2) @ turn.T
    grid = Grid.from_parts(
        (int(34 / pixel) + 4, int(34 / pixel) + 4, int(34 / thickness) + 4), (pixel, pixel, thickness)
    )
    grid = Grid.from_parts(grid.shape, grid.spacing, -grid.centre + rng.uniform(-0.5, 0.5, 3) * grid.spacing)
    points = grid.world_from_voxel(np.stack(np.indices(grid.shape, dtype=float), -1))
    (node,) = lymph_nodes(np.einsum("...i,ij,...j", points, shape, points) <= 1, grid)
    long_axis, short_axis = max(brute_force(section(shape, z)) for z in points[0, 0, :, 2])
    assert node.long_axis_mm == pytest.approx(long_axis, abs=pixel)
    assert node.short_axis_mm == pytest.approx(short_axis, abs=pixel)


@pytest.mark.parametrize("degrees", [0, 20, 45, 90])
def test_the_axes_as_lines_have_their_lengths_and_cross_at_right_angles(degrees):
    (node,) = lymph_nodes(ellipsoid(CT, (20, 10, 14), degrees), CT)
    lines = [CT.world_from_voxel(np.array(ends)) for ends in (node.long_ends, node.short_ends)]
    along, across = (line[1] - line[0] for line in lines)
    assert np.linalg.norm(along) == pytest.approx(node.long_axis_mm)
    assert np.linalg.norm(across) == pytest.approx(node.short_axis_mm)
    assert along @ across == pytest.approx(0, abs=1e-9)
    assert {end[2] for end in (*node.long_ends, *node.short_ends)} == {float(node.slice_index)}
    for line in lines:
        assert line.mean(axis=0)[:2] == pytest.approx(CT.centre[:2], abs=0.9)
    assert abs(along[:2] @ (np.cos(np.radians(degrees)), np.sin(np.radians(degrees)))) == pytest.approx(20, abs=0.9)
    assert node.volume_mm3 == pytest.approx(np.pi / 6 * 20 * 10 * 14, rel=0.12)
    assert node.centre == pytest.approx(CT.centre, abs=0.5)


def test_a_node_thin_in_z_is_enlarged_all_the_same():
    grid = Grid.from_parts((50, 50, 16), (0.826, 0.826, 3.0))
    (node,) = lymph_nodes(ellipsoid(grid, (20, 16, 6.5)), grid)
    assert node.enlarged()
    assert node.extents_mm[2] <= 9
    assert enlarged((node,), 17) == ()


def test_a_box_is_measured_to_its_faces():
    grid = Grid.from_parts((12, 14, 10), (2.0, 1.0, 3.0), (5.0, 6.0, 7.0))
    mask = np.zeros(grid.shape, bool)
    mask[3:4, 2:12, 4:6] = True
    (node,) = lymph_nodes(mask, grid)
    assert (node.long_axis_mm, node.short_axis_mm) == (10, 2)
    assert node.extents_mm == (2, 10, 6)
    assert (node.voxels, node.volume_mm3) == (20, pytest.approx(120))
    assert node.slice_index in (4, 5)
    assert node.centre == pytest.approx((5 + 2 * 3, 6 + 6.5, 7 + 3 * 4.5))


def test_measures_do_not_depend_on_the_order_of_the_voxel_axes():
    mask = ellipsoid(CT, (20, 10, 14), 30)
    turned = Affine.from_parts(CT.world_from_voxel.linear[:, [2, 0, 1]], CT.origin)
    grid = Grid(tuple(CT.shape[a] for a in (2, 0, 1)), turned)
    one, other = lymph_nodes(mask, CT)[0], lymph_nodes(np.ascontiguousarray(mask.transpose(2, 0, 1)), grid)[0]
    assert other.slice_index == one.slice_index
    for name in ("long_axis_mm", "short_axis_mm", "volume_mm3", "extents_mm", "centre"):
        assert getattr(other, name) == pytest.approx(getattr(one, name))


def test_voxels_that_meet_at_a_corner_are_one_node_unless_only_faces_join():
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    grid = Grid.from_parts(mask.shape)
    assert len(lymph_nodes(mask, grid)) == 1
    first, second = lymph_nodes(mask, grid, 6)
    assert (first.long_axis_mm, first.short_axis_mm, second.voxels) == (1, 1, 1)


def test_numbers_that_do_not_occur_are_left_out():
    numbered = np.zeros((4, 4, 4), np.int32)
    numbered[0, 0, 0], numbered[3, 3, 3] = 2, 5
    assert [node.id for node in measured(numbered, Grid.from_parts(numbered.shape))] == [2, 5]


def test_nothing_has_no_nodes():
    assert lymph_nodes(np.zeros((3, 3, 3), bool), Grid.from_parts((3, 3, 3))) == ()
    assert components(np.zeros((0, 0, 0), bool)).size == 0


def test_the_long_axis_is_no_shorter_than_any_pair_of_pixel_centres():
    rng = np.random.default_rng(4)
    for _ in range(50):
        pixels = rng.random((9, 11)) < rng.choice([0.1, 0.5])
        pixels[4, 5] = True
        spacing = (0.8, 1.3)
        centres = np.argwhere(pixels) * spacing
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1).max()
        long_axis, short_axis = axes_in_plane(pixels, spacing)
        assert apart <= long_axis <= apart + np.hypot(*spacing)
        assert short_axis <= long_axis + 1e-12


def test_tips_that_pixels_miss_lie_between_the_sides_of_pixels_and_their_corners():
    needle = np.array([[1, 1, 1], [0, 0, 1]], bool)  # of an ellipse of 4.3 x 1.5 pixels
    long_axis, _ = axes_in_plane(needle, (1.5, 1.5))
    assert np.hypot(2, 1) + 0.9 < long_axis / 1.5 <= np.hypot(3, 2)
    assert axes_in_plane(np.ones((1, 10), bool), (1.0, 1.0)) == (10, 1)
    line, _ = axes_in_plane(np.eye(6, dtype=bool), (1.0, 1.0))
    assert 5 * 2**0.5 < line <= 6 * 2**0.5 + 1e-9


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(GridMismatchError, match=r"(?s)\(2, 2, 2\).*\(3, 3, 3\)"):
        lymph_nodes(np.ones((2, 2, 2), bool), Grid.from_parts((3, 3, 3)))
