"""The kernels of the joint reconstruction against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench import _core

SHAPES = [(1, 1, 1), (2, 3, 4), (5, 1, 70), (9, 33, 40), (3, 7, 300)]


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def lengths(x: np.ndarray, knee: float) -> np.ndarray:
    square = np.full(x.shape, knee**2)
    for axis in range(3):
        difference = np.diff(x.astype(np.float64), axis=axis, append=np.take(x, [-1], axis))
        square += difference**2
    return np.sqrt(square)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("add", [False, True])
def test_a_band_along_an_axis_is_the_matrix(shape, axis, add):
    n = shape[axis]
    width, rows = max(1, n // 2), n + 3
    rng = np.random.default_rng(axis)
    first = rng.integers(0, n - width + 1, rows).astype(np.int32)
    weights = random((rows, width), 1)
    matrix = np.zeros((rows, n))
    for r in range(rows):
        matrix[r, first[r] : first[r] + width] = weights[r]
    x = random(shape)
    size = list(shape)
    size[axis] = rows
    out = random(tuple(size), 2)
    expected = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis) + (out if add else 0)
    _core.band_along(x, axis, first, weights, out, add)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


def test_a_band_that_leaves_the_volume_is_refused():
    x, out = random((4, 5, 6)), random((4, 5, 2))
    with pytest.raises(ValueError, match="a row ends outside x"):
        _core.band_along(x, 2, np.array([0, 4], np.int32), random((2, 3)), out, False)
    with pytest.raises(ValueError, match="does not fit"):
        _core.band_along(x, 1, np.array([0, 1], np.int32), random((2, 3)), out, False)
    with pytest.raises(ValueError, match="axis"):
        _core.band_along(x, 3, np.array([0, 1], np.int32), random((2, 3)), out, False)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_penalty_and_its_curvature(shape):
    x = 100 * random(shape)
    curvature = np.empty_like(x)
    length = lengths(x, 7.0)
    expected = float((length - 7.0).sum() / 30.0)
    assert _core.edge_penalty(x, 7.0, 30.0, curvature) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert _core.edge_penalty(x, 7.0, 30.0, None) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(curvature, 1 / (30.0 * length), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_normal_map_is_the_gradient_of_its_quadratic(shape):
    """D' C D x by differences of x' D' C D x / 2, which is a sum of squares."""
    x, c = random(shape), np.abs(random(shape, 1))

    def gradient() -> np.ndarray:
        out = np.zeros(shape)
        for axis in range(3):
            flow = np.diff(x.astype(np.float64), axis=axis, append=np.take(x, [-1], axis)) * c
            before = np.roll(flow, 1, axis)
            start = [slice(None)] * 3
            start[axis] = slice(0, 1)
            before[tuple(start)] = 0
            out += before - flow
        return out

    out = np.empty_like(x)
    _core.edge_normal(x, c, out)
    np.testing.assert_allclose(out, gradient(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_step_of_conjugate_gradients(shape):
    along, mapped, found, left = (random(shape, seed) for seed in range(4))
    held = (random(shape, 5) > 0.5).astype(np.uint8)
    expected_found = found + np.float32(0.3) * along
    expected_left = np.where(held, 0, left - np.float32(0.3) * mapped)
    square = _core.conjugate_step(0.3, along, mapped, held, found, left)
    np.testing.assert_allclose(found, expected_found, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(left, expected_left, rtol=1e-5, atol=1e-6)
    assert square == pytest.approx(float((expected_left.astype(np.float64) ** 2).sum()), rel=1e-4, abs=1e-9)
    assert _core.inner_product(along, mapped) == pytest.approx(
        float((along.astype(np.float64) * mapped).sum()), rel=1e-3, abs=1e-3
    )


def test_sums_do_not_depend_on_the_number_of_threads():
    x = random((17, 40, 50))
    before = _core.edge_penalty(x, 1.0, 1.0, None), _core.inner_product(x, x)
    threads = _core.threads()
    try:
        _core.threads(1)
        assert (_core.edge_penalty(x, 1.0, 1.0, None), _core.inner_product(x, x)) == before
    finally:
        _core.threads(threads)
