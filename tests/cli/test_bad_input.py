"""Bad input to register and warp that one row of test_bad_inputs.py cannot say."""

from __future__ import annotations

import os

import nibabel
import numpy as np
import pytest

from voxbench.errors import EmptyShapeError
from voxbench.geometry import Affine, Grid, Volume
from voxbench.io import read_displacement, read_volume, write_volume


def save(path, array, affine=None):
    """A NIfTI file without any of our checks."""
    image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
    image.to_filename(path)


def snapshot(folder):
    """Every file below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def refused(voxbench, calls, pair, tmp_path):
    """Registers, expects a refusal, and returns its message; nothing on disk may have changed."""

    def call(*words, code=1, moving=None, out=None):
        images = [pair.fixed_path, moving or pair.moving_path]
        before = snapshot(tmp_path), sorted(tmp_path.rglob("*"))
        outcome = voxbench("register", *images, "--out", out or tmp_path / "out", *words)
        assert outcome.code == code, outcome.err
        assert (snapshot(tmp_path), sorted(tmp_path.rglob("*"))) == before
        assert outcome.out == ""
        messages = [line for line in outcome.err.splitlines() if line.startswith("voxbench: ")]
        assert len(messages) == 1
        assert calls.settings == []
        return outcome.err

    return call


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_and_counted(refused, tmp_path, bad):
    array = noise(24, 22, 20)
    array[3, 4, 5:8] = bad
    save(tmp_path / "nan.nii.gz", array)
    assert "nan.nii.gz: 3 of 10560 voxels are NaN or infinite" in refused(moving=tmp_path / "nan.nii.gz")


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.98])
def test_a_truncated_file_is_refused(refused, pair, tmp_path, kept):
    whole = pair.moving_path.read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    assert "cut.nii.gz: " in refused(moving=tmp_path / "cut.nii.gz")


def test_an_empty_folder_receives_the_results(voxbench, calls, pair, tmp_path):
    (tmp_path / "out").mkdir()
    assert voxbench("register", *pair.words, "--out", tmp_path / "out").code == 0
    assert {"warped.nii.gz", "registration.json"} < {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("below", ["out", "a/b/out"])
def test_a_place_that_cannot_be_written_is_noticed_before_the_work(refused, tmp_path, below):
    (tmp_path / "file").write_text("mine")
    assert "cannot be written: Not a directory" in refused(out=tmp_path / "file" / below)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_closed_to_us_is_noticed_before_the_work(refused, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "ermission" in refused(out=tmp_path / "closed/out")


def test_an_unknown_choice_is_misuse_and_the_choices_are_named(refused):
    message = refused("--preset", "fsat", code=2)
    assert "'fast'" in message
    assert "'accurate'" in message
    assert "got 'fsat'" in message


def test_an_error_of_the_method_leaves_nothing(voxbench, calls, pair, tmp_path, monkeypatch):
    def lost(*_):
        raise EmptyShapeError("nothing left")

    monkeypatch.setattr("voxbench.tasks.registration.register", lost)
    outcome = voxbench("register", *pair.words, "--out", tmp_path / "out")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("voxbench: nothing left\n")
    assert not (tmp_path / "out").exists()


def test_images_far_apart_that_may_not_be_moved_are_refused(voxbench, pair, tmp_path):
    far = Affine.from_parts(np.eye(3), np.array([500.0, 0, 0])) @ pair.moving.grid.world_from_voxel
    write_volume(tmp_path / "far.nii.gz", Volume(pair.moving.array, Grid(pair.moving.grid.shape, far)))
    words = ["--out", tmp_path / "out", "--initial", "none"]
    outcome = voxbench("register", pair.fixed_path, tmp_path / "far.nii.gz", *words)
    assert outcome.code == 1
    assert "voxbench: the images do not overlap\n" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_while_writing_leaves_nothing(voxbench, calls, pair, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("voxbench.report.registration.overview", full)
    outcome = voxbench("register", *pair.words, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert outcome.err.endswith("voxbench: No space left on device\n")
    assert {path.name for path in tmp_path.iterdir()} == {"fixed.nii.gz", "moving.nii.gz"}


def test_images_in_other_orientations_give_the_same_field(voxbench, calls, pair, tmp_path):
    """The same voxels stored from right to left and with swapped axes: nothing is flipped, nothing is refused."""
    array = np.ascontiguousarray(pair.moving.array.transpose(2, 1, 0)[::-1])
    voxel_from_other = Affine(np.array([[0, 0, 1, 0], [0, 1, 0, 0], [-1.0, 0, 0, 19], [0, 0, 0, 1]]), "voxel", "voxel")
    grid = Grid((20, 22, 24), pair.moving.grid.world_from_voxel @ voxel_from_other)
    assert grid.orientation == "IAR+"
    write_volume(tmp_path / "other.nii.gz", Volume(array, grid))
    for name, path in (("a", pair.moving_path), ("b", tmp_path / "other.nii.gz")):
        assert voxbench("register", pair.fixed_path, path, "--out", tmp_path / name).code == 0
    fields = [read_displacement(tmp_path / n / "displacement.nii.gz", moving=grid).array for n in "ab"]
    images = [read_volume(tmp_path / n / "warped.nii.gz").array for n in "ab"]
    np.testing.assert_allclose(fields[1], fields[0], atol=1e-4)
    np.testing.assert_allclose(images[1], images[0], atol=0.01)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--through", "none.json"], "none.json: cannot be read: no such file or directory"),
        (["--through", "broken.json"], "broken.json: no affine map: the key 'moving_from_fixed' is missing"),
        (["--through", "cut.nii.gz"], "cut.nii.gz: "),
        (["--through", "moving.nii.gz"], "moving.nii.gz: not a displacement field: the shape is 24 x 22 x 20"),
    ],
)
def test_a_map_that_cannot_be_read_is_refused(voxbench, pair, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{}")
    (tmp_path / "cut.nii.gz").write_bytes(pair.moving_path.read_bytes()[:300])
    before = snapshot(tmp_path)
    outcome = voxbench("warp", "moving.nii.gz", "--onto", "fixed.nii.gz", "--out", "w.nii.gz", *words)
    assert outcome.code == 1
    assert outcome.err.startswith(f"voxbench: {message}")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("out", ["file/w.nii.gz", "none/w.nii.gz", "folder", "w.docx"])
def test_a_result_that_cannot_be_written_is_refused(voxbench, pair, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    before = snapshot(tmp_path)
    outcome = voxbench("warp", "moving.nii.gz", "--onto", "fixed.nii.gz", "--out", out, "--through", "a.txt")
    assert outcome.code == 1
    assert outcome.err.startswith(f"voxbench: {out}: ")
    assert snapshot(tmp_path) == before
