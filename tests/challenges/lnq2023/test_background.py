"""What is surely no node, without a network."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.challenges.lnq2023.background import SureBackground, annotated_range, survey, three_way
from voxbench.errors import GridMismatchError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.geometry.orientation import Reordering
from voxbench.tasks.segmentation import IGNORED

SETTINGS = SureBackground(shell_mm=9, hull_mm=20)


def test_air_fat_bone_shell_and_the_body_wall_are_background_and_other_nodes_stay_open(chest):
    ct, nodes = chest()
    found = three_way(ct, nodes.array > 0, SETTINGS).array
    assert np.array_equal(found == 1, nodes.array == 1)
    assert (found[7:16, 7:21, 5:19] == 0).all()  # a lung
    assert (found[18:22, 18:22] == 0).all()  # bone
    assert (found[:2] == 0).all()  # the air around
    assert (found[36, :, 5:19] == 0).all()  # far outside the hull of the lungs
    assert (found[17:19, 10:12, 7:9] == IGNORED).all()  # the node that was not drawn
    assert found[18, 13, 12] == 0  # in the shell, 8 mm away
    assert (found[20, 20, :] == 0).all()


def test_slices_beyond_those_of_any_node_are_background(chest):
    ct, nodes = chest()
    assert survey(ct, nodes.array > 0).heights == pytest.approx((7 / 15, 8 / 15))
    heights = annotated_range([survey(*pair) for pair in [(ct, nodes.array > 0), (ct, nodes.array > 9)]])
    assert heights == pytest.approx((7 / 15, 8 / 15))
    near, far = (three_way(ct, nodes.array > 0, SureBackground(beyond_mm=mm), heights).array for mm in (10, 40))
    assert (near[17:19, 10:12, 7:9] == 0).all()
    assert (far[17:19, 10:12, 7:9] == IGNORED).all()


def test_the_box_holds_lungs_and_nodes_and_a_little_around(chest):
    ct, nodes = chest()
    seen = survey(ct, nodes.array > 0)
    assert seen.box == ((4, 36), (4, 24), (2, 22))
    assert seen.extent == pytest.approx((256, 160, 200))
    assert seen.voxels == 8
    air = survey(Volume(np.full(ct.grid.shape, 40.0, np.float32), ct.grid))
    assert air.box == ((0, 40), (0, 28), (0, 24))
    assert air.heights is None


@pytest.mark.parametrize("axes", ["RAS", "SPL", "ILA"])
def test_the_order_of_axes_makes_no_difference(chest, axes):
    ct, nodes = chest()
    order = Reordering.to(ct.grid, axes)
    turned = Volume(np.ascontiguousarray(order(ct.array)), order.grid(ct.grid))
    drawn = np.ascontiguousarray(order(nodes.array)) > 0
    heights = (7 / 15, 8 / 15)
    assert survey(turned, drawn).heights == pytest.approx(heights)
    found = three_way(turned, drawn, SETTINGS, heights)
    expected = three_way(ct, nodes.array > 0, SETTINGS, heights)
    assert np.array_equal(found.array, order(expected.array))


def test_organs_that_are_given_are_background_but_not_where_a_node_was_drawn(chest):
    ct, nodes = chest()
    organs = np.zeros(ct.grid.shape, np.uint8)
    organs[17:23, 6:18] = 7
    found = three_way(ct, nodes.array > 0, SETTINGS, structures=LabelMap(organs, ct.grid)).array
    assert np.array_equal(found[17:23, 6:18] == 1, nodes.array[17:23, 6:18] == 1)
    assert not (found[17:23, 6:18] == IGNORED).any()
    other = LabelMap(np.zeros((4, 4, 4), np.uint8), Grid.from_parts((4, 4, 4), (1, 1, 1)))
    with pytest.raises(GridMismatchError):
        three_way(ct, nodes.array > 0, SETTINGS, structures=other)


def test_a_single_slice_and_a_case_without_a_node_are_taken(chest):
    ct, _ = chest()
    grid = ct.grid.cropped((0, 0, 12), (40, 28, 13))
    one = Volume(np.ascontiguousarray(ct.array[:, :, 12:13]), grid)
    assert survey(one).box == ((0, 40), (0, 28), (0, 1))  # no lungs of 300 ml
    found = three_way(one, np.zeros(grid.shape, bool), SETTINGS, (0.4, 0.6))
    assert set(found.ids) == {IGNORED}
    assert (found.array[7:16, 7:21] == 0).all()
