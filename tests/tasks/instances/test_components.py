"""Classes back to numbered structures: bodies that hang together by their arches, fragments, ends of the image."""

from __future__ import annotations

import numpy as np

from voxbench.geometry import Grid, LabelMap
from voxbench.geometry.spine_labels import CANAL, PARTIAL, classes_of
from voxbench.tasks.instances.components import instances_of_classes

SHAPE = (24, 60, 100)
AXES = np.diag([-1.0, -1.0, 1.0])
GRID = Grid.from_parts(SHAPE, (2.0, 1.0, 1.5), (10.0, 20.0, -30.0), AXES)
"""LPS axes: left, back, up."""


def spine(bodies: tuple[tuple[int, int], ...] = ((6, 22), (28, 44), (50, 66))) -> np.ndarray:
    """Bodies with an arch behind each; a bar joins all arches, as facet joints do; discs between; a canal."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[9:15, 40:44, 4:90] = CANAL
    for number, (low, high) in enumerate(bodies, start=1):
        labels[3:21, 10:38, low:high] = number
        labels[5:7, 38:50, low + 8 : low + 12] = number  # a pedicle
        labels[5:7, 46:50, low - 3 : low + 19] = number  # an arch that meets the next one's
        if number > 1:
            labels[4:20, 12:36, bodies[number - 2][1] : low] = 200 + number
    return labels


def test_bodies_joined_by_their_arches_are_parted_and_numbered_from_below() -> None:
    truth = spine()
    found = instances_of_classes(LabelMap(classes_of(truth), GRID))
    assert found.ids == (1, 2, 3, CANAL, 202, 203)
    assert found.grid is GRID
    for label in found.ids:
        reference, there = truth == label, found.array == label
        dice = 2 * (reference & there).sum() / (reference.sum() + there.sum())
        assert dice > 0.98 if label > 3 else dice > 0.95
    assert np.array_equal(classes_of(found.array), classes_of(truth))


def test_any_orientation_gives_the_same_structures() -> None:
    truth = spine()
    turned = np.ascontiguousarray(truth.transpose(1, 2, 0)[:, ::-1])
    grid = Grid.from_parts(turned.shape, (1.0, 1.5, 2.0), (0.0, 0.0, 0.0), AXES[:, [1, 2, 0]] * [1, -1, 1])
    found = instances_of_classes(LabelMap(classes_of(turned), grid))
    straight = instances_of_classes(LabelMap(classes_of(truth), GRID)).array
    assert (found.array[:, ::-1].transpose(2, 0, 1) == straight).mean() > 0.999


def test_a_fragment_joins_its_neighbour_and_a_far_speck_is_left_out() -> None:
    truth = spine()
    classes = np.array(classes_of(truth))
    classes[14:17, 38:42, 30:34] = 1
    classes[14:17, 40:42, 30:34] = 0
    classes[15:17, 41:44, 30:34] = 1  # parted from the second body by a gap of three voxels
    classes[0:2, 57:60, 92:94] = 1
    found = instances_of_classes(LabelMap(classes, GRID)).array
    assert set(np.unique(found[15:17, 41:44, 30:34])) == {2}
    assert not found[0:2, 57:60, 92:94].any()


def test_a_vertebra_that_the_image_cuts_is_marked() -> None:
    found = instances_of_classes(LabelMap(classes_of(spine(((6, 22), (28, 44), (50, 66), (72, 100)))), GRID))
    assert found.ids == (1, 2, 3, CANAL, PARTIAL + 4, 202, 203, 204)


def test_nothing_stays_nothing_and_a_canal_alone_stays_itself() -> None:
    empty = LabelMap(np.zeros(SHAPE, np.uint8), GRID)
    assert instances_of_classes(empty).ids == ()
    alone = np.zeros(SHAPE, np.uint8)
    alone[9:15, 40:44, 4:90] = 3
    assert instances_of_classes(LabelMap(alone, GRID)).ids == (CANAL,)
