"""What was found along a spine but is not of it."""

import numpy as np

from voxbench.tasks.instances.strays import belonging, within

SPINE = np.array([0.0, 37.0, 75.0, 110.0, 144.0, 176.0])
SIZES = np.array([38.0, 40.0, 41.0, 39.0, 35.0, 30.0])


def test_a_whole_spine_stays_in_any_order() -> None:
    order = np.array([3, 0, 5, 1, 4, 2])
    assert belonging(SPINE[order], SIZES[order], 0.25).all()


def test_one_missed_vertebra_parts_no_spine_but_two_in_a_row_do() -> None:
    assert belonging(np.delete(SPINE, 2), np.delete(SIZES, 2), 0.25).all()
    kept = belonging(np.delete(SPINE, [2, 3]), np.delete(SIZES, [2, 3]), 0.25)
    assert kept.sum() == 2


def test_pieces_far_below_go_however_large_the_gap_and_the_larger_part_stays() -> None:
    heights, sizes = np.array([-135.0, -127.0, *SPINE]), np.array([20.0, 2.7, *SIZES])
    np.testing.assert_array_equal(belonging(heights, sizes, 0.0), [False, False, *[True] * 6])


def test_a_small_piece_below_the_lowest_goes_a_small_one_at_the_top_and_a_large_one_below_stay() -> None:
    heights = np.array([-30.0, *SPINE, 200.0])
    small, large = np.array([8.5, *SIZES, 2.0]), np.array([15.0, *SIZES, 2.0])
    np.testing.assert_array_equal(belonging(heights, small, 0.25), [False, *[True] * 7])
    assert belonging(heights, large, 0.25).all()
    assert belonging(heights, small, 0.0).all()


def test_a_crumb_bridges_no_gap_and_counts_for_nothing() -> None:
    heights, sizes = np.array([-115.0, -88.0, *SPINE]), np.array([12.3, 1.2, *SIZES])
    np.testing.assert_array_equal(belonging(heights, sizes, 0.25), [False, False, *[True] * 6])
    np.testing.assert_array_equal(belonging(np.array([*SPINE, 200.0]), np.array([*SIZES, 1.2]), 0.0), [True] * 7)


def test_of_two_nothing_can_be_said() -> None:
    assert belonging(np.array([0.0, 500.0]), np.array([1.0, 40.0]), 0.25).all()
    assert within(np.array([-400.0]), np.array([0.0, 37.0])).all()


def test_discs_stay_between_the_vertebrae_and_one_distance_beyond() -> None:
    np.testing.assert_array_equal(
        within(np.array([-60.0, -18.0, 20.0, 190.0, 250.0]), SPINE), [False, True, True, True, False]
    )
