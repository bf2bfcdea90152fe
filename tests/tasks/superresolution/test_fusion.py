"""The joint reconstruction: its operators, its solver, what it gains, and what it refuses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import EmptyShapeError, InputError, UsageError
from voxbench.geometry import Affine, Grid, Volume
from voxbench.simulate.ct import KERNELS, Kernel, Placement, Protocol, scan
from voxbench.tasks.superresolution import FusionConfig, SequenceBlur, calibrated, fuse, interpolate, nominal
from voxbench.tasks.superresolution.blur import AxisBlur, Banded, axis_matrix
from voxbench.tasks.superresolution.fusion import floor_map, slabs
from voxbench.tasks.superresolution.observation import noise_level, observe

MM = 0.105
SOFT, BONE = 1.103, 0.519


def grid(shape: tuple[int, int, int]) -> Grid:
    return Grid.from_parts(shape, (MM, MM, MM))


def bars(shape: tuple[int, int, int] = (48, 44, 40)) -> Volume:
    """Bone of 1500 HU, 0.6 mm wide, 1.7 mm apart, in marrow of 0 HU."""
    i, j, k = np.indices(shape)
    thick = (i % 16 < 6) & (j % 18 < 9) | (k % 17 < 6) & (i % 16 < 6)
    return Volume(np.where(thick, 1500, 0).astype(np.float32), grid(shape))


def protocol(pixel: float, thickness: float, kernel: str, noise: float = 20.0) -> Protocol:
    return Protocol(pixel_mm=pixel, slice_mm=thickness, kernel=KERNELS[kernel], noise_hu=noise)


@pytest.fixture(scope="module")
def scanned() -> tuple[Volume, list[Volume], list[SequenceBlur]]:
    """The bars in the four soft sequences."""
    truth = bars()
    seen, blurs = [], []
    for number, (pixel, thickness) in enumerate(itertools.product((0.195, 0.586), (0.5, 1.0))):
        place = Placement((0.3, 0.6, 0.1 + 0.2 * number))
        seen.append(scan(truth, protocol(pixel, thickness, "S"), np.random.default_rng(number), place))
        blurs.append(nominal(seen[-1], SOFT))
    return truth, seen, blurs


def inner(array: np.ndarray) -> np.ndarray:
    return array[6:-6, 6:-6, 6:-6]


def rms(found: Volume, truth: Volume) -> float:
    return float(np.sqrt(np.mean((inner(found.array) - inner(truth.array)) ** 2)))


# ------------------------------------------------------------------------------------------------ operators


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0, 1), st.integers(3, 40), st.integers(1, 9), st.floats(0.05, 0.5))
@settings(max_examples=40, deadline=None)
def test_every_sample_sees_exactly_one_volume_s_worth_of_it(fwhm, box, triangle, count, samples, spacing):
    positions = np.linspace(0, count - 1, samples)
    matrix = axis_matrix(AxisBlur(fwhm, box, triangle), positions, count, spacing)
    assert matrix.min() >= -1e-6
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


def test_a_profile_is_the_convolution_of_its_parts():
    """Variances of Gaussian, box and triangle add up; the mean is the sample's position."""
    blur = AxisBlur(0.8, 0.5, 0.3)
    matrix = axis_matrix(blur, np.array([50.25]), 101, 0.1)[0].astype(np.float64)
    at = np.arange(101)
    mean = float(matrix @ at)
    assert mean == pytest.approx(50.25, abs=0.01)
    expected = (0.8 / 2.3548) ** 2 + 0.5**2 / 12 + 0.3**2 / 6 + 0.1**2 / 12
    assert float(matrix @ (at - mean) ** 2) * 0.01 == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("rows", [7, 150])
