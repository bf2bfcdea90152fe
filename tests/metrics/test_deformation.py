import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import GridMismatchError
from voxbench.metrics import diffeomorphism, jacobian_determinants, sd_log_jacobian

SHAPE = (6, 7, 8)


def affine_field(matrix, shape=SHAPE):
    index = np.indices(shape).astype(np.float64)
    return np.einsum("ab,bijk->aijk", matrix - np.eye(3), index)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_an_affine_map_loses_nothing_if_it_keeps_orientation_and_everything_if_not(seed):
    matrix = np.eye(3) + np.random.default_rng(seed).uniform(-0.9, 0.9, (3, 3))
    determinant = np.linalg.det(matrix)
    found = diffeomorphism(affine_field(matrix))
    assert found.voxels == 4 * 5 * 6
    # 8 determinants J, 2 of 2 J: 12 J / 12
    assert found.volume == pytest.approx(max(-determinant, 0) * found.voxels, rel=1e-9, abs=1e-9)
    assert found.folded == (found.voxels if determinant < 0 else 0)
    assert found.tetrahedra_percent == pytest.approx(100 if determinant < 0 else 0)
    np.testing.assert_allclose(jacobian_determinants(affine_field(matrix)), determinant, rtol=0, atol=1e-12)


def test_no_displacement_is_a_diffeomorphism():
    found = diffeomorphism(np.zeros((3, *SHAPE), np.float32))
    assert (found.volume, found.folded, found.tetrahedra) == (0.0, 0, 0)
    assert found.volume_percent == 0
    assert sd_log_jacobian(np.zeros((3, *SHAPE), np.float32)) == 0


def test_one_voxel_pushed_past_its_neighbour_derived_by_hand():
    # u_x = -1.5 at one inner voxel p only. T(p) passes T(p - x). J with a backward difference along x at p is 1 - 1.5,
    # with a forward one 1 + 1.5; at p - x the forward one sees it (1 - 1.5), at p + x the backward one (1 + 1.5).
    # Of the eight sign choices four have that x difference: 4 * 0.5 at p and 4 * 0.5 at p - x.
    u = np.zeros((3, 7, 7, 7))
    u[0, 3, 3, 3] = -1.5
    found = diffeomorphism(u)
    # The diagonals: at p, J*1 has all its differences raised by +1.5 in x: rows (-1+1.5, -1, 0), (-1+1.5, 0, -1),
    # (1.5, -1, -1): determinant 2 - 1.5 * (1 + 1 - 1 ... ) is counted with numpy, as are those of the neighbours.
    lost = 8 * 0.5
    for sign in (-1, 1):
        offsets = (
            np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]]) if sign < 0 else np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
        )
        for p in np.ndindex(5, 5, 5):
            here = np.array(p) + 1
            rows = [sign * o + u[(slice(None), *(here + sign * o))] - u[(slice(None), *here)] for o in offsets]
            lost += max(-np.linalg.det(np.array(rows)), 0)
    assert found.volume == pytest.approx(lost / 12, rel=1e-12)
    assert found.folded == 0  # central differences see 1 -+ 0.75 beside it, and 1 at it
    assert found.volume > 0


def test_only_the_mask_without_the_outermost_layer_counts():
    u = affine_field(np.diag([-1.0, 1.0, 1.0]))
    mask = np.zeros(SHAPE, bool)
    mask[0], mask[3, 3, 3], mask[2, 0, 4] = True, True, True
    found = diffeomorphism(u, mask)
    assert (found.voxels, found.volume, found.volume_percent) == (1, pytest.approx(1.0), pytest.approx(100.0))
    assert np.isnan(diffeomorphism(u, np.zeros(SHAPE, bool)).volume_percent)


def test_float32_and_float64_fields_of_equal_values_give_equal_numbers():
    u = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    assert diffeomorphism(u) == diffeomorphism(u.astype(np.float64))


def test_sd_log_jacobian_is_that_of_the_determinants():
    u = np.random.default_rng(0).normal(size=(3, 8, 9, 7)) * 0.2
    inner = jacobian_determinants(u)
    assert sd_log_jacobian(u) == pytest.approx(np.log(np.clip(inner, 1e-9, 1e9)).std())
    official = np.log(np.clip(inner[1:-1, 1:-1, 1:-1] + 3, 1e-9, 1e9))
    assert sd_log_jacobian(u, shift=3.0, crop=2) == pytest.approx(official.std())
    mask = np.random.default_rng(1).random((8, 9, 7)) < 0.5
    assert sd_log_jacobian(u, mask, shift=3.0, crop=2) == pytest.approx(official[mask[2:-2, 2:-2, 2:-2]].std())


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(GridMismatchError, match="differ in shape"):
        diffeomorphism(np.zeros((3, *SHAPE), np.float32), np.ones((6, 7, 9), bool))
