"""Attenuation, photons and noise in their units."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import InputError
from voxbench.geometry import Device, Grid, Mesh, Volume, gantry
from voxbench.simulate.radiograph import (
    WATER_PER_MM,
    PhotonNoise,
    RelativeNoise,
    attenuation,
    intensity,
    measured,
    measured_relative,
    radiographs,
    shadows,
)

DEVICE = Device(source_to_detector_mm=1000, source_to_isocentre_mm=900, rows=20, cols=21, pixel_mm=(1.0, 1.0))


def test_attenuation_is_0_for_air_and_that_of_water_for_0_hu():
    grid = Grid.from_parts((1, 1, 4))
    found = attenuation(Volume(np.array([[[-1024, -1000, 0, 1000]]], np.int16), grid))
    assert found.array.dtype == np.float32
    np.testing.assert_allclose(found.array[0, 0], (0, 0, 0.02059, 0.04118), atol=1e-9)


def test_a_slab_of_water_attenuates_as_its_thickness_says():
    shape = (60, 50, 60)
    grid = Grid.from_parts(shape, (1.0, 1.0, 1.0), (-29.5, -24.5, -29.5))
    ct = Volume(np.zeros(shape, np.int16), grid)
    view = gantry(0, DEVICE)
    rows, cols = np.indices(view.shape)
    rays = view.rays(np.stack([rows, cols], -1).astype(float))
    expected = 50 * WATER_PER_MM[60] / np.abs(rays[..., 1])  # 50 mm front to back, along the ray
    for method in ("joseph", "siddon"):
        found = radiographs(ct, [view], method)[0]
        np.testing.assert_allclose(found, expected, rtol=2e-6)
    np.testing.assert_allclose(intensity(found, 1e4), 1e4 * np.exp(-expected), rtol=1e-5)


def test_photon_noise_has_the_spread_of_its_count():
    rng, p = np.random.default_rng(0), np.full((300, 300), 2.0, np.float32)
    for photons, electronic in ((20000.0, 0.0), (20000.0, 60.0)):
        found = measured(p, PhotonNoise(photons=photons, electronic=electronic), rng)
        arrived = photons * np.exp(-2)
        spread = np.sqrt(arrived + electronic**2) / arrived  # of -log, to first order
        assert found.std() == pytest.approx(spread, rel=0.02)
        assert found.mean() == pytest.approx(2.0 + spread**2 / 2, abs=4 * spread / 300)
    starved = measured(np.full((50, 50), 30.0, np.float32), PhotonNoise(photons=1000), rng)
    assert starved.max() == pytest.approx(np.log(1000), rel=1e-6)
    assert np.isfinite(starved).all()


def test_published_noise_is_relative_to_the_largest_integral():
    rng = np.random.default_rng(0)
    stack = np.zeros((2, 200, 200), np.float32)
    stack[1, 100:] = 0.08
    found = measured_relative(stack, RelativeNoise(), rng)
    assert found.min() == 0
    most = found[1, 100:]
    arrived = 1e5 * np.exp(-1)
    assert most.mean() == pytest.approx(0.08, rel=1e-3)
    assert most.std() == pytest.approx(0.08 * np.sqrt(arrived + 100) / arrived, rel=0.03)
    # Where nothing is in the way half of the values would be below 0 and become 0: the half of a Gaussian is left.
    empty = found[0]
    assert np.mean(empty == 0) == pytest.approx(0.5, abs=0.01)
    assert np.sqrt(np.mean(empty**2) * 2) == pytest.approx(0.08 * np.sqrt(1e5 + 100) / 1e5, rel=0.03)
    np.testing.assert_allclose(
        measured_relative(1000 * stack, RelativeNoise(), np.random.default_rng(0)), 1000 * found, rtol=1e-5
    )
    with pytest.raises(InputError, match="0 everywhere"):
        measured_relative(np.zeros((1, 4, 4)), RelativeNoise(), rng)


def test_noise_repeats_with_its_seed_and_differs_without():
    p = np.ones((9, 9), np.float32)
    one, again, other = (measured(p, PhotonNoise(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_shadows_are_those_of_all_bones_together():
    def square(x):
        corners = np.array([(x, 0, -3), (x + 4, 0, -3), (x + 4, 0, 3), (x, 0, 3)], float)
        return Mesh(corners, np.array([(0, 1, 2), (0, 2, 3)]))

    view = gantry(0, DEVICE)
    both, one, other = (
        shadows(meshes, [view, gantry(90, DEVICE)]) for meshes in ((square(-7), square(2)), (square(-7),), (square(2),))
    )
    np.testing.assert_array_equal(both, one | other)
    assert both.dtype == bool
    # 4 mm x 6 mm, magnified 10/9; pixel centres of rows at -2.5 to 2.5 and of four or five columns.
    assert one[0].sum() == other[0].sum()
    assert one[0].sum() in {5 * 6, 4 * 6}
