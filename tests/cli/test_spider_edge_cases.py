"""The table of edge cases of SPIDER's evaluation, read off metrics.json; label conventions there and back."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.geometry.spine_labels import structure_of
from voxbench.io import read_labels, write_labels, write_volume

GRID = Grid.from_parts((8, 26, 70), (4.0, 0.6, 0.6))
NAN = float("nan")
NAMES = ("DiceScoreVertebrae", "DiceScoreDiscs", "DiceScoreSpinalCanal", "OveralDiceScore", "DetectionRateVertebrae",
         "ASDVertebrae")  # fmt: skip
ANY = object()
"""The phantom's own number, not that of the table."""


def spine() -> np.ndarray:
    """Vertebrae 1 to 5 of 6 x 10 x 11 voxels from below, under each a disc of 17 in 55 of their size, the canal."""
    labels = np.zeros(GRID.shape, np.int16)
    for number in range(1, 6):
        low = 2 + 13 * (number - 1)
        labels[0:6, 7:24, low : low + 2] = 200 + number
        labels[0:6, 8:18, low + 2 : low + 13] = number
    labels[2:6, 1:5, 1:68] = 100
    return labels


def changed(*pairs: tuple[int, int]) -> np.ndarray:
    """The spine with labels replaced."""
    labels, new = spine(), spine()
    for old, label in pairs:
        new[labels == old] = label
    return new


@pytest.fixture
def evaluated(voxbench, tmp_path):
    """Scores a prediction against a reference through the command line: exit code, the table's columns, stderr."""

    def call(prediction: np.ndarray, reference: np.ndarray | None = None, grid: Grid = GRID):
        for name, array, of in (("ref", spine() if reference is None else reference, GRID), ("pred", prediction, grid)):
            (tmp_path / name).mkdir()
            write_volume(tmp_path / name / "1_t2.mha", Volume(array, of))
        folders = ("--predictions", tmp_path / "pred", "--references", tmp_path / "ref")
        done = voxbench("evaluate", "spider", *folders, "--out", tmp_path / "out")
        if done.code:
            assert not (tmp_path / "out").exists()
            return done.code, {}, done.err
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
        return done.code, {name: of["mean"] for name, of in metrics.items()}, done.err

    return call


def split() -> np.ndarray:
    """Half of vertebra 3 under another label."""
    labels = spine()
    part = labels[3:] == 3
    labels[3:][part] = 50
    return labels


def nearly_missed() -> np.ndarray:
    """Seven voxels of vertebra 3."""
    labels = changed((3, 0))
    labels[1, 8:15, 34] = 3
    return labels


def false_instance() -> np.ndarray:
    labels = spine()
    labels[0, :3, :3] = 77
    return labels


