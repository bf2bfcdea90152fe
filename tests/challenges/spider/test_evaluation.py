"""SPIDER's evaluation: its distances, its means over series, and what happens to bad predictions."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from scipy import ndimage

from voxbench.challenges.spider.cases import find_cases
from voxbench.challenges.spider.evaluation import SpiderEvaluation, evaluate, jobs, line, score_case
from voxbench.challenges.spider.scoring import OFFICIAL, score_labels
from voxbench.challenges.tables import read_run
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import write_labels, write_volume

GRID = Grid.from_parts((6, 14, 30), (4.0, 0.6, 0.7))


def spine(shift: int = 0) -> np.ndarray:
    """Two vertebrae, two discs and a canal; the upper vertebra may be shifted."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:5, 6:13, 1:4] = 201
    labels[1:5, 6:13, 4:12] = 1
    labels[1:5, 6:13, 12:15] = 202
    labels[1:5, 6 + shift : 13 + shift, 15:23] = 2
    labels[2:4, 1:5, 1:29] = 100
    return labels


def slow(reference: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> dict[int, tuple[float, float]]:
    """Dice and pooled border distance of every structure, on the whole image with SciPy, array (z, y, x)."""
    reference, prediction = reference.T, prediction.T
    numbers = {}
    for label in np.unique(reference[reference > 0]):
        votes = np.bincount(prediction[reference == label])
        votes[0] = 0
        if not votes.any():
            numbers[int(label)] = 0.0, np.nan
            continue
        masks = reference == label, prediction == votes.argmax()
        borders = [m ^ ndimage.binary_erosion(m, np.ones((3, 3, 3))) for m in masks]
        away = [ndimage.distance_transform_edt(~border, spacing) for border in borders]
        both = np.concatenate((away[1][borders[0]], away[0][borders[1]]))
        numbers[int(label)] = 2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum()), both.mean()
    return numbers


def test_structures_are_those_of_a_slow_transcription_in_both_orders_of_spacing():
    rng = np.random.default_rng(5)
    for spacing in ((4.0, 0.6, 0.7), (0.9, 0.5, 0.5), (1.0, 1.0, 1.0), (3.3, 0.33, 3.3)) * 5:
        reference = spine()
        prediction = np.roll(spine(), rng.integers(-2, 3, 3), (0, 1, 2))
        noise = rng.random(GRID.shape) < 0.05
        prediction[noise] = rng.choice(np.array([0, 1, 2, 100, 201, 202], np.uint8), int(noise.sum()))
        prediction[prediction == rng.choice([0, 1, 202])] = rng.choice([0, 2])
        grid = Grid.from_parts(GRID.shape, spacing)
        found = score_labels(LabelMap(reference, grid), LabelMap(prediction, grid))
        # Arrays are (z, y, x) there: right is the spacing turned round, official is (x, y, z) as it stands.
        right, official = slow(reference, prediction, spacing[::-1]), slow(reference, prediction, spacing)
        for row in found["structures"]:
            label = row["label"]
            assert row["dice"] == pytest.approx(right[label][0], abs=1e-12)
            assert row["asd"] == pytest.approx(right[label][1], rel=1e-6, nan_ok=True)
            assert row["asd_official"] == pytest.approx(official[label][1], rel=1e-6, nan_ok=True)
        overall = [row[0] for row in right.values()]
        assert found["official"]["OveralDiceScore"] == pytest.approx(np.mean(overall), abs=1e-12)
        assert found["asd"]["asd_overall"] == pytest.approx(
            np.mean([row[1] for row in right.values()]), rel=1e-6, nan_ok=True
        )


def test_the_official_distance_gives_the_slice_thickness_to_the_long_axis():
    grid = Grid.from_parts((12, 20, 20), (4.0, 0.6, 0.6))
    labels = np.zeros((2, 12, 20, 20), np.uint8)
    for array, shift in zip(labels, (0, 1), strict=True):
        array[3 + shift : 9 + shift, 4:14, 4:10] = 1
        array[3:9, 4:14, 12:16] = 201
    found = score_labels(LabelMap(labels[0], grid), LabelMap(labels[1], grid))
    row = found["structures"][0]
    # Moved by one slice: most border voxels of the two end faces are 4 mm apart, officially 0.6 mm.
    assert row["asd"] > row["asd_official"] > 0
    assert row["asd"] <= 4
    assert row["asd_official"] <= 0.6


def test_prediction_labels_too_large_for_a_table_are_matched_all_the_same():
    large = spine().astype(np.int64)
    large[large == 2] = 1 << 40
    found = score_labels(LabelMap(spine(), GRID), LabelMap(large, GRID))
    assert found["official"]["OveralDiceScore"] == 1
    assert found["structures"][1]["match"] == 1 << 40
    filled = np.where(large == 0, 7 << 30, large)
    assert score_labels(LabelMap(spine(), GRID), LabelMap(filled, GRID))["official"]["OveralDiceScore"] == 1


def test_honest_values_are_one_to_one_within_a_group_and_count_what_is_missed():
    merged = spine()
    merged[merged == 2] = 1
    honest = score_labels(LabelMap(spine(), GRID), LabelMap(merged, GRID))["honest"]
    assert honest["dice_vertebrae"] == pytest.approx(2 / 3 / 2)
    assert honest["detection_rate_vertebrae"] == 0.5
    assert (honest["dice_discs"], honest["dice_canal"], honest["precision"]) == (1, 1, 1)
    swapped = spine()
    swapped[spine() == 202] = 3
    found = score_labels(LabelMap(spine(), GRID), LabelMap(swapped, GRID))
    assert found["official"]["DiceScoreDiscs"] == 1
    assert found["honest"]["detection_rate_discs"] == 0.5
    assert found["surplus"] == [3]
    assert found["honest"]["precision"] == 4 / 5


