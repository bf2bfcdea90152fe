"""`voxbench evaluate spider`: files, table, JSON; bad input gives one message and the right exit code."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import write_labels, write_volume

GRID = Grid.from_parts((6, 9, 14), (4.0, 0.6, 0.6))


def spine() -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:5, 4:8, 1:4], labels[1:5, 4:8, 4:9], labels[1:5, 4:8, 9:13] = 201, 1, 2
    labels[2:4, 1:3, 1:13] = 100
    return labels


@pytest.fixture
def words(tmp_path):
    """Two folders with one series, the prediction without a vertebra, as they stand on the command line."""
    for name, lost in (("references", 255), ("predictions", 2)):
        (tmp_path / name).mkdir()
        labels = np.where(spine() == lost, 0, spine()).astype(np.uint8)
        write_labels(tmp_path / name / "7_t2.mha", LabelMap(labels, GRID))
    return ["evaluate", "spider", "--predictions", tmp_path / "predictions", "--references", tmp_path / "references"]


def test_a_run_leaves_its_files_a_table_and_a_line_per_case(voxbench, words, tmp_path):
    done = voxbench(*words, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cases",
        "metrics.json",
        "report.html",
        "scores.json",
    ]
    # NaN is not equal to itself, so as text.
    assert done.out.strip() == (tmp_path / "out" / "scores.json").read_text().strip()
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert len(metrics) == 10
    assert metrics["OveralDiceScore"]["mean"] == 0.75
    assert metrics["DetectionRateVertebrae"]["mean"] == 0.5
    assert "7_t2  Dice: vertebrae 1.0000" in done.err
    assert "missed: 2" in done.err
    assert "SPIDER: 1 of 1 scored" in done.err
    assert "(kept)" in voxbench(*words, "--out", tmp_path / "out").err


def test_missing_predictions_are_counted_if_allowed(voxbench, words, tmp_path):
    (tmp_path / "predictions" / "7_t2.mha").unlink()
    refused = voxbench(*words, "--out", tmp_path / "out")
    assert refused.code == 1
    assert "7_t2.mha" in refused.err
    assert not (tmp_path / "out").exists()
    allowed = voxbench(*words, "--out", tmp_path / "out", "--allow-missing")
    assert allowed.code == 0
    assert "0 of 1 scored" in allowed.err


@pytest.mark.parametrize(
    ("option", "says"),
    [("--references", "nowhere: no such folder"), ("--predictions", "nowhere: no such folder")],
)
def test_bad_input_gives_one_message_and_leaves_nothing(option, says, voxbench, words, tmp_path):
    words[words.index(option) + 1] = tmp_path / "nowhere"
    done = voxbench(*words, "--out", tmp_path / "out")
    assert done.code == 1
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_a_prediction_of_floating_point_is_named_and_nothing_is_left(voxbench, words, tmp_path):
    write_volume(tmp_path / "predictions" / "7_t2.mha", Volume(spine().astype(np.float32), GRID))
    done = voxbench(*words, "--out", tmp_path / "out")
    assert done.code == 1
    assert "7_t2.mha: voxels of type float32" in done.err
    assert not (tmp_path / "out").exists()
