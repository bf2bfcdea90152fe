"""The picture of a node is the same whichever way the voxel axes of the file run."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from voxbench.geometry import Affine, Grid
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.report.nodes import _Slice


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_patients_right_is_left_and_the_front_at_the_top(order):
    world = Grid.from_parts((6, 5, 4), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0))
    points = world.world_from_voxel(np.stack(np.indices(world.shape, dtype=float), -1))
    expected = points[::-1, ::-1, 2, 0].T, points[::-1, ::-1, 2, 1].T
    for signs in product((1, -1), repeat=3):
        shape = tuple(world.shape[a] for a in order)
        linear = world.world_from_voxel.linear[:, list(order)] * signs
        start = points[tuple((0 if signs[order.index(a)] > 0 else -1) for a in range(3))]
        grid = Grid(shape, Affine.from_parts(linear, start))
        here = grid.world_from_voxel(np.stack(np.indices(shape, dtype=float), -1))
        up = world_axis_of_voxel_axis(grid.direction).index(2)
        slice_ = _Slice(grid, 2 if signs[up] > 0 else 1)
        for axis in (0, 1):
            assert np.array_equal(slice_.page(np.ascontiguousarray(here[..., axis])), expected[axis])
        voxel = grid.voxel_from_world(np.array([[15.0, 28.0, 36.0], [10.0, 20.0, 36.0]]))
        assert slice_.place(tuple(voxel[0])) == pytest.approx((0, 0))
        assert slice_.place(tuple(voxel[1])) == pytest.approx((5, 8))
        assert slice_.extent() == (-0.5, 5.5, 9, -1)
