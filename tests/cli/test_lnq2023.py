"""`voxbench evaluate lnq2023`: files, table, JSON; bad input gives one message and the right exit code."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels

CASE = "lnq2023-test-0002"


@pytest.fixture
def words(tmp_path):
    """Two folders with one case, a cube and the same cube less a layer, as they stand on the command line."""
    grid = Grid.from_parts((9, 9, 9), (1.0, 1.0, 3.0))
    for name, suffix, stop in (("references", "nrrd", 7), ("predictions", "mha", 6)):
        mask = np.zeros(grid.shape, np.uint8)
        mask[2:7, 2:7, 2:stop] = 1
        (tmp_path / name).mkdir()
        write_labels(tmp_path / name / f"{CASE}-seg.{suffix}", LabelMap(mask, grid))
    return ["evaluate", "lnq2023", "--predictions", tmp_path / "predictions", "--references", tmp_path / "references"]


def test_a_run_leaves_its_files_a_table_and_a_line_per_case(voxbench, words, tmp_path):
    done = voxbench(*words, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cases",
        "metrics.json",
        "report.html",
        "scores.json",
    ]
    assert json.loads(done.out) == json.loads((tmp_path / "out" / "scores.json").read_text())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["case"]["0002"]["DiceCoefficient"] == 8 / 9
    assert f"{CASE}  Dice 0.8889" in done.err
    assert "LNQ 2023: 1 of 1 scored" in done.err
    again = voxbench(*words, "--out", tmp_path / "out")
    assert (again.code, again.out) == (0, "")
    assert "(kept)" in again.err


def test_missing_predictions_are_counted_if_allowed(voxbench, words, tmp_path):
    (tmp_path / "predictions" / f"{CASE}-seg.mha").unlink()
    refused = voxbench(*words, "--out", tmp_path / "out")
    assert refused.code == 1
    assert f"{CASE}-seg.mha" in refused.err
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


def test_a_prediction_on_another_grid_is_named_and_nothing_is_left(voxbench, words, tmp_path):
    path = tmp_path / "predictions" / f"{CASE}-seg.mha"
    write_labels(path, LabelMap(np.ones((9, 9, 9), np.uint8), Grid.from_parts((9, 9, 9))))
    done = voxbench(*words, "--out", tmp_path / "out")
    assert done.code == 1
    assert f"{CASE}-seg.mha: not on the reference's grid" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "said"), [((255,), "the value 255;"), ((2, 3, 4, 5), "the values 2, 3, 4 and 1 more;")]
)
def test_other_values_than_0_and_1_are_scored_officially_but_said(voxbench, words, tmp_path, values, said):
    grid = Grid.from_parts((9, 9, 9), (1.0, 1.0, 3.0))
    mask = np.zeros(grid.shape, np.uint8)
    mask[2:7, 2:7, 2:7] = np.resize(values, 5)
    write_labels(tmp_path / "predictions" / f"{CASE}-seg.mha", LabelMap(mask, grid))
    done = voxbench(*words, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["case"]["0002"]["DiceCoefficient"] == 0
    (case,) = json.loads(done.out)["cases"].values()
    assert case["note"].startswith(f"the prediction has {said}")
    assert said in done.err


def test_runs_can_be_ranked(voxbench, words, tmp_path):
    for out in ("one", "two"):
        assert voxbench(*words, "--out", tmp_path / out).code == 0
    ranked = voxbench("rank", tmp_path / "one", tmp_path / "two", "--metric", "DiceCoefficient")
    assert ranked.code == 0, ranked.err
