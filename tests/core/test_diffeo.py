"""Kernels of diffeo.cpp and labels.cpp against slow NumPy and SciPy."""

import itertools

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from voxbench import _core


@pytest.fixture(params=range(_core.instruction_set() + 1))
def instruction_set(request):
    best = _core.instruction_set()
    _core.set_instruction_set(request.param)
    yield
    _core.set_instruction_set(best)


def random_field(shape, dtype, seed=0, size=0.6):
    return (np.random.default_rng(seed).normal(size=(3, *shape)) * size).astype(dtype)


def ten_determinants(u):
    """The definition, whole arrays at a time: T at each offset, then ten determinants by numpy.linalg.det."""
    shape = u.shape[1:]
    T = u.astype(np.float64) + np.indices(shape)

    def at(i, j, k):
        return T[:, 1 + i : shape[0] - 1 + i, 1 + j : shape[1] - 1 + j, 1 + k : shape[2] - 1 + k]

    here = at(0, 0, 0)
    unit = np.eye(3, dtype=int)

    def det(*columns):
        return np.linalg.det(np.moveaxis(np.stack(columns), (0, 1), (-1, -2)))

    found = [
        det(*(s * (at(*(s * unit[a])) - here) for a, s in enumerate(signs)))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    found.append(det(at(-1, -1, 0) - here, at(-1, 0, -1) - here, at(0, -1, -1) - here))
    found.append(det(at(1, 1, 0) - here, at(0, 1, 1) - here, at(1, 0, 1) - here))
    central = det(*((at(*unit[a]) - at(*(-unit[a]))) / 2 for a in range(3)))
    return np.stack(found), central


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 3, 3), (5, 6, 7), (9, 4, 13)])
def test_non_diffeomorphic_volume_is_the_sum_over_ten_determinants(shape, dtype, instruction_set):
    u = random_field(shape, dtype)
    mask = np.random.default_rng(1).random(shape) < 0.6
    ten, central = ten_determinants(u)
    inside = mask[1:-1, 1:-1, 1:-1]
    volume, counts = _core.diffeomorphism(u, mask.view(np.uint8))
    assert volume.sum() == pytest.approx((np.maximum(-ten, 0) * inside).sum() / 12, rel=1e-12)
    assert counts.sum(axis=0).tolist() == [
        inside.sum(),
        ((central <= 0) & inside).sum(),
        ((ten <= 0) & inside).sum(),
    ]
    np.testing.assert_allclose(_core.central_determinant(u), central, rtol=0, atol=1e-12)


def test_a_grid_without_inner_voxels_has_nothing_to_measure():
    volume, counts = _core.diffeomorphism(np.zeros((3, 2, 5, 5), np.float32), None)
    assert volume.sum() == 0
    assert counts.sum() == 0
    with pytest.raises(ValueError, match="three voxels"):
        _core.central_determinant(np.zeros((3, 2, 5, 5), np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("field_dtype", [np.float32, np.float64])
def test_warped_labels_equal_scipy_order_zero_bit_for_bit(dtype, field_dtype, instruction_set):
    rng = np.random.default_rng(3)
    shape, source_shape = (9, 8, 11), (10, 7, 12)
    labels = rng.integers(0, 120, source_shape).astype(dtype)
    u = random_field(shape, field_dtype, 4, 3.0)
    u[:, ::2] = np.round(u[:, ::2] * 2) / 2  # exact halves, and exactly the border
    u[:, 1] = np.nextafter(u[:, 0], np.inf, dtype=field_dtype)
    u[:, 3] = np.nextafter(u[:, 2], -np.inf, dtype=field_dtype)
    out = np.empty(shape, dtype)
    _core.warp_labels(labels, u, out)
    expected = map_coordinates(labels.astype(np.float64), np.indices(shape) + u.astype(np.float64), order=0)
    np.testing.assert_array_equal(out, expected)


def test_a_coordinate_just_outside_is_outside():
    labels = np.full((3, 1, 1), 7, np.uint8)
    u = np.zeros((3, 3, 1, 1))
    u[0, :, 0, 0] = [-1e-12, 0.0, 1e-12]
    out = np.empty((3, 1, 1), np.uint8)
    _core.warp_labels(labels, u, out)
    assert out.ravel().tolist() == [0, 7, 0]


def test_wrong_arrays_are_refused_with_a_message():
    u = np.zeros((3, 4, 4, 4), np.float32)
    with pytest.raises(TypeError, match="float32 or float64"):
        _core.diffeomorphism(u.astype(np.int32), None)
    with pytest.raises(TypeError, match=r"\(3, i, j, k\)"):
        _core.diffeomorphism(u[:2], None)
    with pytest.raises(TypeError, match="contiguous"):
        _core.diffeomorphism(u[:, ::2], None)
    with pytest.raises(ValueError, match="shapes differ"):
        _core.diffeomorphism(u, np.zeros((4, 4, 5), np.uint8))
    with pytest.raises(TypeError, match="dtypes differ"):
        _core.warp_labels(np.zeros((4, 4, 4), np.uint8), u, np.zeros((4, 4, 4), np.int16))
