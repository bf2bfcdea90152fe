import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.errors import GridMismatchError
from voxbench.metrics import overlap

SHAPE = (4, 5, 6)


def maps(seed, low=0, high=4):
    rng = np.random.default_rng(seed)
    return rng.integers(low, high, SHAPE), rng.integers(low, high, SHAPE)


@given(st.integers(0, 10**6))
def test_dice_is_symmetric_and_counts_what_the_masks_count(seed):
    a, b = maps(seed)
    there, back = overlap(a, b, [0, 1, 2, 3, 9]), overlap(b, a, [0, 1, 2, 3, 9])
    np.testing.assert_array_equal(there.dice, back.dice)
    np.testing.assert_array_equal(there.iou, back.iou)
    for n, label in enumerate((0, 1, 2, 3)):
        assert there.dice[n] == 2 * ((a == label) & (b == label)).sum() / ((a == label).sum() + (b == label).sum())
    assert np.isnan(there.dice[4])


def test_dice_of_a_map_with_itself_is_one_and_of_disjoint_maps_zero():
    a, _ = maps(0)
    assert overlap(a, a).dice.tolist() == [1.0, 1.0, 1.0]
    assert overlap(a, a).labels == (1, 2, 3)
    assert overlap(a, np.zeros_like(a)).mean_dice == 0.0


def test_iou_follows_from_dice():
    a, b = maps(1)
    found = overlap(a, b)
    np.testing.assert_allclose(found.iou, found.dice / (2 - found.dice), rtol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(-3, 4), (2**21, 2**21 + 5)])
def test_negative_and_large_ids_count_like_others(low, high):
    a, b = maps(2, low, high)
    found = overlap(a, b, list(range(low, high)))
    assert found.reference.tolist() == [(a == label).sum() for label in range(low, high)]
    assert found.shared.tolist() == [((a == label) & (b == label)).sum() for label in range(low, high)]


def test_no_labels_at_all_give_nan_and_no_shared_voxels_give_zero():
    empty = np.zeros(SHAPE, np.uint8)
    assert np.isnan(overlap(empty, empty).mean_dice)
    assert overlap(empty, empty + np.uint8(1), [0, 1]).dice.tolist() == [0.0, 0.0]


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(GridMismatchError, match=r"\(4, 5, 6\)"):
        overlap(np.zeros(SHAPE, int), np.zeros((4, 5, 7), int))
