"""The discrete search against a loop over every displacement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench import _core


def window(half: int) -> np.ndarray:
    axis = np.arange(-half, half + 1)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1).T


def slow_cost(fixed: np.ndarray, moving: np.ndarray, half: int) -> np.ndarray:
    """(d, i, j, k) of mean squared differences."""
    pad = np.pad(moving.astype(np.float64), [(0, 0)] + [(half, half)] * 3, mode="edge")
    shape = fixed.shape[1:]
    cost = []
    for d in window(half) + half:
        there = pad[:, d[0] : d[0] + shape[0], d[1] : d[1] + shape[1], d[2] : d[2] + shape[2]]
        cost.append(((fixed - there) ** 2).mean(axis=0))
    return np.stack(cost)


shapes = st.tuples(*(st.integers(1, 7) for _ in range(3)))


@given(shapes, st.integers(1, 5), st.integers(0, 2), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_cost_of_every_displacement_agrees_with_a_loop(shape, channels, half, seed) -> None:
    rng = np.random.default_rng(seed)
    fixed, moving = (rng.random((channels, *shape)).astype(np.float32) for _ in range(2))
    cost = _core.ssd_volume(fixed, moving, half)
    assert cost.dtype == np.uint16
    np.testing.assert_allclose(cost / 65535, np.moveaxis(slow_cost(fixed, moving, half), 0, 2), atol=1.2e-5)


@given(shapes, st.integers(0, 2), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_best_displacement_is_the_lowest_cost_near_the_field(shape, half, seed) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 65536, (*shape[:2], (2 * half + 1) ** 3, shape[2])).astype(np.uint16)
    near = rng.normal(0, half, (3, *shape)).astype(np.float32)
    weight = np.array([0.02, 0.1, 0.3], np.float32)
    best = np.empty_like(near)
    _core.coupled_argmin(cost, half, weight, near, best)
    d = window(half)
    tie = (weight.reshape(3, 1, 1, 1, 1) * (d.T.reshape(3, -1, 1, 1, 1) - near[:, None]) ** 2).sum(axis=0)
    energy = np.moveaxis(cost, 2, 0) / 65535 + tie
    chosen = ((best + half) * np.array([(2 * half + 1) ** 2, 2 * half + 1, 1]).reshape(3, 1, 1, 1)).sum(axis=0)
    got = np.take_along_axis(energy, chosen.astype(int)[None], axis=0)[0]
    np.testing.assert_allclose(got, energy.min(axis=0), atol=1e-5)


def test_a_flat_cost_follows_the_field_to_its_nearest_whole_displacement() -> None:
    near = np.random.default_rng(1).uniform(-2, 2, (3, 4, 5, 6)).astype(np.float32)
    best = np.empty_like(near)
    cost = np.zeros((4, 5, 125, 6), np.uint16)
    _core.coupled_argmin(cost, 2, np.ones(3, np.float32), near, best)
    np.testing.assert_array_equal(best, np.round(near))


def test_wrong_shapes_are_refused() -> None:
    planes = np.zeros((2, 4, 5, 6), np.float32)
    with pytest.raises(ValueError, match="shapes differ"):
        _core.ssd_volume(planes, planes[:, :3].copy(), 1)
    near = np.zeros((3, 4, 5, 6), np.float32)
    with pytest.raises(ValueError, match="half width"):
        _core.coupled_argmin(np.zeros((4, 5, 27, 6), np.uint16), 2, np.ones(3, np.float32), near, near.copy())
