"""The image kernels against scikit-image and NumPy, bit for bit, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from voxbench import _core

WINDOW = np.array([-500, 1300, 1800], np.float32)
LEVELS = range(_core.instruction_set() + 1)


@pytest.fixture(params=LEVELS)
def level(request):
    best = _core.instruction_set()
    _core.set_instruction_set(request.param)
    yield request.param
    _core.set_instruction_set(best)


def pair(shape, dtype=np.int16, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.integers(-1200, 3500, shape)
    return a.astype(dtype), (a + rng.normal(0, 150, shape)).astype(dtype)


def windowed(image, window=WINDOW):
    return (np.clip(image.astype(np.float32), window[0], window[1]) - window[0]) / window[2]


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize(("shape", "size"), [((9, 75, 35), 7), ((20, 8, 1), 5), ((7, 7, 40), 7), ((3, 3, 2), 3)])
def test_ssim_of_every_slice_is_scikit_image_s(level, dtype, shape, size):
    a, b = pair(shape, dtype)
    box = np.array([[0, n] for n in shape])
    x, y = windowed(a), windowed(b)
    expected = [
        structural_similarity(x[..., k].copy(), y[..., k].copy(), data_range=1.0, win_size=size)
        for k in range(shape[2])
    ]
    assert _core.ssim_slices(a, b, None, WINDOW, box, size) == pytest.approx(expected, abs=1e-9)


def test_ssim_in_three_dimensions_is_scikit_image_s(level):
    a, b = pair((20, 41, 15))
    box = np.array([[1, 19], [3, 40], [2, 14]])
    x, y = (windowed(image)[1:19, 3:40, 2:14] for image in (a, b))
    expected = structural_similarity(x, y, data_range=1.0, win_size=7)
    assert _core.ssim_volume(a, b, None, WINDOW, box, 7) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("share", [None, 0.0, 0.001, 0.3, 1.0])
def test_float32_sums_have_numpy_s_digits(level, dtype, share):
    a, b = pair((37, 45, 130), dtype, 1)
    mask = None if share is None else np.random.default_rng(2).random(a.shape) < share
    x, y = windowed(a), windowed(b)
    x, y = (np.asfortranarray(v) if mask is None else v[mask] for v in (x, y))
    voxels, tree, sums, span = _core.agreement(
        a, b, None if mask is None else mask.view(np.uint8), np.stack([WINDOW, WINDOW]), None
    )
    terms = (x, y, np.abs(x - y), (x - y) ** 2)
    assert voxels == x.size
    assert tree[0].tolist() == tree[1].tolist() == [v.sum() for v in terms]
    assert sums[0] == pytest.approx([v.sum(dtype=np.float64) for v in terms], rel=1e-13)
    if x.size:
        assert span.tolist() == [(a if mask is None else a[mask]).min(), (a if mask is None else a[mask]).max()]
        centres = np.array([[x.mean(), y.mean()]] * 2, np.float32)
        _, tree, _, _ = _core.agreement(
            a, b, None if mask is None else mask.view(np.uint8), np.stack([WINDOW, WINDOW]), centres
        )
        u, v = x - centres[0, 0], y - centres[0, 1]
        assert tree[0].tolist() == [(u * u).sum(), (v * v).sum(), (u * v).sum(), 0]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 127, 128, 129, 65537])
def test_sums_of_few_values_too(level, count):
    a, b = pair((1, 1, count), np.float32, 3)
    _, tree, _, _ = _core.agreement(a, b, np.ones(a.shape, np.uint8), WINDOW[None], None)
    assert tree[0, 0] == windowed(a).ravel().sum()


def test_wrong_arrays_are_refused_with_a_reason():
    a, b = pair((8, 8, 8))
    box = np.array([[0, 8]] * 3)
    with pytest.raises(TypeError, match="int16 or float32"):
        _core.ssim_slices(a.astype(np.float64), b, None, WINDOW, box, 7)
    with pytest.raises(TypeError, match="dtypes differ"):
        _core.ssim_slices(a, b.astype(np.float32), None, WINDOW, box, 7)
    with pytest.raises(TypeError, match="C-contiguous"):
        _core.agreement(np.asfortranarray(a), b, None, WINDOW[None], None)
    with pytest.raises(ValueError, match="shapes differ"):
        _core.agreement(a, b[:7], None, WINDOW[None], None)
    with pytest.raises(ValueError, match="smaller than the window"):
        _core.ssim_slices(a, b, None, WINDOW, np.array([[0, 6], [0, 8], [0, 8]]), 7)
    with pytest.raises(ValueError, match="not inside"):
        _core.ssim_slices(a, b, None, WINDOW, np.array([[0, 9], [0, 8], [0, 8]]), 7)
