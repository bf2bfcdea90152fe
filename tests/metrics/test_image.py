"""Image agreement against NumPy, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.errors import GridMismatchError
from voxbench.metrics.image import normalized_cross_correlation as ncc


def images(seed: int, shape=(7, 6, 5)):
    """Two images that have something in common."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=shape)
    return a, 0.5 * a + rng.normal(size=shape)


@given(st.integers(0, 2**32), st.floats(0.1, 1e3), st.floats(-1e3, 1e3))
def test_it_is_pearson_s_correlation_whatever_the_scale_and_offset(seed, scale, offset):
    a, b = images(seed)
    expected = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    assert ncc(a, scale * b + offset) == pytest.approx(expected, abs=2e-5)
    assert ncc(a, -scale * b + offset) == pytest.approx(-expected, abs=2e-5)
    assert ncc(b, a) == pytest.approx(ncc(a, b), abs=1e-6)


def test_only_the_region_counts():
    a, b = images(3)
    mask = np.zeros(a.shape, bool)
    mask[2:5] = True
    expected = np.corrcoef(a[mask], b[mask])[0, 1]
    assert ncc(a, b, mask) == pytest.approx(expected, abs=1e-6)


def test_integers_far_from_zero_lose_nothing():
    a, b = ((1000 * x).astype(np.int16) + 30000 - 28000 for x in images(4))
    assert ncc(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-6)


def test_an_image_agrees_with_itself_and_a_constant_one_with_nothing():
    a, _ = images(5)
    assert ncc(a, a) == pytest.approx(1, abs=1e-6)
    assert np.isnan(ncc(a, np.full(a.shape, 3.0)))
    assert np.isnan(ncc(a, a, np.zeros(a.shape, bool)))


def test_shapes_that_differ_are_refused():
    with pytest.raises(GridMismatchError, match=r"\(2, 2, 2\)"):
        ncc(np.ones((2, 2, 2)), np.ones((3, 2, 2)))
