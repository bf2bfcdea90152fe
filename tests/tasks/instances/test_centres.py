"""Maps of a perfect network give back the label map; those of a worse one nearly so, and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import GridMismatchError, InputError
from voxbench.geometry import Grid, LabelMap
from voxbench.geometry.orientation import Reordering
from voxbench.io import read_labels
from voxbench.simulate.phantoms.spine import spine_phantom
from voxbench.simulate.phantoms.spine_shape import PLAIN
from voxbench.tasks.instances import CentresConfig, centres_of, instances, offsets_to, targets

GRID = Grid.from_parts((20, 62, 80), (4.0, 3.0, 3.0))
MARKED = CentresConfig()
WHOLE = CentresConfig(mark_partial=False)


@pytest.fixture(scope="module")
def labels() -> LabelMap:
    return spine_phantom(GRID, 2, PLAIN).labels


def found(labels: LabelMap, settings: CentresConfig = MARKED) -> np.ndarray:
    ideal = targets(labels)
    return instances(ideal.probabilities, ideal.offsets, labels.grid, settings).array


def dice(one: np.ndarray, other: np.ndarray, label: int) -> float:
    a, b = one == label, other == label
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("orientation", ["RAS", "PIR"])
def test_perfect_maps_give_back_the_label_map(seed: int, orientation: str):
    grid = GRID if seed % 2 else GRID.cropped((0, 0, 12), (20, 62, 70))
    drawn = spine_phantom(Reordering.to(grid, orientation).grid(grid), seed).labels
    np.testing.assert_array_equal(found(drawn), drawn.array)


def test_offsets_point_from_each_voxel_to_its_centre_in_mm_along_the_array(labels: LabelMap):
    ideal = targets(labels)
    centres = centres_of(labels.array, GRID.spacing)
    place = np.argwhere(labels.array == 3)[17]
    step = ideal.offsets[:, *place]
    np.testing.assert_allclose(place + step / GRID.spacing, centres[3], atol=1e-4)
    assert not ideal.offsets[:, (ideal.classes == 0) | (ideal.classes == 3)].any()
    assert set(centres) == {i for i in labels.ids if i != 100}


def test_offsets_of_a_patch_are_the_patch_of_the_offsets(labels: LabelMap):
    whole, centres = targets(labels), centres_of(labels.array, GRID.spacing)
    part = (slice(4, 14), slice(20, 50), slice(10, 40))
    shifted = {number: centre - [4, 20, 10] for number, centre in centres.items()}
    patch = offsets_to(np.ascontiguousarray(labels.array[part]), shifted, GRID.spacing)
    np.testing.assert_allclose(patch, whole.offsets[:, *part], atol=1e-4)


def test_the_centre_of_a_vertebra_lies_in_its_body(labels: LabelMap):
    shape = spine_phantom(GRID, 2, PLAIN).shape
    centres = centres_of(labels.array, GRID.spacing)
    place = GRID.world_from_voxel(centres[3]) - GRID.centre
    assert np.linalg.norm(place - shape.bodies[2].centre) < 4


def test_noisy_maps_give_nearly_the_same_and_repeat(labels: LabelMap):
    ideal, rng = targets(labels), np.random.default_rng(0)
    offsets = ideal.offsets + 4 * rng.standard_normal(ideal.offsets.shape, dtype=np.float32)
    offsets *= np.float32(0.9)
    probabilities = ideal.probabilities + 0.3 * rng.standard_normal(ideal.probabilities.shape, dtype=np.float32)
    one, two = (instances(probabilities, offsets, GRID, CentresConfig(fragment=200)).array for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert set(np.unique(one)) == {0, *labels.ids}
    for label in labels.ids:
        assert dice(one, labels.array, label) > (0.9 if label < 7 else 0.75)


def test_neighbours_without_a_disc_between_are_kept_apart(labels: LabelMap):
    merged = np.where(np.isin(labels.array, (203, 204)), 3, labels.array).astype(np.uint8)
    fused = LabelMap(merged, GRID)
    got = found(fused)
    np.testing.assert_array_equal(got, merged)
    assert {2, 3, 4} <= set(np.unique(got))


def test_a_missed_vertebra_and_a_missed_disc_leave_the_others_their_numbers(labels: LabelMap):
    for gone in ((3,), (203,), (3, 203)):
        left = LabelMap(np.where(np.isin(labels.array, gone), 0, labels.array).astype(np.uint8), GRID)
        np.testing.assert_array_equal(found(left), left.array)


def test_what_is_far_beside_the_spine_or_small_is_dropped_and_the_canal_is_one_piece(labels: LabelMap):
    wrong = labels.array.copy()
    wrong[:, :6, 35:45] = 24  # 80 mm behind
    wrong[:2, 40:42, 5:7] = 100
    got = found(LabelMap(wrong, GRID))
    right = np.where(wrong == 24, 0, labels.array)
    assert set(np.unique(got)) == {0, *labels.ids}
    np.testing.assert_array_equal(got, right)


def test_cut_vertebrae_are_marked_only_if_asked():
    low = GRID.cropped((0, 0, 20), (20, 62, 64))
    marked, plain = (spine_phantom(low, 1, PLAIN, mark_partial=mark).labels for mark in (True, False))
    np.testing.assert_array_equal(found(marked), marked.array)
    np.testing.assert_array_equal(found(marked, WHOLE), plain.array)
    assert 101 in marked.ids


def test_nothing_gives_nothing_and_wrong_shapes_are_refused(labels: LabelMap):
    empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID)
    assert not found(empty).any()
    ideal = targets(labels)
    with pytest.raises(GridMismatchError, match="maps and grid differ in shape"):
        instances(ideal.probabilities[1:], ideal.offsets, GRID)
    with pytest.raises(InputError, match="label 255 means nothing"):
        targets(LabelMap(np.full((2, 2, 2), 255, np.uint8), Grid.from_parts((2, 2, 2))))


@pytest.mark.real_data
def test_perfect_maps_give_back_a_real_label_map(real_data):
    for name in ("myo01_labels", "menezes11_disc_labels"):
        drawn = read_labels(real_data / "spine_mri" / f"{name}.nii.gz")
        np.testing.assert_array_equal(found(drawn, WHOLE), drawn.array)
