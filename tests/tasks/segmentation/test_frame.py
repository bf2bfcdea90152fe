"""The working grid lies in the image's box whatever its orientation, and the way back is exact."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.geometry import Grid, LabelMap, Volume, resample
from voxbench.tasks.segmentation import Frame
from voxbench.tasks.segmentation.frame import along, places

ORIENTATIONS = [
    np.eye(3)[list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(range(48)), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.floats(0.4, 4)] * 3))
def test_the_box_stays_and_axes_point_to_the_world(which, shape, wanted):
    native = Grid.from_parts(shape, (0.5, 1.0, 2.5), (3.0, -4.0, 5.0), ORIENTATIONS[which])
    frame = Frame.of(native, wanted)
    assert frame.grid.orientation == "RAS+"
    np.testing.assert_allclose(frame.grid.spacing, frame.spacing, rtol=1e-9)
    np.testing.assert_allclose(frame.grid.centre, native.centre, atol=1e-9)
    np.testing.assert_allclose(
        frame.spacing * frame.shape, np.asarray(native.spacing * native.shape)[list(frame.axes)], rtol=1e-9
    )
    voxels = np.arange(np.prod(shape)).reshape(shape)
    assert frame.ordered(voxels).shape == frame.ordered_shape
    corner = frame.ordered(voxels)[0, 0, 0]
    lowest = native.world_from_voxel(np.array(np.unravel_index(corner, shape), float))
    np.testing.assert_allclose(lowest, native.corners.min(axis=0), atol=1e-9)


@pytest.mark.parametrize("which", [0, 13, 29, 47])
def test_bringing_is_the_resampling_of_the_geometry(which):
    rng = np.random.default_rng(which)
    native = Grid.from_parts((12, 10, 9), (1.0, 1.2, 2.0), (3.0, -4.0, 5.0), ORIENTATIONS[which])
    volume = Volume(rng.standard_normal((12, 10, 9)).astype(np.float32), native)
    labels = LabelMap(rng.integers(0, 5, (12, 10, 9)).astype(np.uint8), native)
    frame = Frame.of(native, (0.8, 0.7, 0.9))
    there = resample(volume, frame.grid, outside=float("nan")).array
    inside = np.isfinite(there)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(frame.bring(volume)[inside], there[inside], atol=1e-4)
    at = [places(n, m) for n, m in zip(frame.ordered_shape, frame.shape, strict=True)]
    halves = [np.abs(where % 1 - 0.5) < 1e-6 for where in at]  # may go either way
    clear = inside & ~(halves[0][:, None, None] | halves[1][None, :, None] | halves[2])
    assert (frame.bring_labels(labels.array) == resample(labels, frame.grid).array)[clear].all()


def test_its_own_spacing_changes_nothing_but_the_order():
    native = Grid.from_parts((4, 5, 6), (1.0, 2.0, 3.0), direction=ORIENTATIONS[29])
    array = np.random.default_rng(0).standard_normal((4, 5, 6)).astype(np.float32)
    frame = Frame.of(native)
    assert (frame.bring(Volume(array, native)) == frame.ordered(array)).all()


def test_writing_to_the_ordered_view_writes_to_the_array():
    native = Grid.from_parts((4, 5, 6), (1.0, 2.0, 3.0), direction=ORIENTATIONS[13])
    array = np.zeros((4, 5, 6), int)
    Frame.of(native).ordered(array)[:] = 7
    assert (array == 7).all()


def test_coarser_voxels_hold_means_rather_than_every_nth():
    noise = np.random.default_rng(0).standard_normal((40, 40, 40)).astype(np.float32)
    native = Grid.from_parts((40, 40, 40))
    assert Frame.of(native, (4, 4, 4)).bring(Volume(noise, native)).std() < 0.2


def test_places_keep_to_the_box():
    np.testing.assert_allclose(places(4, 2), [0.5, 2.5], atol=1e-8)
    np.testing.assert_allclose(places(2, 4), [0, 0.25, 0.75, 1], atol=1e-8)
    np.testing.assert_allclose(places(1, 3), 0)


def test_interpolation_along_axes_is_exact_on_planes():
    i, j, k = np.meshgrid(np.arange(5), np.arange(6), np.arange(7), indexing="ij")
    plane = (2.0 * i - 3.0 * j + 0.5 * k)[None].astype(np.float32)
    at = [np.array([0.0, 0.25, 4.0]), np.array([1.5, 5.0]), np.array([6.0, 0.1])]
    wanted = 2.0 * at[0][:, None, None] - 3.0 * at[1][None, :, None] + 0.5 * at[2]
    np.testing.assert_allclose(along(plane, at)[0], wanted, atol=1e-5)
