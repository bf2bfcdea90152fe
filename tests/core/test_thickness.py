from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from voxbench import _core
from voxbench.errors import EmptyShapeError
from voxbench.metrics.morphometry import local_thickness, squared_distances


def slow_thickness(phase):
    """Every ball painted, one after the other."""
    distance = np.rint(distance_transform_edt(phase) ** 2).astype(int)
    lattice = np.stack(np.indices(phase.shape), axis=-1)
    result = np.zeros(phase.shape, int)
    for centre in np.argwhere(phase):
        squared = distance[tuple(centre)]
        held = ((lattice - centre) ** 2).sum(axis=-1) < squared
        result[held] = np.maximum(result[held], squared)
    return (2 * np.sqrt(result.astype(np.float32))).astype(np.float32)


def random_phase(seed, share=0.6, shape=None):
    rng = np.random.default_rng(seed)
    noise = rng.random(rng.integers(1, 15, 3) if shape is None else shape)
    blurred = noise if seed % 2 else sum(np.roll(noise, n, axis) for axis in range(noise.ndim) for n in (-1, 0, 1))
    phase = np.asarray(blurred > np.quantile(blurred, 1 - share))
    phase.flat[rng.integers(phase.size)] = False
    return phase


@pytest.fixture(params=[0, 1, 2])
def level(request):
    best = _core.instruction_set()
    if request.param > best:
        pytest.skip("this machine lacks that instruction set")
    _core.set_instruction_set(request.param)
    yield request.param
    _core.set_instruction_set(best)


@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.3, 0.6, 0.9, 0.99]))
@settings(max_examples=60, deadline=None)
def test_local_thickness_is_that_of_painting_every_ball(seed, share):
    phase = random_phase(seed, share)
    np.testing.assert_array_equal(local_thickness(phase), slow_thickness(phase))


def test_every_instruction_set_paints_the_same(level):
    phase = random_phase(4, 0.8, (20, 21, 23))
    np.testing.assert_array_equal(local_thickness(phase), slow_thickness(phase))


def test_one_thread_and_two_paint_the_same():
    phase = random_phase(6, 0.9, (40, 30, 20))
    before = _core.threads()
    try:
        _core.threads(1)
        alone = local_thickness(phase)
        _core.threads(2)
        np.testing.assert_array_equal(local_thickness(phase), alone)
    finally:
        _core.threads(before)


def test_balls_beyond_sixteen_bits_are_painted_too():
    phase = np.ones((1, 1, 700), bool)
    phase[0, 0, 0] = False
    np.testing.assert_array_equal(local_thickness(phase)[phase], np.float32(2 * 699))


def test_few_balls_are_painted():
    squared = squared_distances(np.pad(np.ones((31, 31, 31), bool), 1))
    centres = _core.local_thickness(squared)
    assert centres < 31**3 / 10


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan"), 2.0**24])
def test_squared_distances_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="squared: expected whole numbers"):
        _core.local_thickness(np.full((2, 2, 2), value, np.float32))


def test_a_phase_that_nothing_bounds_is_refused():
    with pytest.raises(EmptyShapeError, match="nothing bounds it"):
        local_thickness(np.ones((3, 3, 3), bool))


def test_an_empty_phase_has_thickness_zero_everywhere():
    assert not local_thickness(np.zeros((3, 4, 5), bool)).any()
