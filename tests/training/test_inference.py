"""Sliding windows: identity stays identity, whatever the sizes; slabs are written once and whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.training.inference import sliding_window

sizes = st.tuples(*[st.integers(1, 17)] * 3)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.floats(0, 0.8), st.integers(1, 3))
def test_windows_that_give_their_input_give_the_volume(shape, window, overlap, batch):
    volume = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    out = np.full(shape, np.nan, np.float32)
    sliding_window(lambda patches: patches[:, 1], volume, out, window, overlap, batch)
    np.testing.assert_allclose(out, volume[1], atol=1e-5)


def test_the_middle_of_a_window_counts_more_than_its_rim():
    calls = iter([0.0, 1.0])
    out = np.zeros((12, 1, 1), np.float32)
    sliding_window(
        lambda patches: np.full((1, 8, 1, 1), next(calls), np.float32), np.zeros((1, 12, 1, 1)), out, (8, 1, 1), 0.5
    )
    line = out[:, 0, 0]
    assert (line[:4] == 0).all()
    assert (line[8:] == 1).all()
    assert (np.diff(line[3:9]) > 0).all()
    assert line[5] + line[6] == pytest.approx(1)


def test_integers_are_rounded_and_clipped():
    out = np.zeros((3, 2, 2), np.int16)
    sliding_window(lambda patches: patches[:, 0], np.full((1, 3, 2, 2), 40000.6), out, (2, 2, 2))
    assert (out == 32767).all()
