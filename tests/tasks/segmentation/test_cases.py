"""Cases on the working grid: made once, refused when they do not fit the plan."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import EmptyShapeError, GridMismatchError, InputError, NotFiniteError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.tasks.segmentation import Reading, Sample, prepare, prepared

GRID = Grid.from_parts((8, 9, 10), (1.0, 1.0, 2.0), direction=np.diag([-1.0, -1.0, 1.0]))


def case(label=1):
    labels = np.zeros(GRID.shape, np.int16)
    labels[1:4, 2:5] = label
    image = np.random.default_rng(0).random(GRID.shape).astype(np.float32)
    return Volume(image, GRID), LabelMap(labels, GRID)


def test_labels_land_where_the_world_says(small_plan):
    made = prepare("a", *case(), small_plan(spacing=(1.0, 1.0, 2.0)), Reading())
    assert made.labels.dtype == np.uint8
    assert made.spacing == (1, 1, 2)
    assert (made.labels == np.flip(case()[1].array, (0, 1))).all()
    assert made.image.dtype == np.float16


def test_ids_are_read_as_classes_and_maps(small_plan):
    reading = Reading(
        "discs", lambda ids: np.where(ids > 200, 1, 0), lambda ids, spacing: np.stack([ids * spacing[2], ids * 0.0])
    )
    made = prepare("a", *case(203), small_plan(spacing=(1, 1, 1), maps=2), reading)
    assert set(np.unique(made.labels)) == {0, 1}
    assert made.maps.max() == 203
    assert made.labels.shape == (8, 9, 20)


def test_a_case_is_made_once(tmp_path, small_plan):
    calls = []

    def load():
        calls.append(1)
        return case()

    plan = small_plan()
    first = prepared("a", load, plan, (tmp_path / "cache", "hash"), Reading())
    again = prepared("a", load, plan, (tmp_path / "cache", "hash"), Reading())
    assert len(calls) == 1
    straight = prepare("a", *case(), plan, Reading())
    for made in (first, again):
        assert np.array_equal(np.asarray(made.image), straight.image)
        assert np.array_equal(np.asarray(made.labels), straight.labels)
        assert (made.image[2:4, :, 5:] == straight.image[2:4, :, 5:]).all()
        assert made.spacing == straight.spacing
    prepared("a", load, plan, (tmp_path / "cache", "other"), Reading())
    prepared("a", load, small_plan(spacing=(2, 2, 2)), (tmp_path / "cache", "hash"), Reading())
    assert len(calls) == 3
    prepared("a", load, small_plan(patch=(8, 8, 8)), (tmp_path / "cache", "hash"), Reading())
    assert len(calls) == 3


def test_more_cases_than_files_may_be_open(tmp_path, small_plan):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    prepared("a", case, small_plan(), (tmp_path, "x"), Reading())
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, limits[1]))
    try:
        many = [prepared("a", case, small_plan(), (tmp_path, "x"), Reading()) for _ in range(100)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (many[99].labels[:2] == many[0].labels[:2]).all()


def test_ids_and_points_are_kept_for_maps_of_patches(tmp_path, small_plan):
    reading = Reading(
        "centres",
        lambda ids: np.where(ids > 200, 1, 0),
        points=lambda ids, spacing: {203: np.argwhere(ids == 203).mean(axis=0)},
    )
    plan = small_plan(spacing=(1.0, 1.0, 2.0), maps=3)
    for _ in range(2):
        made = prepared("a", lambda: case(203), plan, (tmp_path, "x"), reading)
        assert set(np.unique(np.asarray(made.ids))) == {0, 203}
        np.testing.assert_allclose(made.points[203], [5, 5, 4.5])


def test_what_does_not_fit_is_refused(small_plan):
    volume, labels = case()
    plan = small_plan()
    with pytest.raises(InputError, match="a: labels that the plan does not have: 7\n  classes are 0 to 1, and 255"):
        prepare("a", *case(7), plan, Reading())
    with pytest.raises(InputError, match="a: 0 maps; the plan has 1"):
        prepare("a", volume, labels, small_plan(maps=1), Reading())
    elsewhere = LabelMap(labels.array, Grid.from_parts(GRID.shape))
    with pytest.raises(GridMismatchError, match="labels and a: image lie on different grids"):
        prepare("a", volume, elsewhere, plan, Reading())
    holes = volume.array.copy()
    holes[0, 0, 0] = np.nan
    with pytest.raises(NotFiniteError, match="a: 1 of 720 voxels"):
        prepare("a", Volume(holes, GRID), labels, plan, Reading())
    with pytest.raises(EmptyShapeError, match="a: every voxel is 0"):
        prepare("a", Volume(np.zeros(GRID.shape), GRID), labels, plan, Reading())
    with pytest.raises(GridMismatchError, match="b: arrays differ in shape\n  labels"):
        Sample("b", np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3)))
