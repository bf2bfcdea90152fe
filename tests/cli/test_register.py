"""`voxbench register` writes everything it promises, and only that."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxbench import _core
from voxbench.geometry import LabelMap, resample
from voxbench.io import read_displacement, read_labels, read_volume, sha256, write_labels, write_volume
from voxbench.io.affines import read_affine

FILES = {
    "affine.json",
    "displacement.nii.gz",
    "inverse_displacement.nii.gz",
    "overview.png",
    "registration.json",
    "warped.nii.gz",
}


def names(folder):
    """Every name in a folder, hidden ones too."""
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def labels(pair, tmp_path):
    """A label map of the moving image, in a file."""
    path = tmp_path / "labels.nii.gz"
    array = (pair.moving.array > 300).astype(np.uint8) + 4 * (pair.moving.array > 700).astype(np.uint8)
    write_labels(path, LabelMap(array, pair.moving.grid))
    return path


def test_the_folder_holds_every_promised_file_and_nothing_else(voxbench, calls, pair, tmp_path):
    outcome = voxbench("register", *pair.words, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert names(tmp_path / "out") == FILES
    assert names(tmp_path) == {"fixed.nii.gz", "moving.nii.gz", "out"}
    assert outcome.out == ""


def test_the_warped_image_is_the_moving_one_through_the_written_field(voxbench, calls, pair, tmp_path):
    voxbench("register", *pair.words, "--out", tmp_path / "out")
    field = read_displacement(tmp_path / "out/displacement.nii.gz")
    warped = read_volume(tmp_path / "out/warped.nii.gz")
    np.testing.assert_array_equal(warped.array, resample(pair.moving, pair.fixed.grid, field).array)
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(warped.array[inner], pair.fixed.array[inner], atol=0.01)
    np.testing.assert_allclose(field.array, np.broadcast_to(pair.shift, field.array.shape), atol=1e-5)


def test_the_inverse_lies_on_the_moving_grid_and_leads_back(voxbench, calls, pair, tmp_path, make_blob):
    other = make_blob((16, 30, 22), pair.shift)
    write_volume(pair.moving_path, other)
    assert voxbench("register", *pair.words, "--out", tmp_path / "out").code == 0
    inverse = read_displacement(tmp_path / "out/inverse_displacement.nii.gz", moving=pair.fixed.grid)
    assert inverse.grid.same_as(other.grid)
    np.testing.assert_allclose(inverse.array, np.broadcast_to(-np.array(pair.shift), inverse.array.shape), atol=1e-4)


def test_the_affine_is_written_from_fixed_to_moving_in_the_world(voxbench, calls, pair, tmp_path):
    voxbench("register", *pair.words, "--out", tmp_path / "out")
    matrix = read_affine(tmp_path / "out/affine.json").matrix
    np.testing.assert_array_equal(matrix[:3, 3], pair.shift)
    np.testing.assert_array_equal(matrix[:3, :3], np.eye(3))


def test_labels_are_carried_along_at_the_nearest_voxel(voxbench, calls, pair, tmp_path, labels):
    voxbench("register", *pair.words, "--out", tmp_path / "out", "--labels", labels)
    assert names(tmp_path / "out") == FILES | {"warped_labels.nii.gz"}
    warped = read_labels(tmp_path / "out/warped_labels.nii.gz")
    expected = (pair.fixed.array > 300).astype(int) + 4 * (pair.fixed.array > 700)
    inner = (slice(3, -3),) * 3
    np.testing.assert_array_equal(warped.array[inner], expected[inner])
    assert calls.extras[0].moving_labels is None


def test_the_record_says_what_was_done_to_what_by_which_program(voxbench, calls, pair, tmp_path):
    outcome = voxbench("register", *pair.words, "--out", tmp_path / "out", "--seed", 7, "--preset", "fast")
    assert outcome.code == 0
    record = json.loads((tmp_path / "out/registration.json").read_text())
    assert record["settings"]["seed"] == 7
    assert record["settings"]["preset"] == "fast"
    assert record["inputs"] == {
        "fixed": {"path": pair.words[0], "sha256": sha256(pair.fixed_path)},
        "moving": {"path": pair.words[1], "sha256": sha256(pair.moving_path)},
    }
    assert record["packages"]["numpy"] == np.__version__
    assert record["displacement"]["ndv_percent"] == 0
    assert record["displacement"]["folded_voxels"] == 0
    assert record["displacement"]["largest_mm"] == pytest.approx(np.linalg.norm(pair.shift), abs=1e-4)
    assert record["global_ncc"]["after"] > 0.9999 > 0.9 > record["global_ncc"]["before"]
    assert [level["after"] for level in record["levels"]] == [0.9, 0.95]
    assert record["cost"]["threads"] == _core.threads()
    assert 0 < record["cost"]["cpu_seconds"] + record["cost"]["wall_seconds"] < 60
    assert 0.01 < record["cost"]["peak_memory_gib"] < 100


def test_the_overview_is_a_picture_of_the_pair(voxbench, calls, pair, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("voxbench.report.registration.overview", lambda *given: drawn.append(given))
    voxbench("register", *pair.words, "--out", tmp_path / "out")
    [(path, fixed, before, warped, field, title)] = drawn
    assert path.name == "overview.png"
    np.testing.assert_array_equal(fixed.array, pair.fixed.array)
    np.testing.assert_array_equal(before.array, resample(pair.moving, pair.fixed.grid).array)
    np.testing.assert_array_equal(warped.array, resample(pair.moving, pair.fixed.grid, field).array)
    assert title == "moving.nii.gz registered to fixed.nii.gz"


def test_json_prints_the_record_and_nothing_else_on_stdout(voxbench, calls, pair, tmp_path):
    outcome = voxbench("register", *pair.words, "--out", tmp_path / "out", "--json")
    assert outcome.out == (tmp_path / "out/registration.json").read_text()


def test_progress_is_a_plain_line_a_level_on_stderr(voxbench, calls, pair, tmp_path):
    err = voxbench("register", *pair.words, "--out", tmp_path / "out").err
    assert "\x1b" not in err
    assert [line for line in err.splitlines() if line.startswith("level")] == [
        "level 4   similarity 0.9000",
        "level 2   similarity 0.9500",
    ]


@pytest.mark.parametrize("convention", ["voxel", "voxel-first", "mm-ras", "itk", "torch"])
def test_fields_are_written_in_the_convention_asked_for(voxbench, calls, pair, tmp_path, convention):
    assert voxbench("register", *pair.words, "--out", tmp_path / "out", "--convention", convention).code == 0
    field = read_displacement(tmp_path / "out/displacement.nii.gz", convention=convention)
    np.testing.assert_allclose(field.array, np.broadcast_to(pair.shift, field.array.shape), atol=1e-5)


def test_masks_landmarks_and_label_pairs_reach_the_method(voxbench, calls, pair, tmp_path, labels):
    (tmp_path / "a.csv").write_text("x,y,z\n1,2,3\n4,5,6\n")
    (tmp_path / "b.csv").write_text("3,1,3\n6,4,6\n")
    outcome = voxbench(
        *("register", *pair.words, "--out", tmp_path / "out", "--labels", labels, "--fixed-labels", labels),
        *("--fixed-mask", labels, "--moving-mask", labels, "--landmarks", tmp_path / "a.csv", tmp_path / "b.csv"),
    )
    assert outcome.code == 0, outcome.err
    extras = calls.extras[0]
    stored = read_labels(labels)
    np.testing.assert_array_equal(extras.fixed_mask, stored.array > 0)
    np.testing.assert_array_equal(extras.moving_mask, stored.array > 0)
    np.testing.assert_array_equal(extras.moving_labels.array, stored.array)
    np.testing.assert_array_equal(extras.fixed_labels.array, stored.array)
    np.testing.assert_array_equal(extras.moving_landmarks - extras.fixed_landmarks, [[2, -1, 0]] * 2)
    inputs = json.loads((tmp_path / "out/registration.json").read_text())["inputs"]
    assert set(inputs) == {
        *("fixed", "moving", "moving_labels", "fixed_labels", "fixed_mask", "moving_mask"),
        *("fixed_landmarks", "moving_landmarks"),
    }


def test_settings_of_a_file_reach_the_method_below_the_line(voxbench, calls, pair, tmp_path):
    (tmp_path / "s.toml").write_text('preset = "fast"\nseed = 3\n')
    voxbench("register", *pair.words, "--out", tmp_path / "out", "--config", tmp_path / "s.toml", "--seed", 5)
    assert (calls.settings[0].preset, calls.settings[0].seed) == ("fast", 5)


def test_force_replaces_an_earlier_run_and_leaves_other_files(voxbench, calls, pair, tmp_path, labels):
    words = ["register", *pair.words, "--out", tmp_path / "out"]
    voxbench(*words, "--labels", labels)
    (tmp_path / "out/notes.txt").write_text("mine")
    (tmp_path / "out/warped.nii.gz").write_text("old")
    assert voxbench(*words, "--force").code == 0
    assert names(tmp_path / "out") == FILES | {"notes.txt"}
    assert read_volume(tmp_path / "out/warped.nii.gz").grid.same_as(pair.fixed.grid)


def test_a_failed_second_run_leaves_the_first_one_s_files(voxbench, calls, pair, tmp_path):
    words = ["register", *pair.words, "--out", tmp_path / "out"]
    voxbench(*words)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    pair.moving_path.write_bytes(pair.moving_path.read_bytes()[:200])
    assert voxbench(*words, "--force").code == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_an_interrupted_run_leaves_nothing(voxbench, calls, pair, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("voxbench.tasks.registration.register", interrupted)
    assert voxbench("register", *pair.words, "--out", tmp_path / "new/out").code == 130
    assert names(tmp_path) == {"fixed.nii.gz", "moving.nii.gz"}


def test_the_real_method_finds_the_shift_and_draws_it(voxbench, pair, tmp_path):
    outcome = voxbench("register", *pair.words, "--out", tmp_path / "out", "--preset", "fast", "--threads", 2)
    assert outcome.code == 0, outcome.err
    record = json.loads((tmp_path / "out/registration.json").read_text())
    assert record["settings"]["preset"] == "fast"
    assert record["displacement"]["folded_voxels"] == 0
    assert record["global_ncc"]["after"] > 0.99
    field = read_displacement(tmp_path / "out/displacement.nii.gz").array
    inside = pair.fixed.array > 200
    assert np.abs(field[inside] - pair.shift).mean() < 0.3
    assert (tmp_path / "out/overview.png").read_bytes().startswith(b"\x89PNG")
