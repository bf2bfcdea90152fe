"""Labels of the spine mean what they say and come back; reordered arrays lie where they lay."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.errors import InputError
from voxbench.geometry import Grid
from voxbench.geometry.orientation import Reordering
from voxbench.geometry.spine_labels import Structure, classes_of, structure_of

KNOWN = (*range(1, 26), 100, *range(101, 126), *range(201, 226))
ORIENTATIONS = ["".join(p) for axes in itertools.permutations(("RL", "AP", "SI")) for p in itertools.product(*axes)]


def test_every_label_is_read_and_written_back_exactly():
    structures = [structure_of(label) for label in KNOWN]
    assert [structure.label for structure in structures] == list(KNOWN)
    assert len(set(structures)) == len(KNOWN) == 76


@pytest.mark.parametrize("label", [-1, 0, 26, 99, 126, 200, 226, 255, 1000])
def test_a_label_that_means_nothing_is_refused(label):
    with pytest.raises(InputError, match=f"label {label} means nothing"):
        structure_of(label)
    if label > 0:
        with pytest.raises(InputError, match=f"label {label} means nothing"):
            classes_of(np.full((1, 1, 1), label, np.int16))


@pytest.mark.parametrize(
    "wrong", [("vertebra", 0), ("disc", 26), ("canal", 1), ("disc", 3, False), ("canal", 0, False)]
)
def test_a_structure_without_a_label_cannot_be_made(wrong):
    with pytest.raises(InputError, match="no label for"):
        Structure(*wrong)


def test_names_count_from_l5_upwards():
    assert [structure_of(n).name for n in (1, 5, 6, 106, 201, 202, 207, 100)] == [
        *("L5", "L1", "T12", "T12", "L5/S1", "L4/L5", "T11/T12", "canal"),
    ]


def test_classes_are_those_of_the_structures():
    kinds = {"vertebra": 1, "disc": 2, "canal": 3}
    labels = np.array([0, *KNOWN], np.int16).reshape(1, 1, -1)
    expected = [0, *(kinds[structure_of(label).kind] for label in KNOWN)]
    assert classes_of(labels).ravel().tolist() == expected


@given(st.sampled_from(ORIENTATIONS), st.sampled_from(ORIENTATIONS))
def test_reordering_moves_no_voxel_and_is_undone(have, want):
    letters = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    direction = np.zeros((3, 3))
    for voxel, letter in enumerate(have):
        direction[letters[letter][0], voxel] = letters[letter][1]
    grid = Grid.from_parts((2, 3, 4), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), direction)
    array = np.arange(24).reshape(2, 3, 4)
    order = Reordering.to(grid, want)
    moved, there = order(array), order.grid(grid)
    assert there.orientation == want + "+"
    assert there.shape == moved.shape
    np.testing.assert_array_equal(order.back(moved), array)
    corner = np.zeros(3)
    (place,) = np.argwhere(array == moved[0, 0, 0]).astype(float)
    np.testing.assert_allclose(grid.world_from_voxel(place), there.world_from_voxel(corner))
    np.testing.assert_array_equal(order(np.stack([array, array]))[1], moved)


@pytest.mark.parametrize("letters", ["RAX", "RA", "RRS", "ras"])
def test_letters_that_name_no_orientation_are_refused(letters):
    with pytest.raises(InputError, match="three letters"):
        Reordering.to(Grid.from_parts((2, 2, 2)), letters)
