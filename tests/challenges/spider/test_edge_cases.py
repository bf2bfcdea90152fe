"""Every row of the table of edge cases of SPIDER's evaluation, on five vertebrae, five discs and a canal."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.challenges.spider.cases import read_prediction, read_reference
from voxbench.challenges.spider.scoring import score_labels
from voxbench.errors import EmptyShapeError, GridMismatchError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import write_labels, write_volume

SHAPE = (8, 16, 64)
NAN = pytest.approx(float("nan"), nan_ok=True)


def spine() -> np.ndarray:
    """Vertebrae 1 to 5 of 6 x 8 x 8 voxels from below, a disc of 6 x 8 x 4 under each, the canal behind them."""
    labels = np.zeros(SHAPE, np.int16)
    for number in range(1, 6):
        low = 2 + 12 * (number - 1)
        labels[1:7, 6:14, low : low + 4] = 200 + number
        labels[1:7, 6:14, low + 4 : low + 12] = number
    labels[2:6, 1:5, 1:62] = 100
    return labels


def changed(*pairs: tuple[int, int]) -> np.ndarray:
    """The spine with labels replaced."""
    labels, new = spine(), spine()
    for old, label in pairs:
        new[labels == old] = label
    return new


def scored(prediction: np.ndarray, reference: np.ndarray | None = None) -> dict[str, float]:
    grid = Grid.from_parts(SHAPE, (4.0, 0.6, 0.6))
    maps = LabelMap(spine() if reference is None else reference, grid), LabelMap(prediction, grid)
    return score_labels(*maps)["official"]


def values(official: dict[str, float]) -> list[float]:
    """As in the table: vertebrae, discs, canal, overall, detection and distance of vertebrae."""
    dice = [official[f"DiceScore{name}"] for name in ("Vertebrae", "Discs", "SpinalCanal")]
    return [*dice, official["OveralDiceScore"], official["DetectionRateVertebrae"], official["ASDVertebrae"]]


def false_instance() -> np.ndarray:
    labels = spine()
    labels[0, :3, :3] = 77
    return labels


@pytest.mark.parametrize(
    "prediction",
    [
        spine(),
        changed(*((n, n + 3) for n in range(1, 6)), *((200 + n, 203 + n) for n in range(1, 6))),
        changed(*((n, 6 - n) for n in range(1, 6))),
        false_instance(),
    ],
    ids=["perfect", "numbers shifted", "numbers reversed", "extra false instance"],
)
def test_numbers_and_surplus_instances_do_not_matter(prediction):
    official = scored(prediction)
    assert values(official) == [1, 1, 1, 1, 1, 0]
    assert (official["DetectionRateDiscs"], official["ASDDiscs"]) == (1, 0)
    assert (official["ASDSpinalCanal"], official["OveralASD"]) == (0, 0)


def test_an_absent_vertebra_is_left_out_of_dice_and_makes_the_distances_nan():
    official = scored(changed((3, 0)))
    assert values(official) == [1, 1, 1, pytest.approx(10 / 11), 0.8, NAN]
    assert official["OveralASD"] == NAN
    assert official["ASDDiscs"] == 0


def test_two_vertebrae_merged_both_match_the_whole():
    official = scored(changed((3, 2)))
    # Each has half of the merged one: Dice 2/3.
    assert values(official)[:5] == pytest.approx([(3 + 4 / 3) / 5, 1, 1, (9 + 4 / 3) / 11, 1])
    assert official["ASDVertebrae"] > 0


def test_all_vertebrae_in_one_label_all_match_it():
    official = scored(changed(*((n, 1) for n in range(1, 6))))
    # 2 n / (n + 5 n) each.
    assert values(official)[:5] == pytest.approx([1 / 3, 1, 1, (6 + 5 / 3) / 11, 1])
    assert official["ASDVertebrae"] > scored(changed((3, 2)))["ASDVertebrae"]


def test_discs_with_the_numbers_of_vertebrae_match_the_joint_label():
    official = scored(changed(*((200 + n, n) for n in range(1, 6))))
    # The vertebra is 2/3 of the joint label, the disc 1/3: Dice 4/5 and 1/2.
    assert values(official)[:5] == pytest.approx([0.8, 0.5, 1, (4 + 2.5 + 1) / 11, 1])
    assert official["ASDVertebrae"] > 0


def test_a_vertebra_split_in_two_matches_the_larger_part():
    prediction = spine()
    part = np.zeros(SHAPE, bool)
    part[:, :, 33:] = True
    prediction[(prediction == 3) & part] = 50
    sizes = int((prediction == 3).sum()), int((prediction == 50).sum())
    official = scored(prediction)
    dice = 2 * max(sizes) / (max(sizes) + sum(sizes))
    assert 0.1 < dice < 1
    assert values(official)[:5] == pytest.approx([(4 + dice) / 5, 1, 1, (10 + dice) / 11, 1])
    assert official["ASDVertebrae"] > 0


def test_a_vertebra_nearly_missed_counts_overall_and_in_the_distance_only():
    prediction = changed((3, 0))
    prediction[1, 6, 30:33] = 3
    official = scored(prediction)
    dice = 2 * 3 / (3 + 6 * 8 * 8)
    assert dice < 0.1
    assert values(official)[:5] == pytest.approx([1, 1, 1, (10 + dice) / 11, 0.8])
    assert 0 < official["ASDVertebrae"] < np.inf


def test_a_canal_absent_in_the_prediction_has_dice_0_and_no_distance():
    official = scored(changed((100, 0)))
    assert values(official) == [1, 1, 0, pytest.approx(10 / 11), 1, 0]
    assert official["ASDSpinalCanal"] == NAN
    assert official["OveralASD"] == NAN


@pytest.mark.parametrize("prediction", [spine(), changed((100, 0))])
def test_a_canal_absent_in_the_reference_has_999(prediction):
    official = scored(prediction, changed((100, 0)))
    assert values(official) == [1, 1, 999, 1, 1, 0]
    assert official["ASDSpinalCanal"] == 999
    assert official["OveralASD"] == 0


@pytest.mark.parametrize("sides", [(spine(), changed((5, 105))), (changed((5, 105)), spine())])
def test_partly_visible_or_not_is_not_scored(sides):
    reference, prediction = sides
    assert values(scored(prediction, reference)) == [1, 1, 1, 1, 1, 0]


def test_a_label_of_101_to_200_counts_overall_only():
    reference = changed((5, 105))
    official = scored(np.where(reference == 105, 0, reference).astype(np.int16), reference)
    assert values(official) == [1, 1, 1, pytest.approx(10 / 11), 1, 0]
    assert official["OveralASD"] == NAN


def test_an_empty_prediction_has_no_dice_of_groups():
    official = scored(np.zeros(SHAPE, np.int16))
    assert values(official) == [NAN, NAN, 0, 0, 0, NAN]
    assert (official["DetectionRateDiscs"], official["ASDDiscs"]) == (0, NAN)
    assert (official["ASDSpinalCanal"], official["OveralASD"]) == (NAN, NAN)


@pytest.fixture
def folder(tmp_path):
    write_labels(tmp_path / "1_t1.mha", LabelMap(spine(), Grid.from_parts(SHAPE)))
    return tmp_path


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint64])
def test_a_prediction_that_is_not_of_a_countable_type_is_refused(dtype, folder):
    reference = read_reference(folder, "1_t1")
    write_volume(folder / "2_t1.mha", Volume(spine().astype(dtype), reference.grid))
    with pytest.raises(InputError, match=rf"2_t1: .*2_t1\.mha: voxels of type {np.dtype(dtype)}"):
        read_prediction(folder, "2_t1", reference)


def test_a_prediction_of_another_shape_is_refused(folder):
    write_labels(folder / "2_t1.mha", LabelMap(spine()[:-1], Grid.from_parts((7, 16, 64))))
    with pytest.raises(GridMismatchError, match=r"(?s)2_t1: .*\(8, 16, 64\).*\(7, 16, 64\)"):
        read_prediction(folder, "2_t1", read_reference(folder, "1_t1"))


@pytest.mark.parametrize(("low", "high", "lacking"), [(1, 99, "no vertebrae"), (201, 299, "no discs")])
def test_a_reference_without_vertebrae_or_discs_is_refused(low, high, lacking):
    reference = spine()
    reference[(reference >= low) & (reference <= high)] = 0
    with pytest.raises(EmptyShapeError, match=lacking):
        scored(spine(), reference)
