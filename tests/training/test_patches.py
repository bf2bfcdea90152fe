"""Patches: drawn by step, of one shape, centred where they should be."""

import numpy as np
import pytest

from voxbench.errors import EmptyShapeError, GridMismatchError
from voxbench.training.patches import Case, Channels, Patches


def case(shape=(30, 28, 26), channels=2):
    index = np.arange(np.prod(shape)).reshape(shape).astype(np.float32)
    mask = np.zeros(shape, bool)
    mask[20:24, 20:24, 20:24] = True
    return Case("c", np.stack([index + n for n in range(channels)]), index, mask)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("augment", [False, True])
def test_inputs_and_target_stay_together_and_steps_repeat(dimensions, augment):
    patches = Patches([case()], 8, dimensions, 0.5, augment, 3, offset=10.0, width=2.0)
    inputs, targets, weights = patches.batch(7, range(5))
    assert inputs.shape == (5, 2, 8, 8) + (8,) * (dimensions - 2)
    assert targets.shape == weights.shape == (5, 1, *inputs.shape[2:])
    assert inputs.dtype == targets.dtype == np.float32
    np.testing.assert_allclose(inputs[:, :1], targets, rtol=1e-6)
    np.testing.assert_allclose(inputs[:, 1:] - targets, 0.5, atol=1e-3)
    again = patches.batch(7, [3])
    np.testing.assert_array_equal(again[0][0], inputs[3])
    assert not np.array_equal(patches.batch(8, [3])[0], again[0])


def test_foreground_patches_hold_the_mask():
    only = case()
    patches = Patches([Case("c", only.inputs, only.mask.astype(np.float32), only.mask)], 8, 3, 1.0, False, 0)
    assert (patches.batch(0, range(20))[1].reshape(20, -1).max(axis=1) == 1).all()
    anywhere = Patches(patches.cases, 8, 3, 0.0, False, 0).batch(0, range(50))[1].reshape(50, -1).max(axis=1)
    assert anywhere.mean() < 0.9


def test_small_and_unlike_cases_make_patches_of_one_shape():
    patches = Patches([case((6, 30, 20)), case((40, 40, 9))], 16, 3, 0.5, True, 0)
    assert patches.batch(0, range(4))[0].shape == (4, 2, 6, 6, 9)


def test_cases_that_do_not_fit_together_are_refused():
    with pytest.raises(GridMismatchError, match="target"):
        Case("x", np.zeros((1, 3, 3, 3)), np.zeros((3, 3, 4)), np.zeros((3, 3, 3)))
    with pytest.raises(EmptyShapeError, match="no case"):
        Patches([], 8, 2, 0.5, True, 0)


def test_channels_read_like_one_array_and_are_not_copied(tmp_path):
    parts = [np.arange(60).reshape(3, 4, 5), np.arange(60, 120).reshape(3, 4, 5)]
    channels, whole = Channels(tuple(parts)), np.stack(parts)
    assert (channels.shape, len(channels)) == (whole.shape, 2)
    box = (slice(None), slice(1, 3), slice(0, 2), slice(4, 5))
    np.testing.assert_array_equal(channels[box], whole[box])
    np.testing.assert_array_equal(channels[(slice(1, 2), *box[1:])], whole[(slice(1, 2), *box[1:])])
    assert all(a is b for a, b in zip(channels, parts, strict=True))
    for bad in ((), (np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))):
        with pytest.raises(GridMismatchError, match="one shape"):
            Channels(bad)


def test_voxels_outside_the_mask_weigh_what_was_asked_for():
    only = case()
    inputs = np.stack([only.mask.astype(np.float32)])
    patches = Patches([Case("c", inputs, only.mask.astype(np.float32), only.mask)], 12, 3, 0.8, True, 0, outside=0.25)
    values, _, weights = patches.batch(0, range(6))
    np.testing.assert_array_equal(weights, np.where(values > 0, 1, 0.25))
    assert weights.min() < weights.max()
