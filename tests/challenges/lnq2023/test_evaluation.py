"""LNQ 2023's evaluation: files in, the official layout out, and what happens to bad predictions."""

from __future__ import annotations

import json
import pickle

import nibabel
import numpy as np
import pytest

from voxbench.challenges.lnq2023.evaluation import Lnq2023Evaluation, evaluate, jobs, line, score_case
from voxbench.challenges.tables import read_run
from voxbench.errors import FileReadError, GridMismatchError, InputError, JobError
from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels

GRID = Grid.from_parts((12, 11, 10), (0.8, 0.8, 3.0), (-100.123, 31.7, 5.5))
CASES = ("lnq2023-test-0002", "lnq2023-test-0011")


def cube(start: int) -> np.ndarray:
    mask = np.zeros(GRID.shape, np.uint8)
    mask[start : start + 4, 3:7, 3:7] = 1
    return mask


@pytest.fixture
def folders(tmp_path):
    """Predictions and references of two cases; the first is right, the second one voxel off."""
    for name, shift in (("predictions", 1), ("references", 0)):
        (tmp_path / name).mkdir()
        suffix = "nrrd" if name == "references" else "mha"
        for number, case in enumerate(CASES):
            labels = LabelMap(cube(3 + shift * number), GRID)
            write_labels(tmp_path / name / f"{case}-seg.{suffix}", labels)
    return tmp_path / "predictions", tmp_path / "references"


def test_metrics_json_has_the_official_layout(folders, tmp_path):
    evaluation = evaluate(*folders)
    evaluation.write(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics) == ["case", "aggregates"]
    assert list(metrics["case"]) == ["0002", "0011"]
    assert metrics["case"]["0002"] == {"DiceCoefficient": 1.0, "AverageSymmetricSurfaceDistance": 0.0}
    dice = 2 * 48 / 128
    assert metrics["case"]["0011"]["DiceCoefficient"] == dice
    assert metrics["aggregates"]["DiceCoefficient"] == (1 + dice) / 2
    half = metrics["case"]["0011"]["AverageSymmetricSurfaceDistance"] / 2
    assert metrics["aggregates"]["AverageSymmetricSurfaceDistance"] == half > 0
    assert evaluation.counted == "2 of 2 scored"
    run = read_run(tmp_path)
    assert run.challenge == "lnq2023"
    assert run.values["DiceCoefficient"] == {CASES[0]: 1.0, CASES[1]: dice}
    assert run.metrics["hd95"].better == "lower"
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores["cases"][CASES[0]]["inputs"]) == {"reference", "prediction"}
    assert scores["cases"][CASES[0]]["nodes"][0]["volume_mm3"] == pytest.approx(64 * 0.8 * 0.8 * 3)


def test_cases_whose_official_ids_are_the_same_keep_their_names(folders):
    for folder, suffix in zip(folders, ("mha", "nrrd"), strict=True):
        for case, name in zip(CASES, ("a-b-0001", "c-d-0001"), strict=True):
            (folder / f"{case}-seg.{suffix}").rename(folder / f"{name}-seg.{suffix}")
    assert list(evaluate(*folders).metrics()["case"]) == ["a-b-0001", "c-d-0001"]


def test_an_empty_prediction_makes_the_aggregate_distance_nan(folders):
    write_labels(folders[0] / f"{CASES[0]}-seg.mha", LabelMap(np.zeros(GRID.shape, np.uint8), GRID))
    evaluation = evaluate(*folders)
    assert np.isnan(evaluation.metrics()["aggregates"]["AverageSymmetricSurfaceDistance"])
    assert evaluation.summary()["AverageSymmetricSurfaceDistance"]["defined"] == 1
    assert evaluation.counted == "2 of 2 scored"


@pytest.mark.parametrize("suffix", ["nrrd", "nii.gz"])
def test_predictions_may_be_nrrd_or_nifti(suffix, folders):
    (folders[0] / f"{CASES[1]}-seg.mha").unlink()
    write_labels(folders[0] / f"{CASES[1]}-seg.{suffix}", LabelMap(cube(4), GRID))
    assert evaluate(*folders).metrics()["case"]["0011"]["DiceCoefficient"] == 0.75


