"""LNQ 2023's numbers against SimpleITK, on which the official evaluation rests, and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from voxbench.challenges.lnq2023.scoring import ASSD, DICE, score_masks
from voxbench.geometry import Grid, LabelMap

SPACINGS = [(1.0, 1.0, 1.0), (0.826, 0.826, 3.0), (0.7, 1.1, 2.5), (4.0, 0.6, 0.6)]


def with_simpleitk(reference: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """Dice and ASSD by SimpleITK's filters: label overlap, label contour, signed Maurer distance."""
    images = []
    for array in (reference, prediction):
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T.astype(np.uint8)))
        image.SetSpacing(spacing)
        images.append(image)
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    contours = [SimpleITK.LabelContour(image) for image in images]
    distances = [
        np.abs(
            SimpleITK.GetArrayFromImage(
                SimpleITK.SignedMaurerDistanceMap(contour, squaredDistance=False, useImageSpacing=True)
            )
        )
        for contour in contours
    ]
    on = [SimpleITK.GetArrayFromImage(contour) != 0 for contour in contours]
    means = [distances[1 - n][on[n]].mean(dtype=np.float64) for n in (0, 1)]
    return overlap.GetDiceCoefficient(), (means[0] + means[1]) / 2


def blobs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of boxes and single voxels, some of them at the image's edge, that overlap in part."""
    shape = tuple(int(n) for n in rng.integers(4, 13, 3))
    masks = np.zeros((2, *shape), np.uint8)
    for mask in masks:
        for _ in range(rng.integers(1, 4)):
            start = [rng.integers(0, n) for n in shape]
            stop = [s + rng.integers(1, 6) for s in start]
            mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
    masks[rng.random(masks.shape) < rng.choice([0.0, 0.02])] ^= 1
    return masks[0], masks[1]


def score(reference: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> dict:
    grid = Grid.from_parts(reference.shape, spacing)
    return score_masks(LabelMap(reference, grid), LabelMap(prediction, grid))


def has_contour(mask: np.ndarray) -> bool:
    return 0 < mask.sum() < mask.size


def test_dice_and_assd_are_simpleitks_on_200_random_pairs():
    rng, cases = np.random.default_rng(2023), 0
    while cases < 200:
        reference, prediction = blobs(rng)
        if not (has_contour(reference) and has_contour(prediction)):
            continue
        spacing = SPACINGS[cases % len(SPACINGS)]
        found = score(reference, prediction, spacing)["official"]
        dice, assd = with_simpleitk(reference, prediction, spacing)
        assert found[DICE] == pytest.approx(dice, abs=1e-12)
        assert found[ASSD] == pytest.approx(assd, abs=1e-5)
        cases += 1


@pytest.mark.parametrize(("value", "dice"), [(255, 0.0), (2, 0.0), (257, 1.0), (256, 0.0)])
def test_only_the_value_1_counts_for_dice_after_the_cast_to_a_byte(value, dice):
    mask = np.zeros((5, 5, 5), np.int16)
    mask[1:4, 1:4, 1:4] = 1
    found = score(mask, mask * value)
    assert found["official"][DICE] == dice
    if value in (255, 2):
        assert with_simpleitk(mask, mask * value, (1.0, 1.0, 1.0))[0] == dice
    assert found["honest"]["dice"] == 1


def test_an_empty_prediction_has_dice_0_and_no_distance():
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[2:5, 2:5, 2:5] = 1
    found = score(mask, np.zeros_like(mask))
    assert found["official"][DICE] == 0
    assert np.isnan(found["official"][ASSD])
    assert found["honest"]["assd_pooled"] == np.inf
    assert found["honest"]["hd95"] == np.inf
    assert (found["honest"]["detection_rate"], found["honest"]["nodes_predicted"]) == (0, 0)


def test_two_empty_masks_have_what_simpleitk_says():
    empty = np.zeros((4, 4, 4), np.uint8)
    found = score(empty, empty)
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*[SimpleITK.GetImageFromArray(empty)] * 2)
    assert found["official"][DICE] == overlap.GetDiceCoefficient() == np.inf
    assert np.isnan(found["official"][ASSD])
    assert np.isnan(found["honest"]["dice"])
    assert found["nodes"] == []


def test_a_full_volume_has_no_contour_and_no_distance_officially():
    full = np.ones((4, 4, 4), np.uint8)
    found = score(full, full)
    assert found["official"][DICE] == 1
    assert np.isnan(found["official"][ASSD])
    assert found["honest"]["assd_pooled"] == 0


def test_the_images_edge_is_a_border_only_in_the_honest_distance():
    one, other = np.zeros((8, 6, 6), np.uint8), np.zeros((8, 6, 6), np.uint8)
    one[:3, 1:5, 1:5] = 1
    other[:6, 1:5, 1:5] = 1
    found = score(one, other)
    assert found["official"][ASSD] == pytest.approx(with_simpleitk(one, other, (1.0, 1.0, 1.0))[1], abs=1e-6)
    borders = [mask.astype(bool) & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    away = [ndimage.distance_transform_edt(~border) for border in borders]
    pooled = np.concatenate((away[1][borders[0]], away[0][borders[1]])).mean()
    assert found["honest"]["assd_pooled"] == pytest.approx(pooled, rel=1e-12)
    assert abs(pooled - found["official"][ASSD]) > 0.05


def test_nodes_are_matched_one_to_one_and_the_large_ones_counted_apart():
    reference, prediction = np.zeros((2, 40, 40, 30), np.uint8)
    reference[2:14, 2:14, 2:8] = 1  # 12 x 12 x 6: enlarged
    reference[20:24, 2:6, 2:6] = 1  # 4 mm: not
    reference[2:14, 20:32, 10:16] = 1  # enlarged, missed but for one voxel
    prediction[2:14, 2:14, 3:8] = 1
    prediction[2, 20, 10] = 1
    prediction[30:33, 30:33, 20:23] = 1  # nothing there
    found = score(reference, prediction)
    honest = found["honest"]
    assert (honest["nodes"], honest["nodes_enlarged"], honest["nodes_predicted"]) == (3, 2, 3)
    assert honest["nodes_detected"] == 1
    assert honest["detection_rate"] == pytest.approx(1 / 3)
    assert honest["detection_rate_enlarged"] == 0.5
    assert honest["precision"] == pytest.approx(1 / 3)
    large = max(found["nodes"], key=lambda node: node["dice"])
    assert large["dice"] == pytest.approx(2 * 5 / 11)
    assert large["covered"] == pytest.approx(5 / 6)
    assert large["short_axis_mm"] == pytest.approx(
        12 * 2**0.5, abs=1.1
    )  # as wide as long, from corner to (rounded) corner
    assert large["volume_mm3"] == pytest.approx(12 * 12 * 6)
    assert large["centre"] == pytest.approx([7.5, 7.5, 4.5])
    assert sorted(node["covered"] for node in found["nodes"]) == pytest.approx([0, 1 / 864, 5 / 6])
