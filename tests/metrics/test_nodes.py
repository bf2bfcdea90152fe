"""Lymph nodes: shapes whose axes are known."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import GridMismatchError
from voxbench.geometry import Affine, Grid
from voxbench.metrics import lymph_nodes
from voxbench.metrics.nodes import axes_in_plane, components, enlarged, measured

CT = Grid.from_parts((50, 50, 16), (0.826, 0.826, 3.0), (-20.0, -15.0, 100.0))


def ellipsoid(grid: Grid, diameters: tuple[float, ...], degrees: float = 0.0) -> np.ndarray:
    """True in an ellipsoid at the grid's centre, turned in the axial plane."""
    world = grid.world_from_voxel(np.stack(np.indices(grid.shape, dtype=float), -1)) - grid.centre
    turn = np.radians(degrees)
    x = world[..., 0] * np.cos(turn) + world[..., 1] * np.sin(turn)
    y = world[..., 1] * np.cos(turn) - world[..., 0] * np.sin(turn)
    a, b, c = (d / 2 for d in diameters)
    return (x / a) ** 2 + (y / b) ** 2 + (world[..., 2] / c) ** 2 <= 1


@pytest.mark.parametrize("degrees", [0, 20, 40, 65, 90])
@pytest.mark.parametrize("diameters", [(20, 10, 14), (12, 12, 12), (24, 15, 20)])
def test_axes_of_ellipsoids_are_theirs_within_one_and_a_half_pixels_whichever_way_they_lie(diameters, degrees):
    (node,) = lymph_nodes(ellipsoid(CT, diameters, degrees), CT)
    assert node.long_axis_mm == pytest.approx(diameters[0], abs=1.24)
    assert node.short_axis_mm == pytest.approx(diameters[1], abs=1.24)
    assert node.volume_mm3 == pytest.approx(np.pi / 6 * np.prod(diameters), rel=0.12)
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


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(GridMismatchError, match=r"(?s)\(2, 2, 2\).*\(3, 3, 3\)"):
        lymph_nodes(np.ones((2, 2, 2), bool), Grid.from_parts((3, 3, 3)))
