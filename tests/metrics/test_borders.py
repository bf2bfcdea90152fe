"""Border distances against SciPy on whole images, SimpleITK's contours, and medpy's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxbench.errors import GridMismatchError
from voxbench.metrics import border_distances
from voxbench.metrics.borders import border, box_of, box_of_labels

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "border_distances.json").read_text())
STRUCTURES = {"faces": ndimage.generate_binary_structure(3, 1), "full": np.ones((3, 3, 3), bool)}
SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (4.0, 0.6, 0.6), (0.5, 1.25, 3.3)]


def slow_border(mask: np.ndarray, neighbours: str, edge: bool) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask, STRUCTURES[neighbours], border_value=int(not edge))


def some_masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two masks, from empty to full, of isolated voxels and of boxes."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 10, 3))
    masks = rng.random((2, *shape)) < rng.choice([0.0, 0.05, 0.6, 0.95, 1.0], (2, 1, 1, 1))
    return masks[0], masks[1]


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from(["faces", "full"]), st.booleans(), st.sampled_from(SPACINGS))
def test_distances_are_scipys_between_eroded_masks(seed, neighbours, edge, spacing):
    masks = some_masks(seed)
    found = border_distances(*masks, spacing, neighbours, edge)
    borders = [slow_border(mask, neighbours, edge) for mask in masks]
    for own, mask in zip(borders, masks, strict=True):
        assert np.array_equal(border(mask, neighbours, edge), own)
    for way, one, other in ((found.forward, *borders), (found.backward, *borders[::-1])):
        if not other.any():
            assert np.array_equal(way, np.full(int(one.sum()), np.inf))
            continue
        expected = ndimage.distance_transform_edt(~other, spacing)[one]
        np.testing.assert_allclose(way, expected, rtol=1e-6 if len(set(spacing)) > 1 else 1e-15)


def test_distances_are_those_between_simpleitks_contours():
    rng = np.random.default_rng(6)
    for spacing in SPACINGS * 5:
        masks = np.zeros((2, 9, 8, 7), bool)
        for mask in masks:
            i, j, k = rng.integers(0, 4, 3)
            mask[i : i + 4, j : j + 3, k : k + 3] = True
        contours = []
        for mask in masks:
            image = SimpleITK.GetImageFromArray(np.ascontiguousarray(mask.T.astype(np.uint8)))
            image.SetSpacing(spacing)
            contours.append(SimpleITK.LabelContour(image))
        away = [
            np.abs(SimpleITK.GetArrayFromImage(SimpleITK.SignedMaurerDistanceMap(c, False, False, True)))
            for c in contours
        ]
        on = [SimpleITK.GetArrayFromImage(c) != 0 for c in contours]
        means = away[1][on[0]].mean(dtype=float), away[0][on[1]].mean(dtype=float)
        found = border_distances(*masks, spacing, "faces", edge=False)
        assert found.directed_means == pytest.approx(means, abs=1e-5)
        assert found.masd == pytest.approx(sum(means) / 2, abs=1e-5)


@pytest.mark.parametrize("case", GOLDEN["cases"])
@pytest.mark.parametrize(("neighbours", "connectivity"), [("faces", "1"), ("full", "3")])
def test_pooled_mean_and_maximum_are_medpys(case, neighbours, connectivity):
    shape = tuple(case["shape"])
    masks = [
        np.unpackbits(np.frombuffer(bytes.fromhex(case[name]), np.uint8), count=int(np.prod(shape)))
        .reshape(shape)
        .astype(bool)
        for name in ("first", "second")
    ]
    found = border_distances(*masks, tuple(case["spacing"]), neighbours)
    assert found.assd == pytest.approx(case["assd"][connectivity], rel=1e-6)
    assert found.hausdorff() == pytest.approx(case["hd"][connectivity], rel=1e-6)


def test_the_golden_numbers_have_a_birth_certificate():
    assert GOLDEN["born"]["evaluator"] == "medpy 0.5.2"


def test_two_voxels_are_as_far_apart_as_their_centres():
    masks = np.zeros((2, 12, 12, 12), bool)
    masks[0, 2, 2, 2] = masks[1, 5, 6, 2] = True
    found = border_distances(*masks, (2.0, 2.0, 2.0))
    assert (found.assd, found.masd, found.hausdorff(), found.hausdorff(95)) == (10, 10, 10, 10)
    assert (found.dice_at(10), found.dice_at(9.99)) == (1, 0)


def test_pooled_and_mean_of_means_differ_by_the_sizes_of_the_borders():
    masks = np.zeros((2, 9, 3, 3), bool)
    masks[0, 0, 1, 1] = True
    masks[1, [0, 4, 8], 1, 1] = True
    found = border_distances(*masks)
    assert found.forward.tolist() == [0]
    assert found.backward.tolist() == [0, 4, 8]
    assert (found.assd, found.masd) == (3, 2)
    assert found.dice_at(4) == 0.75


def test_without_a_border_distances_are_infinite_and_without_both_undefined():
    masks = np.zeros((2, 4, 4, 4), bool)
    empty = border_distances(*masks)
    assert all(np.isnan(value) for value in (empty.assd, empty.masd, empty.hausdorff(), empty.dice_at(1)))
    masks[0, 1:3, 1:3, 1:3] = True
    lost = border_distances(*masks)
    assert (lost.assd, lost.hausdorff(95), lost.dice_at(1)) == (np.inf, np.inf, 0)
    assert np.isnan(lost.masd)
    assert border_distances(~masks[1], ~masks[1], edge=False).forward.size == 0


def test_the_box_is_the_smallest_and_grows_within_the_array():
    mask = np.zeros((6, 7, 8), bool)
    assert box_of(mask) == (slice(0, 0),) * 3
    mask[2, 3, 7] = mask[4, 6, 5] = True
    assert box_of(mask) == (slice(2, 5), slice(3, 7), slice(5, 8))
    assert box_of(mask, 1) == (slice(1, 6), slice(2, 7), slice(4, 8))


def test_the_box_of_two_label_maps_holds_both():
    rng = np.random.default_rng(1)
    for _ in range(60):
        pair = (rng.random((2, 6, 7, 8)) < rng.choice([0, 0.02])).astype(np.int16) * 5
        for margin in (0, 1):
            assert box_of_labels(*pair, margin) == box_of((pair[0] != 0) | (pair[1] != 0), margin)


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(GridMismatchError, match=r"(?s)\(2, 2, 2\).*\(2, 2, 3\)"):
        border_distances(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool))