def test_a_banded_matrix_is_the_matrix(axis, rows):
    rng = np.random.default_rng(rows)
    matrix = axis_matrix(AxisBlur(0.5), np.linspace(0, 79, rows), 80, 0.1)
    shape = [5, 6, 7]
    shape[axis] = 80
    array = rng.standard_normal(shape).astype(np.float32)
    dense = np.ascontiguousarray(np.moveaxis(np.tensordot(matrix, array, (1, axis)), 0, axis))
    np.testing.assert_allclose(Banded.of(matrix).along(array, axis), dense, atol=1e-5)
    back = np.moveaxis(np.tensordot(matrix.T, dense, (1, axis)), 0, axis)
    start = rng.standard_normal(shape).astype(np.float32)
    found = Banded.of(matrix).back(dense.astype(np.float32), axis, start.copy())
    np.testing.assert_allclose(found, start + back, atol=1e-4)
    np.testing.assert_allclose(Banded.of(matrix).back(dense.astype(np.float32), axis), back, atol=1e-4)


def test_seeing_and_its_adjoint_are_adjoint(scanned):
    truth, seen, blurs = scanned
    rng = np.random.default_rng(1)
    for volume, blur in zip(seen, blurs, strict=True):
        local = observe(volume, truth.grid, blur, 20.0).within((0, 0, 0), truth.grid.shape)
        assert local is not None
        x = rng.standard_normal(truth.grid.shape).astype(np.float32)
        y = rng.standard_normal(local.values.shape).astype(np.float32)
        one = np.vdot(local.operator.forward(x).astype(np.float64), y)
        assert np.vdot(x.astype(np.float64), local.operator.adjoint(y)) == pytest.approx(one, rel=1e-4, abs=1e-2)


