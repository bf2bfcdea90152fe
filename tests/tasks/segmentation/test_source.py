"""Patches: the same step gives the same, foreground is found, labels go where the image goes."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import EmptyShapeError
from voxbench.tasks.segmentation import Augmentation, Drawing, Sample, SegmentationPatches
from voxbench.tasks.segmentation.augment import NONE, drawn, turning, varied


def plain(**changes):
    return Drawing(**({"augmentation": NONE, "seed": 3} | changes))


def test_a_step_gives_the_same_patches_whatever_went_before(samples, small_plan):
    a, b = (SegmentationPatches(samples(range(2)), small_plan(), Drawing(seed=3)) for _ in range(2))
    a.batch(0, range(2))
    for x, y in zip(a.batch(5, [1, 0]), b.batch(5, [1, 0]), strict=True):
        assert (x == y).all()
        assert not y.size or x.dtype == y.dtype
    assert (a.batch(5, [0])[0][0] == b.batch(5, [1, 0])[0][1]).all()
    assert not (a.batch(6, [0])[0] == b.batch(5, [0])[0]).all()


def test_patches_come_out_of_the_case(samples, small_plan):
    (sample,) = samples([1])
    images, labels, told, chance, maps = SegmentationPatches([sample], small_plan(), plain()).batch(0, range(6))
    assert images.shape == (6, 1, 16, 16, 16)
    assert images.dtype == np.float32
    assert labels.dtype == np.uint8
    assert told.all()
    assert told.shape == (6, 2)
    assert maps.shape == (6, 0, 16, 16, 16)
    assert ((chance >= 0) & (chance < 1)).all()
    windows = np.lib.stride_tricks.sliding_window_view(sample.image, (16, 16, 16))
    for image, label in zip(images[:, 0], labels, strict=True):
        at = np.argwhere(windows[..., 0, 0, 0] == image[0, 0, 0])
        boxes = [tuple(slice(int(a), int(a) + 16) for a in low) for low in at]
        (box,) = [box for box in boxes if (sample.image[box] == image).all()]
        assert (sample.labels[box] == label).all()


def test_foreground_patches_show_every_class_as_often(small_plan):
    labels = np.zeros((64, 64, 64), np.uint8)
    labels[4:24, 4:24, 4:24] = 1
    labels[50, 50, 50] = 2
    labels[:, :, 60:] = 255
    sample = Sample("a", labels, np.zeros(labels.shape, np.float32))
    source = SegmentationPatches([sample], small_plan(classes=3), plain(foreground=1.0))
    found = source.batch(0, range(60))[1]
    rare = (found == 2).any(axis=(1, 2, 3)).mean()
    assert 0.3 < rare < 0.7
    assert ((found == 1) | (found == 2)).any(axis=(1, 2, 3)).all()


def test_a_case_smaller_than_the_patch_lies_inside_it_and_the_rest_is_unknown(small_plan):
    image = np.random.default_rng(0).random((5, 20, 7)).astype(np.float32) + 1
    sample = Sample("a", np.ones(image.shape, np.uint8), image, maps=image[None])
    images, labels, _, _, maps = SegmentationPatches([sample], small_plan(maps=1), plain()).batch(0, range(8))
    assert ((labels == 1).sum(axis=(1, 2, 3)) == 5 * 16 * 7).all()
    assert ((labels == 255) | (labels == 1)).all()
    assert len({tuple(np.argwhere(one == 1)[0]) for one in labels}) > 3
    assert (images >= 1).all()
    assert (images == maps).all()


def test_labels_and_maps_turn_with_the_image(small_plan):
    """An image that is its own label map stays so, but at borders of labels."""
    at = np.stack(np.meshgrid(*[np.arange(40.0)] * 3, indexing="ij"), axis=-1)
    smooth = np.sin(at / 5).sum(axis=-1).astype(np.float32)
    labels = (smooth > 0).astype(np.uint8)
    sample = Sample("a", labels, smooth, maps=smooth[None], spacing=(1.0, 1.0, 2.0))
    only = Augmentation(turn=1, noise=0, blur=0, contrast=0, gamma=0, coarse=0)
    source = SegmentationPatches([sample], small_plan(maps=1), Drawing(augmentation=only))
    images, found, _, _, maps = source.batch(0, range(12))
    np.testing.assert_allclose(images, maps, atol=1e-5)
    inside = (found != 255) & (np.abs(images[:, 0]) > 0.35)
    assert inside.mean() > 0.4
    assert ((images[:, 0] > 0) == (found == 1))[inside].all()
    assert len({float(image.std()) for image in images}) == 12


def test_turns_keep_lengths_in_mm_and_thick_slices_in_their_plane():
    only = Augmentation(turn=1, scale=(1, 1))
    spacing = np.array([1.0, 1.0, 2.0])
    for seed in range(5):
        matrix = turning(only, spacing, np.random.default_rng(seed))
        in_mm = np.diag(spacing) @ matrix @ np.diag(1 / spacing)
        np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-12)
        thick = turning(only, np.array([4.0, 1.0, 1.0]), np.random.default_rng(seed))
        np.testing.assert_allclose(thick[0], [1, 0, 0], atol=1e-12)
        assert abs(thick[1, 2]) > 1e-4
    assert turning(NONE, spacing, np.random.default_rng(0)) is None


@pytest.mark.parametrize("kind", ["noise", "blur", "contrast", "gamma", "coarse"])
def test_each_variation_changes_the_image_and_not_its_mean(kind):
    image = np.random.default_rng(0).standard_normal((12, 12, 1)).astype(np.float32)
    changed = varied(image, Augmentation(**{**NONE.model_dump(), kind: 1}), np.random.default_rng(1))
    assert changed.dtype == np.float32
    assert changed.shape == image.shape
    assert not np.array_equal(changed, image)
    assert changed.mean() == pytest.approx(image.mean(), abs=0.1)
    assert np.array_equal(varied(image, NONE, np.random.default_rng(1)), image)


def test_images_are_made_from_labels_alone(small_plan, samples):
    (sample,) = samples([1])
    bare = Sample("bare", sample.labels)
    drawing = plain(render=drawn, foreground=1.0)
    images, labels, *_ = SegmentationPatches([bare], small_plan(), drawing).batch(0, range(3))
    for image, label in zip(images[:, 0], labels, strict=True):
        assert image[label == 1].std() < 0.15
        assert image[label == 0].std() < 0.15
    with pytest.raises(EmptyShapeError, match="bare: no image, and nothing that makes one"):
        SegmentationPatches([bare], small_plan(), plain())
    share = SegmentationPatches([sample], small_plan(), plain(render=drawn, rendered=0.5)).batch(0, range(40))[0]
    assert 8 < sum(float(image.max()) < 3.2 and float(np.abs(image).std()) > 0 for image in share) <= 40


def test_maps_made_of_patches_point_to_where_the_points_went(small_plan):
    """Offsets to the middle of a sphere, drawn after turning and mirroring: following them from anywhere ends there."""
    at = np.stack(np.meshgrid(*[np.arange(30.0)] * 3, indexing="ij"), axis=-1)
    middle = np.array([14.0, 13.0, 16.0])
    ids = 5 * (((at - middle) ** 2).sum(axis=-1) <= 36).astype(np.uint8)
    sample = Sample("a", (ids > 0).astype(np.uint8), ids.astype(np.float32), ids=ids, points={5: middle})

    def offsets(ids, points, spacing):
        index = np.stack(np.meshgrid(*[np.arange(n) for n in ids.shape], indexing="ij"))
        return np.where(ids == 5, points[5].reshape(3, 1, 1, 1) - index, np.nan)

    only = Augmentation(turn=1, scale=(1, 1), noise=0, blur=0, contrast=0, gamma=0, coarse=0)
    source = SegmentationPatches([sample], small_plan(maps=3, patch=(24, 24, 24)), Drawing(1.0, only, maps=offsets))
    _, labels, _, _, maps = source.batch(0, range(8))
    whole = 0
    for label, one in zip(labels, maps, strict=True):
        assert (np.isfinite(one[0]) == (label == 1))[label != 255].all()
        index = np.argwhere(label == 1)
        targets = index + one[:, *index.T].T
        np.testing.assert_allclose(targets, targets[:1].repeat(len(index), axis=0), atol=1e-4)
        if not np.any([index.min(axis=0) == 0, index.max(axis=0) == 23]):
            np.testing.assert_allclose(targets[0], index.mean(axis=0), atol=0.3)
            whole += 1
    assert whole > 2


def test_no_case_is_refused(small_plan):
    with pytest.raises(EmptyShapeError, match="no case to learn from"):
        SegmentationPatches([], small_plan(), Drawing())
