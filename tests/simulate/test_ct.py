"""The model of a clinical CT against closed forms: transfer, slice profile, HU, noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import InputError
from voxbench.geometry import Grid, Volume
from voxbench.simulate.ct import KERNELS, Kernel, Placement, Protocol, native_grid, noise_texture, registered, scan
from voxbench.simulate.slices import slice_profile, slice_weights

MM = 0.105
SOFT = Protocol(pixel_mm=0.195, slice_mm=0.5, kernel=KERNELS["S"])
BONE = Protocol(pixel_mm=0.195, slice_mm=0.5, kernel=KERNELS["B"])
COARSE = Protocol(pixel_mm=0.586, slice_mm=1.0, kernel=KERNELS["S"])


def micro(shape=(160, 24, 24), function=None):
    grid = Grid.from_parts(shape, (MM, MM, MM))
    points = np.indices(shape).astype(float) * MM
    values = np.zeros(shape) if function is None else function(*points) * np.ones(shape)
    return Volume(values.astype(np.float32), grid)


@pytest.mark.parametrize("kernel", ["S", "B"])
def test_a_kernel_passes_half_at_f50_and_a_tenth_at_f10(kernel):
    k = KERNELS[kernel]
    np.testing.assert_allclose(k.transfer(np.array([0, k.f50, k.f10])), [1, 0.5, 0.1], rtol=1e-12)


def test_a_kernel_whose_f10_is_1_823_times_f50_is_a_gaussian():
    k = Kernel(f50=0.5, f10=0.5 * np.sqrt(np.log(10) / np.log(2)))
    sigma = np.sqrt(np.log(2) / 2) / np.pi / 0.5
    f = np.linspace(0, 2, 9)
    np.testing.assert_allclose(k.transfer(f), np.exp(-2 * (np.pi * sigma * f) ** 2), rtol=1e-9)


@pytest.mark.parametrize("protocol", [SOFT, BONE, COARSE])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("frequency", [0.2, 0.4, 0.7])
def test_waves_in_plane_keep_the_share_that_the_transfer_says(protocol, turned, frequency):
    side = (0.6, 0.8) if turned else (1.0, 0.0)

    def wave(x, y, z):
        return 12e3 + 1e4 * np.cos(2 * np.pi * frequency * (side[0] * x + side[1] * y))

    volume = micro((150, 150 if turned else 6, 12), wave)
    native = scan(volume, protocol, None, Placement((0.3, 0.4, 0.5)))
    points = native.grid.world_from_voxel(np.stack(np.indices(native.grid.shape), -1).astype(float))
    low, high = volume.grid.corners.min(0), volume.grid.corners.max(0)
    middle = ((points > low + 4) & (points < high - 4))[..., 0]
    if turned:
        middle &= ((points > low + 4) & (points < high - 4))[..., 1]
    expected = wave(*np.moveaxis(points, -1, 0))[middle]
    share = np.polyfit(expected, native.array[middle], 1)[0]
    assert middle.sum() > 20
    assert share == pytest.approx(float(protocol.kernel.transfer(np.array([frequency]))[0]), abs=4e-3)


@pytest.mark.parametrize("edge", [0.1, 0.6, 1.0])
@pytest.mark.parametrize("thickness", [0.5, 1.0])
def test_the_slice_profile_has_unit_area_its_width_at_half_height_and_its_transfer(thickness, edge):
    z = np.linspace(-1.5, 1.5, 60001)
    profile = slice_profile(z, thickness, edge)
    step = z[1] - z[0]
    assert profile.sum() * step == pytest.approx(1, rel=1e-6)
    above = z[profile >= profile.max() / 2]
    assert above[-1] - above[0] == pytest.approx(thickness, abs=1e-3)
    f = 0.7
    assert (profile * np.cos(2 * np.pi * f * z)).sum() * step == pytest.approx(
        np.sinc(thickness * f) * np.sinc(edge * thickness * f), abs=1e-6
    )


@given(
    layers=st.integers(1, 40),
    centre=st.floats(-1, 5),
    thickness=st.floats(0.2, 1.5),
    edge=st.floats(0.05, 1),
)
@settings(max_examples=60, deadline=None)
def test_slice_weights_are_the_profile_integrated_over_each_layer(layers, centre, thickness, edge):
    weights = slice_weights(np.array([centre]), layers, MM, (thickness, edge))[0]
    fine = np.linspace(centre - 2, centre + 2, 40001)
    owner = np.clip(np.rint(fine / MM).astype(int), 0, layers - 1)
    expected = np.bincount(owner, slice_profile(fine - centre, thickness, edge), layers) * (fine[1] - fine[0])
    np.testing.assert_allclose(weights, expected, atol=1e-3)
    assert weights.sum() == pytest.approx(1, abs=1e-5)


def test_a_thin_sheet_across_the_axis_shows_the_slice_profile():
    volume = micro((8, 8, 40), lambda x, y, z: 20000.0 * (np.rint(z / MM) == 20))
    found = []
    for shift in np.linspace(0, 1, 21)[:-1]:
        native = scan(volume, SOFT, None, Placement((0.5, 0.5, float(shift))))
        z = native.grid.world_from_voxel(np.array([[1.0, 1, k] for k in range(native.grid.shape[2])]))[:, 2]
        found += list(zip(z - 20 * MM, native.array[3, 3] / 20000, strict=True))
    z, seen = np.array(sorted(found)).T
    fine = np.linspace(-MM / 2, MM / 2, 201)
    expected = slice_profile(z[:, None] + fine, 0.5, SOFT.slice_edge).mean(axis=1) * MM
    np.testing.assert_allclose(seen, expected, atol=2e-3)


@pytest.mark.parametrize("protocol", [SOFT, BONE, COARSE])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.2, 0.7, 0.9)])
def test_a_uniform_object_keeps_its_hu_everywhere(protocol, shift):
    native = scan(micro((40, 30, 20), lambda x, y, z: 431.0), protocol, None, Placement(shift))
    assert (native.array == 431).all()
    assert native.array.dtype == np.int16


@pytest.mark.parametrize("protocol", [SOFT, BONE, COARSE])
def test_the_amount_of_bone_is_kept(protocol):
    def ball(x, y, z):
        return 20000.0 * (np.hypot(np.hypot(x - 4, y - 4.2), z - 4.1) < 1.3)

    volume = micro((80, 80, 80), ball)
    native = scan(volume, protocol, None, Placement((0.3, 0.8, 0.6)))
    amount = native.array.sum(dtype=float) * native.grid.voxel_volume
    assert amount == pytest.approx(volume.array.sum(dtype=float) * MM**3, rel=5e-3)


def test_the_native_grid_covers_the_box_whatever_its_shift():
    grid = Grid.from_parts((50, 44, 37), (MM, MM, MM), (3, -5, 7))
    for shift in ((0.0, 0.0, 0.0), (0.0, 0.5, 1.0), (0.99, 0.01, 0.3)):
        native = native_grid(grid, COARSE, Placement(shift))
        np.testing.assert_allclose(native.spacing, [0.586, 0.586, 1.0])
        assert (native.corners.min(0) - native.spacing / 2 <= grid.corners.min(0) - MM / 2 + 1e-9).all()
        assert (native.corners.max(0) + native.spacing / 2 >= grid.corners.max(0) + MM / 2 - 1e-9).all()


def test_noise_has_the_variance_that_is_asked_for_in_fine_and_coarse_pixels():
    for protocol in (SOFT, BONE, COARSE):
        grid = Grid.from_parts((96, 90, 12), (protocol.pixel_mm, protocol.pixel_mm, protocol.slice_mm))
        noise = noise_texture(grid, protocol.kernel, np.random.default_rng(0))
        assert noise.std() == pytest.approx(1, rel=0.03)
        assert abs(noise.mean()) < 0.01
        neighbours = np.corrcoef(noise[:, :, :-1].ravel(), noise[:, :, 1:].ravel())[0, 1]
        assert abs(neighbours) < 0.06


@pytest.mark.parametrize("kernel", ["S", "B"])
def test_noise_has_the_power_spectrum_of_its_kernel(kernel):
    k = KERNELS[kernel]
    grid = Grid.from_parts((128, 128, 30), (0.195, 0.195, 0.5))
    noise = noise_texture(grid, k, np.random.default_rng(1))
    window = np.hanning(128)[:, None] * np.hanning(128)
    power = np.mean(np.abs(np.fft.fft2(noise.transpose(2, 0, 1) * window)) ** 2, axis=0)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(128, 0.195), np.fft.fftfreq(128, 0.195)))
    bins = np.arange(0.1, 1.3 * k.f10, 0.08)
    which = np.digitize(f, bins)
    found = np.array([power[which == n].mean() for n in range(1, len(bins))])
    expected = np.array([k.noise_power(f[which == n]).mean() for n in range(1, len(bins))])
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), atol=0.012)


def test_noise_grows_with_thinner_slices_and_sharper_kernels_as_theory_has_it():
    gaussian = Kernel(f50=0.5, f10=0.5 * np.sqrt(np.log(10) / np.log(2)))
    a = 2 * np.log(2) / 0.25
    assert gaussian.noise_gain == pytest.approx(np.sqrt(2 * np.pi * np.sqrt(np.pi) / (4 * a**1.5)), rel=1e-4)
    assert COARSE.noise == pytest.approx(20)
    assert SOFT.noise == pytest.approx(20 * np.sqrt(2))
    twice = Kernel(f50=0.8, f10=1.4)
    assert twice.noise_gain / KERNELS["S"].noise_gain == pytest.approx(2**1.5, rel=1e-4)


def test_a_scan_of_air_shows_the_noise_asked_for_and_a_seed_repeats_it():
    volume = micro((100, 100, 40), lambda x, y, z: 100.0)
    native = scan(volume, BONE, np.random.default_rng(3))
    assert native.array.std() == pytest.approx(BONE.noise, rel=0.05)
    np.testing.assert_array_equal(native.array, scan(volume, BONE, np.random.default_rng(3)).array)


def test_registered_is_linear_between_voxels_and_1024_below_beyond_them():
    native = Volume(np.arange(8, dtype=np.int16).reshape(2, 2, 2) * 100, Grid.from_parts((2, 2, 2)))
    found = registered(native, Grid.from_parts((5, 1, 1), (0.5, 1, 1), (-0.5, 0, 0)))
    assert found.array[:, 0, 0].tolist() == [-1024, 0, 200, 400, -1024]
    assert found.array.dtype == np.int16


def test_a_volume_coarser_than_the_pixels_is_refused_with_both():
    volume = Volume(np.zeros((4, 4, 4)), Grid.from_parts((4, 4, 4), (0.3, 0.3, 0.3)))
    with pytest.raises(InputError, match=r"coarser than the scanner's pixels\n  volume .*0\.3.*\n  pixels  0\.195 mm"):
        scan(volume, SOFT, None)


def test_a_transfer_that_rises_is_refused():
    with pytest.raises(InputError, match=r"f10 above f50\n  f50  0\.5 per mm\n  f10  0\.4 per mm"):
        Kernel(f50=0.5, f10=0.4).transfer(np.array([0.1]))