SHIFTED = changed(*((n, n + 3) for n in range(1, 6)), *((200 + n, 203 + n) for n in range(1, 6)))
MIXED = changed(*((200 + n, n) for n in range(1, 6)))
# Which | prediction | reference | vertebrae, discs, canal, overall, detection of vertebrae, distance of vertebrae
CASES = {
    "perfect": (spine(), None, (1, 1, 1, 1, 1, 0)),
    "numbers shifted": (SHIFTED, None, (1, 1, 1, 1, 1, 0)),
    "extra false instance": (false_instance(), None, (1, 1, 1, 1, 1, 0)),
    "one vertebra absent": (changed((3, 0)), None, (1, 1, 1, 0.909, 0.8, NAN)),
    "two vertebrae merged": (changed((3, 2)), None, (0.867, 1, 1, 0.939, 1, ANY)),
    "all vertebrae one label": (changed(*((n, 1) for n in range(1, 6))), None, (0.333, 1, 1, 0.697, 1, ANY)),
    "discs with vertebra numbers": (
        changed(*((200 + n, n) for n in range(1, 6))),
        None,
        (0.866, 0.382, 1, 0.658, 1, ANY),
    ),
    "one vertebra split": (split(), None, (0.933, 1, 1, 0.970, 1, ANY)),
    "one vertebra nearly missed": (nearly_missed(), None, (1, 1, 1, 0.911, 0.8, ANY)),
    "canal absent in prediction": (changed((100, 0)), None, (1, 1, 0, 0.909, 1, 0)),
    "canal absent in reference": (spine(), changed((100, 0)), (1, 1, 999, 1, 1, 0)),
    "predicted 105 for 5": (changed((5, 105)), None, (1, 1, 1, 1, 1, 0)),
    "predicted 5 for 105": (spine(), changed((5, 105)), (1, 1, 1, 1, 1, 0)),
    "empty": (0 * spine(), None, (NAN, NAN, 0, 0, 0, NAN)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_row_of_the_table_stands_in_metrics_json(evaluated, case):
    prediction, reference, expected = CASES[case]
    code, metrics, err = evaluated(prediction, reference)
    assert code == 0, err
    for name, value in zip(NAMES, expected, strict=True):
        if value is ANY:
            assert 0 < metrics[name] < np.inf
        elif isnan(value):
            assert isnan(metrics[name])
        else:
            assert metrics[name] == pytest.approx(value, abs=6e-4), name
    canal, overall = metrics["ASDSpinalCanal"], metrics["OveralASD"]
    if case.startswith("canal absent in"):
        assert canal == 999 if case.endswith("reference") else isnan(canal)
    assert isnan(overall) == (case in ("one vertebra absent", "canal absent in prediction", "empty"))


@pytest.mark.parametrize(
    ("prediction", "reference", "grid", "says"),
    [
        (spine().astype(np.float32), None, GRID, "1_t2.mha: voxels of type float32"),
        (spine()[:-1], None, GRID.cropped((0, 0, 0), (7, 26, 70)), "1_t2.mha: not of the reference's size"),
        (spine(), changed(*((n, 0) for n in range(1, 6))), GRID, "no vertebrae"),
        (spine(), changed(*((200 + n, 0) for n in range(1, 6))), GRID, "no discs"),
    ],
    ids=["float", "other shape", "no vertebrae", "no discs"],
)
def test_where_the_organisers_program_breaks_off_there_is_one_message(evaluated, prediction, reference, grid, says):
    code, _, err = evaluated(prediction, reference, grid)
    assert code == 1
    assert says in err


EVERY = (*range(1, 26), 100, *range(101, 126), *range(201, 226))
LPS = Grid.from_parts((4, 5, 6), (4.0, 0.6, 0.7), (3.0, 2.0, 1.0), np.diag([-1.0, -1.0, 1.0]))
PIR = Grid.from_parts((5, 6, 4), (0.6, 0.7, 4.0), (3.0, 2.0, 1.0), np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]))


def test_every_label_means_one_structure_and_that_structure_has_that_label():
    structures = [structure_of(label) for label in EVERY]
    assert len(set(structures)) == len(EVERY) == 76
    assert [structure.label for structure in structures] == list(EVERY)


@pytest.mark.parametrize("grid", [LPS, PIR], ids=["LPS", "PIR"])
@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint8, ".mha"), (np.int16, ".nii.gz"), (np.uint16, ".nrrd")])
def test_every_label_survives_submission_in_both_storage_orders(voxbench, tmp_path: Path, grid, dtype, suffix):
    labels = np.zeros(grid.shape, dtype)
    labels.flat[: len(EVERY)] = EVERY
    for folder in ("images", "found"):
        (tmp_path / folder).mkdir()
    write_volume(tmp_path / "images" / "1_t2.mha", Volume(np.ones(grid.shape, np.float32), grid))
    write_labels(tmp_path / "found" / f"1_t2{suffix}", LabelMap(labels, grid))
    folders = ("--predictions", tmp_path / "found", "--images", tmp_path)
    done = voxbench("submit", "spider", *folders, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    again = read_labels(tmp_path / "out" / "1_t2.mha")
    assert np.array_equal(again.array, labels)
    assert again.grid.same_as(grid)
    assert set(EVERY) == set(again.ids)


@pytest.mark.parametrize(
    ("suffix", "value"), [("-seg.mha", 1), ("-seg.nrrd", 2), ("-seg.nii.gz", 255), (".seg.nrrd", 1)]
)
def test_nodes_above_0_become_0_and_1_in_any_file_and_stay_where_they_are(voxbench, tmp_path: Path, suffix, value):
    mask = np.zeros(LPS.shape, np.uint8)
    mask[1:3, 1:4, 2:5] = value
    for folder in ("images", "found"):
        (tmp_path / folder).mkdir()
    write_volume(tmp_path / "images" / "lnq2023-test-0002-ct.nrrd", Volume(np.zeros(LPS.shape, np.int16), LPS))
    write_labels(tmp_path / "found" / f"lnq2023-test-0002{suffix}", LabelMap(mask, LPS))
    folders = ("--predictions", tmp_path / "found", "--images", tmp_path / "images")
    done = voxbench("submit", "lnq2023", *folders, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    again = read_labels(tmp_path / "out" / "lnq2023-test-0002-seg.mha")
    assert np.array_equal(again.array, mask > 0)
    assert again.grid.same_as(LPS)
