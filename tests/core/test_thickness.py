from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, maximum_filter

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


def slow_between(phase):
    """Every ball painted, one after the other, on the lattice of half voxels."""
    shape = tuple(2 * n - 1 for n in phase.shape)
    free = np.ones(shape, bool)
    free[::2, ::2, ::2] = phase
    outside = np.argwhere(~free)
    squared = np.rint(distance_transform_edt(free) ** 2).astype(int)
    own = np.zeros(shape, int)
    own[::2, ::2, ::2] = squared[::2, ::2, ::2]
    highest = (own > 0) & (own == maximum_filter(own, 5, mode="constant"))
    near = maximum_filter(highest, 3, mode="constant")
    balls = np.zeros(shape, int)
    for place in np.argwhere(near | (own > 0)):
        balls[tuple(place)] = squared_radius(place, outside)
    own[::2, ::2, ::2] = balls[::2, ::2, ::2]
    beside = maximum_filter(own, 3, mode="constant")
    odd = np.ones(shape, bool)
    odd[::2, ::2, ::2] = False
    own = np.where(near & odd & (balls > beside), balls, own)
    lattice = np.stack(np.indices(shape), axis=-1)[::2, ::2, ::2]
    result = np.zeros(phase.shape, int)
    for centre in np.argwhere(own):
        held = ((lattice - centre) ** 2).sum(axis=-1) < own[tuple(centre)]
        result[held] = np.maximum(result[held], own[tuple(centre)])
    return np.sqrt(result.astype(np.float32)).astype(np.float32)


def squared_radius(place, outside):
    """To the nearest voxels outside.

    To the faces before them, half a voxel nearer, if they are all that lies straight ahead and behind along one axis.
    If they lie in pairs to both sides of a plane between voxels, half a voxel from it, the way along that plane counts.
    """
    ways = outside - place
    squared = (ways**2).sum(axis=1).min()
    ways = ways[(ways**2).sum(axis=1) == squared]
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        straight = all(abs(ways[:, a]).max() <= 1 for a in others) and 0 not in ways[:, axis]
        if straight and len(ways) == 2 * 2 ** sum(place[a] % 2 for a in others) and ways[:, axis].sum() == 0:
            return (abs(ways[0, axis]) - 1) ** 2
    return squared - sum(set(ways[:, a]) == {-1, 1} and ways[:, a].sum() == 0 for a in range(3))


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


def test_half_voxels_a_box_is_measured_between_its_faces_or_its_voxels():
    """A slab: between its faces. A beam, which is held on four sides: between the voxels outside."""
    slab, beam = np.zeros((9, 12, 12), bool), np.zeros((9, 9, 12), bool)
    slab[3:6], beam[3:6, 3:6] = True, True
    assert local_thickness(slab, "half-voxels")[4, 6, 6] == 3
    assert local_thickness(beam, "half-voxels")[4, 4, 6] == 4
    np.testing.assert_array_equal(local_thickness(slab, "half-voxels"), slow_between(slab))
    np.testing.assert_array_equal(local_thickness(beam, "half-voxels"), slow_between(beam))


@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.3, 0.6, 0.9, 0.99]))
@settings(max_examples=20, deadline=None)
def test_local_thickness_is_that_of_painting_every_ball(seed, share):
    phase = random_phase(seed, share)
    np.testing.assert_array_equal(local_thickness(phase), slow_thickness(phase))


@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.3, 0.6, 0.9, 0.99]))
@settings(max_examples=20, deadline=None)
def test_half_voxels_too_are_that_of_painting_every_ball(seed, share):
    phase = random_phase(seed, share)
    np.testing.assert_array_equal(local_thickness(phase, "half-voxels"), slow_between(phase))


def test_every_instruction_set_paints_the_same(level):
    phase = random_phase(4, 0.8, (12, 11, 13))
    np.testing.assert_array_equal(local_thickness(phase), slow_thickness(phase))
    np.testing.assert_array_equal(local_thickness(phase, "half-voxels"), slow_between(phase))


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


def test_balls_up_to_the_edge_of_sixteen_bits_are_painted_by_both_widths():
    """Squared distances 15625 (two bytes a voxel) and 15876 (four): a rod of either length along a row of voxels."""
    for length in (125, 126):
        phase = np.ones((3, 3, length + 1), bool)
        phase[1, 1, 0] = False
        np.testing.assert_allclose(local_thickness(phase).max(), 2 * math.sqrt(length**2 + 2), rtol=1e-6)


def test_one_thread_and_two_paint_the_same_between_voxels():
    phase = random_phase(6, 0.9, (40, 30, 20))
    before = _core.threads()
    try:
        _core.threads(1)
        alone = local_thickness(phase, "half-voxels")
        _core.threads(2)
        np.testing.assert_array_equal(local_thickness(phase, "half-voxels"), alone)
    finally:
        _core.threads(before)


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