def test_seeing_agrees_with_the_simulated_scanner_up_to_the_form_of_its_profiles():
    truth = bars()
    for pixel, thickness, kernel, width in ((0.195, 0.5, "S", SOFT), (0.586, 1.0, "B", BONE)):
        seen = scan(truth, protocol(pixel, thickness, kernel), None)
        local = observe(seen, truth.grid, nominal(seen, width), 1.0).within((0, 0, 0), truth.grid.shape)
        assert local is not None
        expected = local.operator.forward(truth.array)
        cut = tuple(slice(n // 6, n - n // 6) for n in expected.shape)
        assert np.abs(expected - local.values)[cut].max() < 60  # of 1500 HU


# ------------------------------------------------------------------------------------------------ the solution


def test_four_blurred_sequences_together_show_what_none_of_them_does(scanned):
    truth, seen, blurs = scanned
    found = fuse(seen, truth.grid, blurs, FusionConfig(probes=0))
    assert max(found.estimated.noise) < 80  # 28, 20, 28, 20, though there is structure everywhere
    best = min(rms(interpolate(v, truth.grid, "lanczos"), truth) for v in seen)
    assert rms(found.volume, truth) < 0.8 * best
    one = fuse(seen[:1], truth.grid, blurs[:1], FusionConfig(probes=0))
    assert rms(found.volume, truth) < rms(one.volume, truth) < best


def test_the_objective_never_rises_and_the_residual_ends_at_the_noise(scanned):
    truth, seen, blurs = scanned
    history = fuse(seen, truth.grid, blurs, FusionConfig(probes=0, noise=(28.0, 20.0, 28.0, 20.0))).history
    objectives = [step.objective for step in history]
    assert objectives == sorted(objectives, reverse=True)
    assert len(history) > 1
    assert 0.3 < history[-1].residual < 1.5


def test_an_object_without_structure_comes_back_as_it_is():
    flat = Volume(np.full((20, 22, 24), 300, np.float32), grid((20, 22, 24)))
    seen = scan(flat, protocol(0.195, 0.5, "S"), None)
    seen = Volume(seen.array + np.float32(1e-3) * (np.indices(seen.array.shape)[0] % 2), seen.grid)  # not quite flat
    found = fuse([seen], flat.grid, [nominal(seen, SOFT)], FusionConfig(noise=(10.0,), probes=0))
    np.testing.assert_allclose(found.volume.array, 300, atol=0.5)


def test_slabs_give_what_the_whole_gives(scanned):
    truth, seen, blurs = scanned
    config = FusionConfig(probes=0, steps=4, discrepancy=0.0, tolerance=0.0)
    whole = fuse(seen, truth.grid, blurs, config).volume.array
    cut = fuse(seen, truth.grid, blurs, config.model_copy(update={"memory_gb": 0.004, "overlap": 16})).volume.array
    error = np.sqrt(np.mean((whole - truth.array) ** 2))
    assert np.sqrt(np.mean((whole - cut) ** 2)) < 0.1 * error


@given(st.tuples(*[st.integers(1, 90)] * 3), st.integers(50, 50000), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_slabs_cover_every_voxel_once(shape, most, overlap):
    count = np.zeros(shape, int)
    for slab in slabs(shape, most, overlap):
        there, here = slab.kept
        count[there] += 1
        part = np.zeros(slab.shape)[here]
        assert part.shape == count[there].shape
    assert (count == 1).all()


def test_turned_and_flipped_sequences_give_the_same_volume(scanned):
    truth, seen, blurs = scanned
    volume = seen[0]
    turn = Affine.from_parts(
        np.array([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]]), np.array([volume.grid.shape[0] - 1.0, 0, 0]), "voxel", "voxel"
    )  # i = n - 1 - k', j = i', k = j'
    array = np.ascontiguousarray(volume.array[::-1].transpose(1, 2, 0))
    turned = Volume(array, Grid(array.shape, volume.grid.world_from_voxel @ turn))
    config = FusionConfig(probes=0, steps=2, noise=(28.0,))
    one = fuse([volume], truth.grid, blurs[:1], config).volume.array
    blur = nominal(turned, SOFT)
    assert blur.slice_axis == 1
    other = fuse([turned], truth.grid, [blur], config).volume.array
    np.testing.assert_allclose(other, one, atol=0.5)


def test_nothing_is_less_than_fat_but_near_air_it_may_be_air():
    truth = bars((40, 40, 32))
    truth = Volume(np.where(np.indices(truth.array.shape)[0] < 16, np.float32(-1000), truth.array), truth.grid)
    seen = scan(truth, protocol(0.195, 0.5, "S"), np.random.default_rng(0))
    found = fuse([seen], truth.grid, [nominal(seen, SOFT)], FusionConfig(probes=0)).volume.array
    assert found[:6].mean() < -900
    assert found[32:].min() >= -100
    assert found.min() >= -1024


def test_the_floor_is_air_within_a_blur_of_air():
    smooth = np.zeros((20, 5, 5), np.float32)
    assert floor_map(smooth, -100.0, (2.0, 2.0, 2.0)).shape == (1, 1, 1)
    smooth[:3] = -900
    floor = floor_map(smooth, -100.0, (2.0, 2.0, 2.0))
    assert (floor[:5] == -1024).all()
    assert (floor[5:] == -100).all()


def test_confidence_is_a_share_and_grows_with_the_data(scanned):
    truth, seen, blurs = scanned
    noise = (28.0, 20.0, 28.0, 20.0)
    maps = []
    for count in (1, 4):
        config = FusionConfig(probes=2, steps=3, noise=noise[:count])
        found = fuse(seen[:count], truth.grid, blurs[:count], config).confidence
        assert found is not None
        assert 0 <= found.array.min() <= found.array.max() <= 1
        maps.append(np.asarray(found.array, np.float64))
    assert maps[1].mean() > maps[0].mean() > 0


def test_whole_numbers_take_half_the_memory(scanned):
    truth, seen, blurs = scanned
    config = FusionConfig(probes=0, steps=1)
    found = fuse(seen, truth.grid, blurs, config).volume.array
    rounded = fuse(seen, truth.grid, blurs, config.model_copy(update={"whole_numbers": True})).volume.array
    assert rounded.dtype == np.int16
    np.testing.assert_array_equal(rounded, np.rint(found))


def test_sequences_at_a_slant_are_brought_over_and_at_a_steep_one_refused(scanned):
    truth, seen, blurs = scanned

    def tilted(degrees: float) -> Volume:
        a = np.radians(degrees)
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        middle = truth.grid.corners.mean(axis=0)
        move = Affine.from_parts(turn, middle - turn @ middle, "world", "world")
        return Volume(seen[0].array, Grid(seen[0].grid.shape, move @ seen[0].grid.world_from_voxel))

    gentle = fuse([tilted(3)], truth.grid, blurs[:1], FusionConfig(probes=0, steps=1))
    assert gentle.estimated.resampled == (True,)
    with pytest.raises(InputError, match="more than 30 degrees"):
        fuse([tilted(40)], truth.grid, blurs[:1])


# ------------------------------------------------------------------------------------------------ what is measured


@pytest.mark.parametrize("f50", [0.4, 0.85])
def test_calibration_finds_the_blur_the_slice_and_the_contrast(f50):
    """With a kernel that is a Gaussian: its width is known."""
    truth, width = bars((100, 90, 64)), 2 * np.log(2) / np.pi / f50
    gaussian = Protocol(pixel_mm=0.195, slice_mm=0.5, kernel=Kernel(f50=f50, f10=1.8226 * f50), noise_hu=20.0)
    seen = scan(truth, gaussian, np.random.default_rng(0))
    duller = Volume((0.8 * seen.array + 40).astype(np.float32), seen.grid)
    found = calibrated(duller, truth)
    assert found.blur.in_plane == pytest.approx(width, rel=0.05)
    assert found.blur.slice_thickness == pytest.approx(0.5, abs=0.08)
    assert found.gain == pytest.approx(0.8, rel=0.04)
    assert found.offset == pytest.approx(40, abs=20)
    back = found.corrected(duller)
    np.testing.assert_allclose(back.array, (duller.array - found.offset) / found.gain, rtol=1e-4, atol=1e-2)


def test_padding_stays_padding_when_contrast_is_corrected():
    truth = bars((48, 44, 40))
    seen = scan(truth, protocol(0.195, 0.5, "B"), None)
    found = calibrated(seen, truth)
    padded = Volume(np.where(np.indices(seen.array.shape)[0] == 0, -1024, seen.array), seen.grid)
    assert (found.corrected(padded).array[0] == -1024).all()


def test_a_truth_that_is_flat_or_elsewhere_calibrates_nothing():
    truth = bars((48, 44, 40))
    seen = scan(truth, protocol(0.195, 0.5, "S"), None)
    with pytest.raises(InputError, match="flat"):
        calibrated(seen, Volume(np.full(truth.grid.shape, 7, np.float32), truth.grid))
    far = Affine.from_parts(np.eye(3), np.array([500.0, 0, 0]), "world", "world")
    with pytest.raises(EmptyShapeError, match="does not overlap"):
        calibrated(seen, Volume(truth.array, Grid(truth.grid.shape, far @ truth.grid.world_from_voxel)))
    with pytest.raises(InputError, match="shows nothing"):
        calibrated(Volume(-seen.array, seen.grid), truth)


def test_noise_is_measured_where_nothing_else_is():
    flat = Volume(np.zeros((80, 80, 40), np.float32), grid((80, 80, 40)))
    seen = scan(flat, protocol(0.195, 0.5, "B"), np.random.default_rng(0))
    sigma = protocol(0.195, 0.5, "B").noise
    assert 0.6 * sigma < noise_level(seen) < 1.1 * sigma


def test_what_cannot_be_fused_is_refused(scanned):
    truth, seen, blurs = scanned
    with pytest.raises(InputError, match="nothing to fuse"):
        fuse([], truth.grid, [])
    with pytest.raises(UsageError, match="blurs: 1 given for 4 sequences"):
        fuse(seen, truth.grid, blurs[:1])
    with pytest.raises(UsageError, match="noise: 1 given for 4 sequences"):
        fuse(seen, truth.grid, blurs, FusionConfig(noise=(20.0,)))
    with pytest.raises(UsageError, match="standard deviations are positive"):
        fuse(seen[:1], truth.grid, blurs[:1], FusionConfig(noise=(-1.0,)))
    with pytest.raises(InputError, match="fwhm is inf"):
        SequenceBlur(in_plane=float("inf"), slice_thickness=1.0).axes(False)
