"""Surfaces of drawn labels: smooth, closed, of the same volume, in any voxel order."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import EmptyShapeError
from voxbench.geometry import Affine, Grid, LabelMap, extract_mesh, grid_points
from voxbench.geometry.label_surface import label_surface

MIDDLE, RADIUS = np.array([0.7, -0.4, 0.2]), 9.3


def ball(spacing: tuple[float, float, float]) -> LabelMap:
    n = [int(24 / s) for s in spacing]
    grid = Grid.from_parts((n[0], n[1], n[2]), spacing, (-12.0, -12.0, -12.0))
    inside = np.linalg.norm(grid_points(grid) - MIDDLE, axis=-1) < RADIUS
    return LabelMap(3 * inside.astype(np.uint8), grid)


@pytest.mark.parametrize(("spacing", "rms"), [((1.0, 1.0, 1.0), 0.15), ((0.5, 0.5, 1.0), 0.1), ((1.0, 2.0, 0.8), 0.25)])
def test_a_ball_is_smooth_and_keeps_its_volume(spacing: tuple[float, float, float], rms: float) -> None:
    labels = ball(spacing)
    found = label_surface(labels, 3)
    off = np.linalg.norm(found.mesh.vertices - MIDDLE, axis=1) - RADIUS
    stairs = np.linalg.norm(extract_mesh(labels, 3).vertices - MIDDLE, axis=1) - RADIUS
    assert np.sqrt(np.mean(off**2)) < rms
    assert np.sqrt(np.mean(off**2)) < 0.7 * np.sqrt(np.mean(stairs**2))
    assert found.mesh.is_watertight
    assert found.mesh.volume / 1000 == pytest.approx(found.voxels_ml, rel=2e-4)
    assert found.voxels_ml == pytest.approx((labels.array == 3).sum() * labels.grid.voxel_volume / 1000)
    assert (found.dropped_ml, found.filled_ml) == (0, 0)


def test_specks_are_left_out_and_cavities_filled_and_both_are_told() -> None:
    labels = ball((1.0, 1.0, 1.0))
    array = labels.array.copy()
    whole = label_surface(labels, 3).mesh
    array[13, 12, 12] = 0
    array[0, 0, :2] = 3
    found = label_surface(LabelMap(array, labels.grid), 3)
    assert found.dropped_ml == pytest.approx(0.002)
    assert found.filled_ml == pytest.approx(0.001)
    np.testing.assert_array_equal(found.mesh.vertices, whole.vertices)


def test_a_label_that_reaches_the_border_ends_flat_at_the_outer_faces_of_the_voxels() -> None:
    grid = Grid.from_parts((20, 20, 9), (1.0, 1.0, 2.0))
    i, j, _ = np.indices(grid.shape)
    rod = ((i - 9.6) ** 2 + (j - 9.2) ** 2 < 36).astype(np.uint8)
    found = label_surface(LabelMap(rod, grid), 1).mesh
    assert found.is_watertight
    np.testing.assert_allclose([found.bounds[0][2], found.bounds[1][2]], [-1, 17], atol=1e-4)
    assert found.volume == pytest.approx(2 * rod.sum(), rel=2e-4)


def test_another_voxel_order_gives_the_same_surface_turned_outwards() -> None:
    labels = ball((1.0, 1.5, 1.0))
    flip = Affine(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]]), "voxel", "voxel")
    shape = (labels.grid.shape[1], labels.grid.shape[0], labels.grid.shape[2])
    turned = Grid(shape, labels.grid.world_from_voxel @ flip)
    one = label_surface(labels, 3).mesh
    other = label_surface(LabelMap(np.ascontiguousarray(labels.array.transpose(1, 0, 2)), turned), 3).mesh
    assert other.volume == pytest.approx(one.volume, rel=1e-6)
    np.testing.assert_allclose(other.bounds, one.bounds, atol=1e-4)


def test_what_is_not_there_or_fills_everything_is_refused() -> None:
    labels = ball((1.0, 1.0, 1.0))
    with pytest.raises(EmptyShapeError, match="no voxel has label 2; there are 3"):
        label_surface(labels, 2)
    with pytest.raises(EmptyShapeError, match="fills the whole image"):
        label_surface(LabelMap(np.ones((5, 5, 5), np.uint8), Grid.from_parts((5, 5, 5))), 1)
