"""What stands along a spine is counted from below, and what was missed keeps its number free."""

from __future__ import annotations

import pytest

from voxbench.tasks.instances.numbering import Standing, numbered

V, D = "vertebra", "disc"


def labels(*found: tuple[str, float]) -> list[int]:
    return numbered([Standing(kind, height) for kind, height in found])  # pyright: ignore[reportArgumentType]


def test_discs_are_those_below_their_vertebra_and_one_more_on_top():
    spine = [(D, 0.0), (V, 18.0), (D, 36.0), (V, 54.0), (D, 72.0), (V, 90.0), (D, 108.0)]
    assert labels(*spine) == [201, 1, 202, 2, 203, 3, 204]
    assert labels(*spine[::-1]) == [204, 3, 203, 2, 202, 1, 201]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ((), [201, 1, 202, 2, 203, 3, 204, 4]),
        ((2,), [201, 1, 2, 203, 3, 204, 4]),  # a disc
        ((3,), [201, 1, 202, 203, 3, 204, 4]),  # a vertebra
        ((3, 4), [201, 1, 202, 3, 204, 4]),  # a vertebra and its disc
        ((0,), [1, 202, 2, 203, 3, 204, 4]),
        ((2, 4, 6), [201, 1, 2, 3, 4]),
        ((1, 3, 5, 7), [201, 202, 203, 204]),  # discs only
        ((0, 2, 4, 6), [1, 2, 3, 4]),
    ],
)
def test_what_was_missed_leaves_the_others_their_numbers(missing, expected):
    spine = [(D, 0.0), (V, 18.0), (D, 36.0), (V, 54.0), (D, 72.0), (V, 90.0), (D, 108.0), (V, 126.0)]
    assert labels(*(one for n, one in enumerate(spine) if n not in missing)) == expected


def test_a_lowest_vertebra_that_was_missed_is_known_by_two_discs():
    assert labels((D, 0.0), (D, 36.0), (V, 54.0), (V, 90.0)) == [201, 202, 2, 3]


def test_two_discs_on_top_of_each_other_are_one():
    assert labels((D, 0.0), (V, 18.0), (D, 33.0), (D, 39.0), (V, 54.0)) == [201, 1, 202, 202, 2]


def test_hanging_processes_of_a_cut_vertebra_lie_below_its_disc():
    assert labels((V, 0.0), (D, 18.0), (V, 36.0), (V, 50.0), (D, 54.0)) == [1, 202, 2, 3, 203]


def test_heights_may_shrink_upwards_without_a_gap_being_seen():
    assert labels((V, 0.0), (V, 38.0), (V, 76.0), (V, 106.0), (V, 132.0), (V, 156.0)) == [1, 2, 3, 4, 5, 6]


def test_nothing_one_and_too_many():
    assert labels() == []
    assert labels((V, 3.0)) == [1]
    assert labels((D, 3.0)) == [201]
    assert labels(*((V, 30.0 * n) for n in range(27)))[24:] == [25, 0, 0]
