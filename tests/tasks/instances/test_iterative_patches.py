"""Patches to learn one vertebra at a time from: what is below is remembered, the next is the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voxbench.errors import EmptyShapeError
from voxbench.tasks.instances import IisConfig
from voxbench.tasks.instances.iterative import OUTSIDE
from voxbench.tasks.instances.iterative_patches import IterativePatches, Making, Spine, border_weights, kinds_of

PLAIN = IisConfig(
    patch=(16, 24, 32),
    width=2,
    nothing=0,
    least_seen_mm3=200,
    elastic=0,
    noise=0,
    blur=0,
    crop=0,
    spacing=(2.0, 2.0, 2.0),
)


def column() -> np.ndarray:
    """Three vertebrae with discs below them and a canal behind; the top one is cut by the image."""
    ids = np.zeros((20, 30, 60), np.uint8)
    for number in range(1, 4):
        ids[4:16, 12:24, 20 * number - 14 : 20 * number] = number
        ids[4:16, 12:24, 20 * number - 20 : 20 * number - 14] = 200 + number
    ids[8:12, 4:8] = 100
    return ids


def spine(**changes) -> Spine:
    ids = column()
    given = {"name": "a", "ids": ids, "image": ids.astype(np.float16), "spacing": (2.0, 2.0, 2.0)}
    return Spine(**given | changes)


def test_a_patch_holds_what_is_below_as_memory_and_the_next_as_target():
    ids = column()
    for step in range(12):
        inputs, masks, weights, words = IterativePatches([spine()], PLAIN, seed=step).batch(step, [0, 1])
        assert (inputs.shape, inputs.dtype, masks.dtype) == ((2, 3, 16, 24, 32), np.float32, np.uint8)
        assert (weights >= 1).all()
        for image, vertebra, memory, label in zip(inputs[:, 0], masks[:, 0], inputs[:, 1], words[:, 1], strict=True):
            number = 25 - int(label)
            assert number in (1, 2, 3)
            assert vertebra.sum() * 8 >= 200
            inside = image > OUTSIDE / 2
            assert not (vertebra.astype(bool) & (memory > 0)).any()
            assert not vertebra[~inside].any()
            assert memory.any() <= (number > 1)
    assert kinds_of(ids)[0].max() == 3


def test_where_there_is_nothing_to_find_all_is_remembered_and_the_canal_still_asked_for():
    source = IterativePatches([spine()], PLAIN.model_copy(update={"nothing": 1.0}))
    inputs, masks, _, words = source.batch(0, range(8))
    assert not masks[:, :2].any()
    assert not words.any()
    assert masks[:, 2].any()
    assert inputs[:, 1:].any(axis=(1, 2, 3, 4)).any()


def test_a_vertebra_is_complete_if_all_of_it_is_seen_and_the_image_does_not_cut_it():
    wide = PLAIN.model_copy(update={"patch": (32, 48, 80)})
    words = IterativePatches([spine()], wide).batch(0, range(24))[3]
    by_label = {25 - int(label): complete for complete, label in words}
    assert by_label == {1: 1, 2: 1, 3: 0}  # the third reaches the last layer
    marked = column()
    marked[marked == 2] = 102
    words = IterativePatches([spine(ids=marked)], wide).batch(0, range(24))[3]
    assert {25 - int(label): complete for complete, label in words} == {1: 1, 2: 0, 3: 0}
    narrow = IterativePatches([spine()], PLAIN.model_copy(update={"patch": (8, 8, 8)})).batch(0, range(8))[3]
    assert not narrow[:, 0].any()


def test_kinds_that_are_not_told_of_do_not_count():
    weights = IterativePatches([spine(told=(True, False, True))], PLAIN).batch(0, range(2))[2]
    assert not weights[:, 1].any()
    assert (weights[:, [0, 2]] >= 1).all()


def test_borders_count_more():
    mask = np.zeros((9, 9, 41), bool)
    mask[:, :, :20] = True
    weights = border_weights(mask, PLAIN.model_copy(update={"border_voxels": 3.0}))[4, 4]
    assert weights[19] == weights[20] == pytest.approx(1 + 8 * np.exp(-1 / 9), rel=1e-5)
    assert weights[40] == pytest.approx(1, abs=1e-3)
    assert (np.diff(weights[20:]) <= 0).all()
    assert (border_weights(np.zeros((4, 4, 4), bool), PLAIN) == 1).all()


def test_the_same_step_gives_the_same_patches_varied_in_every_way():
    varied = PLAIN.model_copy(update=dict.fromkeys(("elastic", "noise", "blur", "crop", "mirror"), 1.0))
    one, two = (IterativePatches([spine()], varied, seed=3) for _ in range(2))
    one.batch(0, [0])
    for a, b in zip(one.batch(7, [0, 1]), two.batch(7, [0, 1]), strict=True):
        np.testing.assert_array_equal(a, b)
    plain = IterativePatches([spine()], PLAIN, seed=3).batch(7, [0, 1])
    assert (one.batch(7, [0, 1])[0] != plain[0]).any()
    image = one.batch(7, [0])[0][0, 0]
    assert (image[..., 0] == np.float32(OUTSIDE)).all() or (image[..., -1] == np.float32(OUTSIDE)).all()


def test_images_may_be_made_from_labels_alone():
    making = Making(lambda ids, _spacing, rng: ids + rng.standard_normal(ids.shape), 1.0)
    inputs = IterativePatches([spine(image=None)], PLAIN, making).batch(0, range(2))[0]
    assert np.isfinite(inputs).all()
    assert inputs[:, 0].max() == 1


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(EmptyShapeError, match="no series to learn from"):
        IterativePatches([], PLAIN)
    with pytest.raises(EmptyShapeError, match="a: no vertebrae are labelled"):
        IterativePatches([spine(ids=np.zeros((20, 30, 60), np.uint8))], PLAIN)
    with pytest.raises(EmptyShapeError, match="a: no image, and nothing that makes one"):
        IterativePatches([replace(spine(), image=None)], PLAIN)
