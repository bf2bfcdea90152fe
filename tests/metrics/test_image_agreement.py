"""Windows, agreement, structural similarity and local bone contrast against slow definitions, and their edges."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from voxbench.errors import GridMismatchError, InputError
from voxbench.metrics import (
    IntensityWindow,
    image_agreement,
    local_bone_contrast,
    ssim,
    ssim_3d,
    ssim_slices,
)
from voxbench.metrics.bone_contrast import window_contrasts
from voxbench.metrics.similarity import filter_size

BONE = IntensityWindow.centred(400, 1800)
RAW = IntensityWindow(-1024, 4095)


def pair(shape, dtype=np.int16, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.integers(-1200, 3500, shape)
    return a.astype(dtype), (a + rng.normal(0, 150, shape)).astype(dtype)


def test_a_window_takes_its_ends_to_0_and_1_and_clips():
    values = np.array([-2000, -500, 400, 1300, 5000], np.int16)
    assert BONE.apply(values).tolist() == [0, 0, 0.5, 1, 1]
    assert RAW.highest == 3071
    with pytest.raises(InputError, match="positive width"):
        IntensityWindow(0, 0)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("share", [None, 0.3])
def test_agreement_is_its_definition_in_float64(dtype, share):
    a, b = pair((11, 12, 13), dtype)
    mask = None if share is None else np.random.default_rng(1).random(a.shape) < share
    for window, found in zip((BONE, RAW), image_agreement(a, b, (BONE, RAW), mask), strict=True):
        x, y = (window.apply(v).astype(np.float64) for v in (a, b))
        x, y = (v.ravel() if mask is None else v[mask] for v in (x, y))
        mse = np.mean((x - y) ** 2)
        assert found.voxels == x.size
        assert found.psnr == pytest.approx(10 * np.log10(1 / mse), abs=1e-6)
        assert found.mae == pytest.approx(np.abs(x - y).mean(), abs=1e-7)
        assert found.rmse == pytest.approx(np.sqrt(mse), abs=1e-7)
        assert found.nrmse == pytest.approx(np.sqrt(mse) / np.ptp(x), abs=1e-7)
        assert found.ncc == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-7)


def test_undefined_agreement_is_nan_and_identity_is_infinite_psnr():
    a, b = pair((5, 6, 7))
    (empty,) = image_agreement(a, b, (BONE,), np.zeros(a.shape, bool))
    assert empty.voxels == 0
    assert np.isnan([empty.psnr, empty.mae, empty.ncc, empty.nrmse]).all()
    (same,) = image_agreement(a, a, (BONE,))
    assert same.psnr == np.inf
    assert same.mae == 0
    assert same.ncc == pytest.approx(1, abs=1e-12)
    constant = np.full_like(a, 100)
    (flat,) = image_agreement(constant, b, (BONE,))
    assert np.isnan(flat.ncc)
    assert np.isnan(flat.nrmse)


def test_agreement_is_refused_for_other_shapes_and_masks_that_are_not_bool():
    a, b = pair((5, 6, 7))
    with pytest.raises(GridMismatchError, match=r"\(5, 6, 7\)"):
        image_agreement(a, b[:4], (BONE,))
    with pytest.raises(InputError, match="bool"):
        ssim(a, b, BONE, np.ones(a.shape, np.uint8))


@pytest.mark.parametrize(("extent", "size"), [(100, 7), (8, 7), (7, 5), (6, 5), (5, 3), (3, 3), (2, 3), (1, 3)])
def test_the_filter_shrinks_in_small_images(extent, size):
    assert filter_size(np.array([extent, 50])) == size


def test_a_mask_crops_to_its_box_and_zeroes_outside_after_the_window():
    a, b = pair((30, 31, 12))
    mask = np.zeros(a.shape, bool)
    mask[3:20, 5:29, 2:9] = np.random.default_rng(3).random((17, 24, 7)) < 0.5
    x, y = (np.where(mask, BONE.apply(v), np.float32(0))[3:20, 5:29, 2:9] for v in (a, b))
    expected = [structural_similarity(x[..., k], y[..., k], data_range=1.0, win_size=7) for k in range(7)]
    assert ssim_slices(a, b, BONE, mask) == pytest.approx(expected, abs=1e-7)
    assert ssim(a, b, BONE, mask) == pytest.approx(np.mean(expected), abs=1e-7)
    solid = structural_similarity(x, y, data_range=1.0, win_size=5)
    assert ssim_3d(a, b, BONE, mask) == pytest.approx(solid, abs=1e-7)


def test_ssim_is_symmetric_and_one_for_equal_images():
    a, b = pair((12, 13, 5), np.float32)
    assert ssim(a, b, BONE) == ssim(b, a, BONE)
    assert ssim(a, a, BONE) == 1
    constant = np.zeros_like(a)
    assert ssim(constant, constant, BONE) == 1
    assert ssim_3d(constant, constant, BONE) == 1


def test_ssim_of_nothing_or_less_than_a_window_is_nan():
    a, b = pair((12, 13, 5))
    assert np.isnan(ssim(a, b, BONE, np.zeros(a.shape, bool)))
    assert np.isnan(ssim_3d(a, b, BONE, np.zeros(a.shape, bool)))
    mask = np.zeros(a.shape, bool)
    mask[4:6, 2:9, 1:3] = True
    assert np.isnan(ssim_slices(a, b, BONE, mask)).tolist() == [True, True]
    assert np.isnan(ssim_3d(a[..., :1], b[..., :1], BONE))
    assert ssim_slices(a[..., :1], b[..., :1], BONE).shape == (1,)


def slow_contrasts(image, mask):
    values = image.astype(np.float32)
    found = []
    for k in range(image.shape[2]):
        for i in range(0, image.shape[0] - 15, 8):
            for j in range(0, image.shape[1] - 15, 8):
                inside = mask[i : i + 16, j : j + 16, k]
                if inside.sum() >= 12:
                    own = values[i : i + 16, j : j + 16, k][inside]
                    found.append(float(np.percentile(own, 95) - np.percentile(own, 5)))
    return np.array(found)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_local_bone_contrast_is_numpy_s_percentiles(dtype):
    rng = np.random.default_rng(4)
    image = rng.normal(300, 200, (45, 61, 20)).astype(dtype)
    image[:20] -= dtype(1500)
    mask = rng.random(image.shape) < np.linspace(0.02, 1.1, 20)
    expected = slow_contrasts(image, mask)
    assert window_contrasts(image, mask).tolist() == expected.tolist()
    found = local_bone_contrast(image, mask)
    assert (found.mean, found.std, found.windows) == (expected.mean(), expected.std(), expected.size)
    assert found.decibel == 20 * np.log10(expected.mean())


def test_contrast_counts_windows_of_at_least_twelve_voxels():
    image = np.arange(16 * 16, dtype=np.int16).reshape(16, 16, 1)
    mask = np.zeros(image.shape, bool)
    mask.reshape(-1)[:11] = True
    none = local_bone_contrast(image, mask)
    assert (none.mean, none.std, none.windows, none.decibel) == (0, 0, 0, -np.inf)
    mask.reshape(-1)[:12] = True
    assert local_bone_contrast(image, mask).windows == 1
    assert local_bone_contrast(image, mask).mean == pytest.approx(0.9 * 11, abs=1e-6)
    assert local_bone_contrast(np.zeros_like(image), mask).mean == 0
    assert local_bone_contrast(image[:15], mask[:15]).windows == 0
