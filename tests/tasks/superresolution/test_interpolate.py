"""Interpolation: exact on its own grid, against SciPy, against functions that are known, and beyond the borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from voxbench.errors import InputError, UsageError
from voxbench.geometry import Grid, Volume, resample
from voxbench.tasks.superresolution import KERNELS, METHODS, interpolate, method_named
from voxbench.tasks.superresolution.taps import taps

ORDER = {"nearest": 0, "trilinear": 1, "bicubic": 3, "spline5": 5}
SMOOTH = [kernel for kernel in KERNELS if kernel != "nearest"]


def noise(shape=(9, 8, 7), spacing=(0.4, 0.5, 0.9), seed=0, **more):
    rng = np.random.default_rng(seed)
    return Volume(rng.normal(0, 300, shape).astype(np.float32), Grid.from_parts(shape, spacing, **more))


def turned(grid: Grid, degrees: float) -> Grid:
    axes = Rotation.from_euler("zyx", [degrees, degrees / 2, -degrees], degrees=True).as_matrix()
    return Grid.from_parts((8, 9, 10), (0.3, 0.3, 0.3), grid.centre - axes @ [1.05, 1.2, 1.35], axes)


@pytest.mark.parametrize("kernel", KERNELS)
def test_on_its_own_grid_a_volume_comes_back(kernel):
    volume = noise()
    np.testing.assert_allclose(interpolate(volume, volume.grid, kernel).array, volume.array, atol=2e-3)


@pytest.mark.parametrize("kernel", ORDER)
@pytest.mark.parametrize("degrees", [0, 17])
def test_splines_are_those_of_scipy_on_parallel_and_on_oblique_grids(kernel, degrees):
    volume = noise()
    onto = turned(volume.grid, degrees) if degrees else volume.grid.with_spacing((0.13, 0.21, 0.17))
    voxels = (volume.grid.voxel_from_world @ onto.world_from_voxel)(
        np.indices(onto.shape).reshape(3, -1).T.astype(float)
    )
    last = np.array(volume.grid.shape) - 1
    expected = map_coordinates(
        volume.array.astype(float), np.clip(voxels, 0, last).T, order=ORDER[kernel], mode="mirror"
    )
    beyond = ((voxels < -0.5 - 1e-6) | (voxels > last + 0.5 + 1e-6)).any(axis=1)
    expected[beyond] = -1024
    near_a_tie = (np.abs(voxels - np.floor(voxels) - 0.5) < 1e-6).any(axis=1) & (kernel == "nearest")
    found = interpolate(volume, onto, kernel).array.ravel()
    np.testing.assert_allclose(found[~near_a_tie], expected[~near_a_tie], atol=5e-3)


def test_a_parallel_grid_reads_as_an_oblique_one_does_for_lanczos():
    volume = noise()
    onto = volume.grid.with_spacing((0.2, 0.2, 0.2))
    barely = Grid.from_parts(
        onto.shape, onto.spacing, onto.origin, Rotation.from_euler("z", 1e-3, degrees=True).as_matrix()
    )
    np.testing.assert_allclose(
        interpolate(volume, onto, "lanczos").array, interpolate(volume, barely, "lanczos").array, atol=0.3
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_axes_that_are_swapped_and_flipped_change_nothing(kernel):
    volume = noise()
    onto = volume.grid.with_spacing((0.2, 0.25, 0.3))
    straight = interpolate(volume, onto, kernel).array
    axes = np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]], float)
    shape = (onto.shape[2], onto.shape[0], onto.shape[1])
    step = onto.spacing[[2, 0, 1]]
    origin = onto.world_from_voxel(np.array([onto.shape[0] - 1.0, 0, 0]))
    swapped = interpolate(volume, Grid.from_parts(shape, step, origin, axes), kernel).array
    np.testing.assert_allclose(swapped, straight.transpose(2, 0, 1)[:, ::-1], atol=1e-2)


def test_linear_is_that_of_resample_between_the_outermost_centres():
    volume = noise()
    onto = turned(volume.grid, 9)
    inside = resample(Volume(np.ones(volume.grid.shape, np.float32), volume.grid), onto, outside=-9.0).array > 0
    mine = interpolate(volume, onto, "trilinear").array
    np.testing.assert_allclose(mine[inside], resample(volume, onto).array[inside], atol=1e-2)
    assert inside.sum() > 400


@pytest.mark.parametrize(("kernel", "error"), [("bicubic", 2e-2), ("spline5", 2e-3), ("lanczos", 3e-2)])
def test_a_wave_of_eight_samples_is_followed(kernel, error):
    grid = Grid.from_parts((40, 3, 3))
    wave = np.sin(2 * np.pi * np.arange(40) / 8)[:, None, None] * np.ones((1, 3, 3))
    onto = Grid.from_parts((200, 1, 1), (0.1, 1, 1), (10, 1, 1))
    found = interpolate(Volume(wave, grid), onto, kernel).array[:, 0, 0]
    np.testing.assert_allclose(found, np.sin(2 * np.pi * (10 + 0.1 * np.arange(200)) / 8), atol=error)


@given(kernel=st.sampled_from(KERNELS), size=st.integers(1, 9), at=st.floats(-0.5, 9.5))
@settings(max_examples=60, deadline=None)
def test_weights_add_up_to_one_and_name_samples_that_are_there(kernel, size, at):
    index, weight = taps(np.array([at]), size, kernel)
    assert weight.sum() == pytest.approx(1, abs=1e-6)
    assert index.min() >= 0
    assert index.max() < size


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_constant_stays_constant_to_the_outer_faces_and_beyond_is_air(kernel):
    volume = Volume(np.full((5, 1, 4), 77, np.int16), Grid.from_parts((5, 1, 4), (2, 2, 2)))
    onto = Grid.from_parts((14, 2, 8), (1, 1, 1), (-2.5, -0.5, -0.5))
    found = interpolate(volume, onto, kernel).array
    np.testing.assert_allclose(found[2:12], 77, atol=1e-3)
    assert (found[[0, 1, 12, 13]] == -1024).all()


@pytest.mark.parametrize("kernel", SMOOTH)
def test_a_ramp_stays_a_ramp_away_from_the_borders(kernel):
    volume = Volume(np.arange(30, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2)), Grid.from_parts((30, 2, 2)))
    onto = Grid.from_parts((31, 1, 1), (0.25, 1, 1), (11, 0.5, 0.5))
    atol = 0.02 if kernel == "lanczos" else 1e-4
    np.testing.assert_allclose(interpolate(volume, onto, kernel).array[:, 0, 0], 11 + 0.25 * np.arange(31), atol=atol)


def test_an_unknown_method_is_named_with_those_there_are():
    with pytest.raises(UsageError, match=r"no such method\n.*nearest, trilinear, bicubic, spline5, lanczos"):
        method_named("cubic")


@pytest.mark.parametrize("kernel", KERNELS)
def test_methods_are_the_interpolations_and_take_one_volume(kernel):
    volume = noise()
    onto = volume.grid.with_spacing((0.3, 0.3, 0.3))
    found = METHODS[kernel].apply([volume], onto)
    np.testing.assert_array_equal(found.array, interpolate(volume, onto, kernel).array)
    with pytest.raises(InputError, match="interpolates one volume; there are 2"):
        METHODS[kernel].apply([volume, volume], onto)
