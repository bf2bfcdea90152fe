"""Surface quantiles and joint counts against the slow definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxbench import _core
from voxbench.metrics.label_counts import count_jointly
from voxbench.metrics.label_surfaces import label_hausdorff
from voxbench.metrics.surface import surface_distances

DTYPES = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


def blobs(rng, shape, labels, smooth=1.0):
    noise = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), smooth) for _ in range(labels)])
    return noise.argmax(axis=0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.tuples(*[st.integers(1, 12)] * 3),
    st.sampled_from(DTYPES),
    st.sampled_from([50.0, 90.0, 95.0, 100.0]),
)
def test_quantiles_are_those_of_the_lists_to_the_last_bit(seed, shape, dtype, percent):
    rng = np.random.default_rng(seed)
    first, second = (blobs(rng, shape, 5, rng.uniform(0, 2)).astype(dtype) for _ in range(2))
    ids = [0, 1, 2, 3, 4, 9]
    found = label_hausdorff(first, second, ids, percent)
    for label, value in zip(ids, found, strict=True):
        masks = first == label, second == label
        expected = surface_distances(*masks).hausdorff(percent)
        assert value == expected or (np.isnan(value) and np.isnan(expected))


@pytest.mark.parametrize("gap", [7, 8, 9, 17, 40, 100, 126, 140])
def test_far_surfaces_are_found_by_a_growing_radius_or_the_slow_way(gap):
    first, second = np.zeros((2, gap + 12, 7, 5), np.int16)
    first[1:3, 2:5, 1:4] = 1
    second[gap + 1 : gap + 5, 3:6, 2:4] = 1
    expected = surface_distances(first == 1, second == 1).hausdorff(95.0)
    assert label_hausdorff(first, second, [1])[0] == expected
    along = np.ascontiguousarray(first.transpose(2, 1, 0)), np.ascontiguousarray(second.transpose(2, 1, 0))
    assert label_hausdorff(*along, [1])[0] == surface_distances(along[0] == 1, along[1] == 1).hausdorff(95.0)


def test_a_quantile_too_close_to_call_is_left_to_the_literal_sum():
    # 20 equal single voxels of which one is displaced: exactly 95 % of the area lies within 0.
    first, second = np.zeros((2, 60, 3, 9), np.uint8)
    first[1::3, 1, 2] = second[1::3, 1, 2] = 1
    second[58, 1, 2], second[58, 1, 6] = 0, 1
    areas = np.ones(256)
    box = np.array([[0, 0, 0, 60, 3, 9]])
    squared = _core.surface_quantiles(first, second, np.array([1]), box, areas, 0.95)
    assert squared.tolist() == [[-1, -1]]
    assert label_hausdorff(first, second, [1])[0] == surface_distances(first == 1, second == 1).hausdorff(95.0)


def test_unequal_spacings_go_the_slow_way_and_equal_ones_scale():
    rng = np.random.default_rng(3)
    first, second = (blobs(rng, (12, 10, 9), 3) for _ in range(2))
    for spacing in ((1.0, 2.0, 0.5), (0.7, 0.7, 0.7)):
        found = label_hausdorff(first, second, [0, 1, 2], 95.0, spacing)
        expected = [surface_distances(first == i, second == i, spacing).hausdorff(95.0) for i in (0, 1, 2)]
        assert found.tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_counts_and_boxes_are_those_of_each_mask(dtype):
    rng = np.random.default_rng(1)
    first, second = (blobs(rng, (9, 8, 11), 6).astype(dtype) for _ in range(2))
    ids = [5, 0, 77, 2, 5]
    found = count_jointly(first, second, ids)
    for place, label in enumerate(ids):
        masks = first == label, second == label
        assert found.voxels[:, place].tolist() == [m.sum() for m in (*masks, masks[0] & masks[1])]
        for which, mask in enumerate(masks):
            box = found.boxes[which, place]
            if mask.any():
                where = np.argwhere(mask)
                assert box.tolist() == [*where.min(axis=0), *(where.max(axis=0) + 1)]
            else:
                assert (box[:3] >= box[3:]).all()


def test_negative_and_huge_ids_are_counted_too():
    first = np.array([[[-5, 3_000_000, 0, 7]]])
    second = np.array([[[-5, 0, 0, 3_000_000]]])
    found = count_jointly(first, second, [-5, 3_000_000, 0])
    assert found.voxels.tolist() == [[1, 1, 1], [1, 1, 2], [1, 0, 1]]
    assert label_hausdorff(first, second, [3_000_000, 7, 8])[0] == 2.0


def test_maps_of_two_dtypes_are_brought_together():
    first, second = np.array([[[1, 255]]], np.uint8), np.array([[[1, -1]]], np.int16)
    assert count_jointly(first, second, [1, 255]).voxels.tolist() == [[1, 1], [1, 0], [1, 0]]


def test_bad_arrays_are_refused():
    labels = np.zeros((3, 4, 5), np.uint8)
    box, ids, areas = np.array([[0, 0, 0, 3, 4, 5]]), np.array([1]), np.ones(256)
    with pytest.raises(ValueError, match="shapes differ"):
        _core.surface_quantiles(labels, labels[:2].copy(), ids, box, areas, 0.95)
    with pytest.raises(TypeError, match="one dtype"):
        _core.surface_quantiles(labels, labels.astype(np.int16), ids, box, areas, 0.95)
    with pytest.raises(ValueError, match="outside the labels"):
        _core.surface_quantiles(labels, labels, ids, box + 1, areas, 0.95)
    with pytest.raises(ValueError, match="share"):
        _core.surface_quantiles(labels, labels, ids, box, areas, 1.5)
    with pytest.raises(TypeError, match="C-contiguous"):
        _core.joint_counts(labels.T, labels.T, np.zeros(2, np.int32), 1)
    with pytest.raises(ValueError, match="not below count"):
        _core.joint_counts(labels, labels, np.array([3], np.int32), 1)