def test_a_nifti_file_written_in_single_precision_lies_on_the_grid(folders):
    (folders[0] / f"{CASES[1]}-seg.mha").unlink()
    affine = GRID.world_from_voxel.matrix
    nibabel.save(nibabel.Nifti1Image(cube(4), affine), folders[0] / f"{CASES[1]}-seg.nii.gz")
    assert score_case(CASES[1], *folders, Lnq2023Evaluation())["official"]["DiceCoefficient"] == 0.75


@pytest.mark.parametrize(
    "grid",
    [
        Grid.from_parts(GRID.shape, GRID.spacing, np.add(GRID.origin, (0, 0, 1e-5))),
        Grid.from_parts(GRID.shape, np.add(GRID.spacing, (1e-5, 0, 0)), GRID.origin),
        Grid.from_parts(GRID.shape, GRID.spacing, GRID.origin, np.diag([1.0, -1.0, 1.0])),
        Grid.from_parts((12, 11, 9), GRID.spacing, GRID.origin),
    ],
    ids=["origin", "spacing", "axes", "size"],
)
def test_a_prediction_on_another_grid_is_refused_as_simpleitk_does(grid, folders):
    shape = grid.shape
    write_labels(folders[0] / f"{CASES[1]}-seg.mha", LabelMap(cube(3)[: shape[0], : shape[1], : shape[2]], grid))
    with pytest.raises(GridMismatchError, match=rf"{CASES[1]}: .*mha: not on the reference's grid"):
        score_case(CASES[1], *folders, Lnq2023Evaluation())
    with pytest.raises(JobError, match=CASES[1]):
        evaluate(*folders)
    record = score_case(CASES[1], *folders, Lnq2023Evaluation(allow_missing=True))
    assert record["official"]["DiceCoefficient"] == 0
    assert np.isnan(record["official"]["AverageSymmetricSurfaceDistance"])


def test_two_predictions_of_one_case_are_refused(folders):
    write_labels(folders[0] / f"{CASES[1]}-seg.nrrd", LabelMap(cube(4), GRID))
    with pytest.raises(FileReadError, match=f"(?s){CASES[1]}: 2 predictions.*mha.*nrrd"):
        evaluate(*folders)


def test_missing_predictions_are_all_named_or_counted(folders):
    for case in CASES:
        (folders[0] / f"{case}-seg.mha").unlink()
    with pytest.raises(FileReadError, match=f"(?s)2 of 2 predictions are missing.*{CASES[0]}.*{CASES[1]}"):
        jobs(*folders, Lnq2023Evaluation())
    evaluation = evaluate(*folders, Lnq2023Evaluation(allow_missing=True))
    assert evaluation.counted == "0 of 2 scored"
    assert evaluation.metrics()["aggregates"]["DiceCoefficient"] == 0
    assert evaluation.summary()["assd_pooled"]["mean"] == np.inf
    assert evaluation.scores()["table"]["DiceCoefficient"]["values"] == dict.fromkeys(CASES, 0.0)
    assert "worst values" in line(evaluation.outcomes[0].record)


def test_a_damaged_prediction_is_named_with_its_case(folders):
    path = folders[0] / f"{CASES[0]}-seg.mha"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=rf"{CASES[0]}: .*{CASES[0]}-seg\.mha"):
        score_case(CASES[0], *folders, Lnq2023Evaluation())


def test_a_damaged_reference_is_never_forgiven(folders):
    (folders[1] / f"{CASES[0]}-seg.nrrd").write_bytes(b"NRRD0004\n")
    with pytest.raises(InputError, match=CASES[0]):
        score_case(CASES[0], *folders, Lnq2023Evaluation(allow_missing=True))


def test_a_folder_without_references_is_refused(tmp_path):
    with pytest.raises(FileReadError, match="no case here"):
        jobs(tmp_path, tmp_path, Lnq2023Evaluation())


def test_jobs_travel_to_other_processes(folders):
    job = jobs(*folders, Lnq2023Evaluation())[1]
    record = pickle.loads(pickle.dumps(job.work))()
    assert repr(record) == repr(job.work())
    assert line(record).startswith(f"{CASES[1]}  Dice 0.7500  ASSD 0.")
