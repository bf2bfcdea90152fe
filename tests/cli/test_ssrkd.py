"""`voxbench evaluate ssrkd`: files, table, JSON; bad input gives one message and the right exit code."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxbench.geometry import Mesh
from voxbench.io import write_mesh

FACES = np.array([(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)])
QUICK = ("--points", 50, "--spacing", 1, "--step", 3)


@pytest.fixture
def words(tmp_path):
    """Two folders with one case of four octahedra, 8 and 9 mm across, as they stand on the command line."""
    for name, radius in (("references", 8), ("predictions", 9)):
        folder = tmp_path / name / "knee"
        folder.mkdir(parents=True)
        for number in range(4):
            write_mesh(folder / f"sub_{number}.obj", Mesh(radius * np.vstack([np.eye(3), -np.eye(3)]), FACES))
    return ["evaluate", "ssrkd", "--predictions", tmp_path / "predictions", "--references", tmp_path / "references"]


def test_a_run_leaves_its_files_a_table_and_a_line_per_case(voxbench, words, tmp_path):
    done = voxbench(*words, "--out", tmp_path / "out", "--json", *QUICK)
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bones.csv",
        "cases",
        "report.html",
        "results.csv",
        "scores.json",
    ]
    scores = json.loads(done.out)
    assert scores == json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["settings"]["points"] == 50
    hashes = scores["cases"]["knee"]["inputs"]
    assert len(hashes) == 8
    assert len(set(hashes.values())) == 2
    assert "knee  DSC" in done.err
    assert "SSR-KD: 1 of 1 scored" in done.err
    assert "fibula" in done.err


def test_missing_predictions_are_counted_if_allowed(voxbench, words, tmp_path):
    (tmp_path / "predictions" / "knee" / "sub_2.obj").unlink()
    refused = voxbench(*words, "--out", tmp_path / "out", *QUICK)
    assert refused.code == 1
    assert "knee/sub_2.obj" in refused.err
    assert not (tmp_path / "out").exists()
    allowed = voxbench(*words, "--out", tmp_path / "out", "--allow-missing", *QUICK)
    assert allowed.code == 0
    assert "0 of 1 scored" in allowed.err


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (("--points", 0), 2, "--points"),
        (("--spacing", 0), 2, "--spacing"),
        (("--spacing", "inf"), 2, "--spacing"),
        (("--step", "nan"), 2, "--step"),
        (("--step", -1), 2, "--step"),
        (("--seed", -1), 2, "--seed"),
        (("--references", "nowhere"), 1, "nowhere: no such folder"),
        (("--predictions", "nowhere"), 1, "nowhere: no such folder"),
    ],
)
def test_bad_input_gives_one_message_and_leaves_nothing(more, code, says, voxbench, words, tmp_path):
    replaced = list(words)
    if more[0] in words:
        replaced[words.index(more[0]) + 1], more = more[1], ()
    done = voxbench(*replaced, "--out", tmp_path / "out", *more)
    assert done.code == code
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_a_damaged_mesh_is_named_and_nothing_is_left(voxbench, words, tmp_path):
    (tmp_path / "predictions" / "knee" / "sub_1.obj").write_text("v 1 2 3\nf 1 2")
    done = voxbench(*words, "--out", tmp_path / "out", *QUICK)
    assert done.code == 1
    assert "knee, femur" in done.err
    assert "sub_1.obj" in done.err
    assert not (tmp_path / "out").exists()


def test_a_second_start_keeps_what_is_unchanged_and_other_folders_need_force(voxbench, words, tmp_path):
    assert voxbench(*words, "--out", tmp_path / "out", *QUICK).code == 0
    again = voxbench(*words, "--out", tmp_path / "out", *QUICK)
    assert again.code == 0
    assert "(kept)" in again.err
    afresh = voxbench(*words, "--out", tmp_path / "out", "--force", *QUICK)
    assert "(kept)" not in afresh.err
    other = voxbench(*words, "--out", tmp_path / "out", *QUICK, "--seed", 1)
    assert "(kept)" not in other.err
    refused = voxbench(*words, "--out", tmp_path / "references", *QUICK)
    assert refused.code == 1
    assert "--force" in refused.err
