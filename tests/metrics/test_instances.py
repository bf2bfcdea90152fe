"""Matching of objects against counting pair by pair and trying all assignments."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from voxbench.errors import GridMismatchError
from voxbench.metrics import Match, match_instances
from voxbench.metrics.instances import contingency


def maps(seed: int, kinds: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Two small label maps with a few ids that need not be near one another."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate(([0], rng.choice([1, 2, 7, 100, 201, 70000, -3], kinds - 1, replace=False)))
    chosen = rng.choice(ids, (2, 4, 5, 3)).astype(np.int32)
    return chosen[0], chosen[1]


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * int((one & other).sum()) / int(one.sum() + other.sum())


@pytest.mark.parametrize("seed", range(30))
def test_the_table_counts_what_a_loop_counts(seed):
    reference, prediction = maps(seed)
    table = contingency(reference, prediction)
    assert table.reference == tuple(int(i) for i in np.unique(reference) if i != 0)
    assert table.prediction == tuple(int(i) for i in np.unique(prediction) if i != 0)
    for row, one in enumerate(table.reference):
        assert table.reference_voxels[row] == (reference == one).sum()
        for column, other in enumerate(table.prediction):
            assert table.prediction_voxels[column] == (prediction == other).sum()
            assert table.shared[row, column] == ((reference == one) & (prediction == other)).sum()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_the_table_is_the_same_for_every_type_of_ids(dtype):
    reference, prediction = (np.abs(array % 120).astype(dtype) for array in maps(3))
    table, wide = (contingency(r, p) for r, p in ((reference, prediction), (reference.astype(np.int32), prediction)))
    assert table.reference == wide.reference
    assert np.array_equal(table.shared, wide.shared)


def test_counts_over_more_voxels_than_one_piece_are_complete():
    rng = np.random.default_rng(0)
    reference, prediction = rng.integers(0, 4, (2, 130, 100, 100)).astype(np.uint8)
    table = contingency(reference, prediction)
    assert table.shared.sum() == ((reference > 0) & (prediction > 0)).sum()
    assert table.reference_voxels.tolist() == np.bincount(reference.ravel())[1:].tolist()


@pytest.mark.parametrize("seed", range(30))
def test_one_to_one_has_the_largest_sum_of_dice_of_all_assignments(seed):
    reference, prediction = maps(seed, 5)
    found = match_instances(reference, prediction, "one-to-one")
    ones, others = ([i for i in np.unique(a) if i != 0] for a in (reference, prediction))
    table = [[dice(reference == one, prediction == other) for other in others] for one in ones]
    # As many places for nobody as there are objects.
    size = len(ones) + len(others)
    padded = np.zeros((size, size))
    padded[: len(ones), : len(others)] = table
    best = max(
        sum(padded[row, order[row]] for row in range(len(ones))) for order in permutations(range(size), len(ones))
    )
    assert sum(match.dice for match in found.matches) == pytest.approx(best)
    taken = [match.prediction for match in found.matches if match.prediction is not None]
    assert len(set(taken)) == len(taken)
    assert set(taken) | set(found.surplus) == {int(i) for i in others}


@pytest.mark.parametrize("seed", range(20))
def test_most_shared_is_the_most_frequent_id_inside_and_the_smallest_of_equals(seed):
    reference, prediction = (np.abs(array % 120) for array in maps(seed))
    for match in match_instances(reference, prediction, "most-shared").matches:
        votes = np.bincount(prediction[reference == match.reference], minlength=2)
        votes[0] = 0
        assert match.prediction == (int(votes.argmax()) if votes.any() else None)
        if match.prediction is not None:
            assert match.dice == dice(reference == match.reference, prediction == match.prediction)
            assert match.iou == pytest.approx(match.dice / (2 - match.dice))


def test_rates_count_what_is_missed_and_what_is_surplus():
    reference, prediction = np.zeros((2, 10, 4, 4), np.uint8)
    reference[0], reference[2], reference[4] = 1, 2, 3
    prediction[0], prediction[8] = 9, 8
    prediction[2, 0, 0] = 7
    found = match_instances(reference, prediction, "one-to-one")
    assert found.matches == (Match(1, 9, 16, 16, 16), Match(2, 7, 16, 1, 1), Match(3, None, 16, 0, 0))
    assert found.surplus == (8,)
    assert found.missed(0.5) == (2, 3)
    assert found.detection_rate(0.5) == pytest.approx(1 / 3)
    assert found.precision(0.5) == pytest.approx(1 / 3)
    assert found.f1(0.5) == pytest.approx(1 / 3)
    assert found.detection_rate(0) == pytest.approx(2 / 3)  # no shared voxel is no detection
    assert found.mean_dice == pytest.approx((1 + 2 / 17) / 3)
    same = match_instances(reference, np.where(reference == 2, 2, 0).astype(np.uint8), "same-id")
    assert [match.prediction for match in same.matches] == [None, 2, None]


def test_nothing_on_either_side_is_undefined_and_on_one_side_zero():
    empty, full = np.zeros((2, 2, 2), np.uint8), np.ones((2, 2, 2), np.uint8)
    for rule in ("most-shared", "one-to-one", "same-id"):
        neither = match_instances(empty, empty, rule)
        assert all(np.isnan(v) for v in (neither.detection_rate(0.1), neither.precision(0.1), neither.f1(0.1)))
        assert np.isnan(neither.mean_dice)
        lost, false = match_instances(full, empty, rule), match_instances(empty, full, rule)
        assert (lost.detection_rate(0.1), lost.f1(0.1), lost.mean_dice) == (0, 0, 0)
        assert (false.precision(0.1), false.f1(0.1), false.surplus) == (0, 0, (1,))


def test_two_shapes_are_refused():
    ones = np.ones((2, 2, 2), np.uint8)
    with pytest.raises(GridMismatchError, match=r"(?s)\(2, 2, 2\).*\(2, 2, 1\)"):
        match_instances(ones, ones[:, :, :1], "same-id")