@pytest.fixture
def folders(tmp_path):
    """Three series; the second lacks a vertebra, the third has one shifted."""
    predictions, references = tmp_path / "predictions", tmp_path / "references"
    for folder in (predictions, references):
        folder.mkdir()
    lost = np.where(spine() == 2, 0, spine()).astype(np.uint8)
    for case, array in (("2_t1", spine()), ("2_t2", lost), ("10_t2_SPACE", spine(1))):
        write_labels(predictions / f"{case}.mha", LabelMap(array, GRID))
        write_labels(references / f"{case}.mha", LabelMap(spine(), GRID))
    return predictions, references


def test_metrics_json_has_the_official_layout_and_leaves_nan_out(folders, tmp_path):
    evaluation = evaluate(*folders)
    evaluation.write(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert tuple(metrics) == OFFICIAL
    assert all(list(numbers) == ["mean", "std"] for numbers in metrics.values())
    rows = [outcome.record["official"] for outcome in evaluation.outcomes]
    assert metrics["DetectionRateVertebrae"]["mean"] == pytest.approx(2.5 / 3)
    assert metrics["DetectionRateVertebrae"]["std"] == pytest.approx(np.std([1, 0.5, 1], ddof=1))
    assert np.isnan(rows[1]["ASDVertebrae"])
    assert metrics["ASDVertebrae"]["mean"] == pytest.approx((rows[0]["ASDVertebrae"] + rows[2]["ASDVertebrae"]) / 2)
    assert evaluation.undefined()["ASDVertebrae"] == 1
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["scored"] == "3 of 3 scored"
    assert list(scores["cases"]) == ["2_t1", "2_t2", "10_t2_SPACE"]
    assert set(scores["cases"]["2_t1"]["inputs"]) == {"reference", "prediction"}
    run = read_run(tmp_path)
    assert (run.metrics["asd_overall"].better, run.metrics["asd_overall"].unit) == ("lower", "mm")
    assert "missed: 2" in line(evaluation.outcomes[1].record)


def test_the_place_of_a_prediction_is_not_looked_at_but_noted(folders):
    moved = Grid.from_parts(GRID.shape, GRID.spacing, (5.0, 0.0, 0.0))
    write_labels(folders[0] / "2_t1.mha", LabelMap(spine(), moved))
    record = score_case("2_t1", *folders, SpiderEvaluation())
    assert record["official"]["OveralDiceScore"] == 1
    assert "elsewhere" in record["note"]
    assert "elsewhere" in line(record)


def test_unusable_predictions_are_refused_or_get_bounds(folders):
    (folders[0] / "2_t2.mha").unlink()
    write_volume(folders[0] / "10_t2_SPACE.mha", Volume(spine().astype(np.float32), GRID))
    with pytest.raises(FileReadError, match=r"(?s)1 of 3 predictions are missing.*2_t2\.mha"):
        jobs(*folders, SpiderEvaluation())
    with pytest.raises(InputError, match=r"10_t2_SPACE: .*float32"):
        score_case("10_t2_SPACE", *folders, SpiderEvaluation())
    evaluation = evaluate(*folders, SpiderEvaluation(allow_missing=True))
    assert evaluation.counted == "1 of 3 scored"
    metrics = evaluation.metrics()
    assert metrics["DiceScoreVertebrae"]["mean"] == pytest.approx(1 / 3)
    assert metrics["ASDVertebrae"]["mean"] == np.inf
    assert np.isnan(metrics["ASDVertebrae"]["std"])
    assert set(evaluation.scores()["table"]["OveralASD"]["values"]) == {"2_t1", "2_t2", "10_t2_SPACE"}


def test_negative_labels_are_refused(folders):
    array = spine().astype(np.int16)
    array[0, 0, 0] = -1
    write_volume(folders[0] / "2_t1.mha", Volume(array, GRID))
    with pytest.raises(InputError, match=r"2_t1: .*label -1"):
        score_case("2_t1", *folders, SpiderEvaluation())


@pytest.mark.parametrize("allow_missing", [False, True])
def test_a_bad_reference_is_never_forgiven_and_named(allow_missing, folders):
    write_labels(folders[1] / "2_t1.mha", LabelMap(np.full(GRID.shape, 100, np.uint8), GRID))
    with pytest.raises(InputError, match=r"2_t1: .*2_t1\.mha: the reference has no vertebrae and no discs"):
        score_case("2_t1", *folders, SpiderEvaluation(allow_missing=allow_missing))


def test_series_are_found_by_their_names_in_the_order_of_patients(folders, tmp_path):
    assert find_cases(folders[1]) == ("2_t1", "2_t2", "10_t2_SPACE")
    (folders[1] / "2_T2.mha").write_bytes(b"")
    with pytest.raises(FileReadError, match=r"2_T2\.mha"):
        find_cases(folders[1])
    with pytest.raises(FileReadError, match="no case here"):
        find_cases(tmp_path)


def test_jobs_travel_to_other_processes(folders):
    job = jobs(*folders, SpiderEvaluation())[2]
    assert pickle.loads(pickle.dumps(job.work))() == job.work()
