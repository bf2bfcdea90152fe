"""Heights, wedges, slips and the canal are those of boxes and drawn spines, whichever way the voxels run."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Grid, LabelMap
from voxbench.metrics.spine import measure_spine
from voxbench.simulate.phantoms.spine import spine_phantom
from voxbench.simulate.phantoms.spine_shape import PLAIN


def turn(degrees: tuple[float, float, float]) -> np.ndarray:
    """A rotation about x, y, z in turn."""
    found = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        c, s = np.cos(angle), np.sin(angle)
        one = np.eye(3)
        a, b = [(1, 2), (2, 0), (0, 1)][axis]
        one[a, a], one[b, b], one[a, b], one[b, a] = c, c, -s, s
        found = found @ one
    return found


def boxes(grid: Grid, slip: float = 0.0) -> LabelMap:
    """Three bodies 40 wide, 30 deep, 24 high, 10 apart, the middle one slid to the front, and a canal of 20 x 14 mm."""
    x, y, z = np.moveaxis(grid.world_from_voxel(np.stack(np.indices(grid.shape, float), -1)), -1, 0)
    labels = np.zeros(grid.shape, np.uint8)
    labels[(x / 10) ** 2 + ((y + 26) / 7) ** 2 < 1] = 100
    for number in (1, 2, 3):
        front = y - (slip if number == 2 else 0)
        beside = (np.abs(x) < 20) & (np.abs(front) < 15)
        labels[beside & (np.abs(z - 34 * (number - 2)) < 12)] = number
        labels[beside & (np.abs(z - 34 * (number - 2) + 17) < 5)] = 200 + number
    return LabelMap(labels, grid)


@pytest.mark.parametrize(
    ("spacing", "degrees"),
    [((1.0, 1.0, 1.0), (0, 0, 0)), ((4.0, 0.8, 0.8), (0, 0, 0)), ((1.1, 1.2, 1.0), (20, 10, 30))],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_boxes_have_their_lengths_in_any_orientation(spacing, degrees, order):
    direction = (turn(degrees) * np.array([1, -1, 1]))[:, order]
    steps = np.array(spacing)[list(order)]
    shape = np.ceil(np.array([60, 90, 130])[list(order)] / steps).astype(int)
    origin = -direction @ (steps * (shape - 1) / 2) - np.array([0, 8, 0])
    grid = Grid.from_parts(tuple(int(n) for n in shape), steps, origin, direction)
    levels, _ = measure_spine(boxes(grid, slip=5.0))
    assert [level.number for level in levels] == [1, 2, 3]
    middle = levels[1]
    for height in (middle.anterior_height, middle.middle_height, middle.posterior_height):
        assert height == pytest.approx(24, abs=0.6)
    assert middle.depth == pytest.approx(30, abs=0.6)
    assert middle.width == pytest.approx(40, abs=steps.max() + 0.1)
    assert abs(middle.wedge) < 1.5
    assert [level.slip for level in levels][1:] == pytest.approx([5, -5], abs=0.8)
    assert np.isnan(levels[0].slip)
    assert middle.disc_middle_height == pytest.approx(10, abs=0.6)
    assert (middle.disc_from, levels[0].disc_from) == ("label", "label")
    assert middle.canal_depth == pytest.approx(14, abs=0.8)
    assert middle.canal_area == pytest.approx(np.pi * 70, rel=0.06)
    assert middle.vertebra_volume == pytest.approx(40 * 30 * 24, rel=0.12)
    assert middle.disc_volume == pytest.approx(40 * 30 * 10, rel=0.15)


@pytest.mark.parametrize("arches", [True, False])
def test_a_drawn_spine_has_the_heights_it_was_drawn_with(arches: bool):
    drawn = spine_phantom(Grid.from_parts((24, 90, 150), (3.0, 1.4, 1.4)), 0, PLAIN, mark_partial=False)
    array = np.array(drawn.labels.array)
    if not arches:  # bodies alone: neither arches, nor discs, nor canal
        y = drawn.labels.grid.world_from_voxel(np.stack(np.indices(array.shape, float), -1)) - drawn.labels.grid.centre
        array[array >= 100] = 0
        for body in drawn.shape.bodies:
            behind = (y - body.centre) @ body.axes[:, 1] < body.front_back[1]
            array[(array == body.number) & behind] = 0
    levels, _ = measure_spine(LabelMap(array, drawn.labels.grid))
    truth = {level.number: level for level in drawn.truth}
    whole = [level for level in levels if level.number in (1, 2, 3, 4)]
    assert len(whole) == 4
    for level in whole:
        known = truth[level.number]
        assert level.anterior_height == pytest.approx(known.anterior_height, abs=0.9)
        assert level.middle_height == pytest.approx(known.middle_height, abs=0.9)
        assert level.posterior_height == pytest.approx(known.posterior_height, abs=0.9)
        assert level.depth == pytest.approx(known.depth, abs=1.2)
        assert level.width == pytest.approx(known.width, abs=3)
        assert level.wedge == pytest.approx(known.wedge_degrees, abs=2.0)
        assert level.number == 1 or abs(level.slip) < 1.5
        assert level.disc_from == ("label" if arches else "gap" if level.number > 1 else "")
    if arches:
        assert whole[2].canal_depth == pytest.approx(16, abs=1.2)
        assert whole[2].canal_area == pytest.approx(np.pi * 8 * 11.5, rel=0.08)


def test_without_vertebrae_or_with_other_labels_it_is_refused():
    grid = Grid.from_parts((3, 3, 3))
    with pytest.raises(EmptyShapeError, match="no vertebra"):
        measure_spine(LabelMap(np.full((3, 3, 3), 201, np.uint8), grid))
    with pytest.raises(InputError, match="label 255 means nothing"):
        measure_spine(LabelMap(np.full((3, 3, 3), 255, np.uint8), grid))
