"""`voxbench info` and `voxbench field`: tables on stderr, JSON on stdout, errors as ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxbench.cli import field, info
from voxbench.errors import ConventionError, FileReadError, FileWriteError, GridMismatchError, JobError, UsageError
from voxbench.geometry import DisplacementField, Grid, LabelMap, Mesh, Volume
from voxbench.io import read_displacement, write_displacement, write_labels, write_mesh, write_volume

GRID = Grid.from_parts((6, 5, 4), (1.0, 1.5, 2.0))
OTHER = Grid.from_parts((7, 5, 4), (1.0, 1.5, 2.0), (1.0, 0.0, 0.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image, a label map, a field."""
    rng = np.random.default_rng(0)
    write_volume(tmp_path / "image.nii.gz", Volume(rng.normal(size=GRID.shape).astype(np.float32), GRID))
    write_volume(tmp_path / "moving.nii.gz", Volume(rng.normal(size=OTHER.shape).astype(np.float32), OTHER))
    write_labels(
        tmp_path / "labels.seg.nrrd", LabelMap(np.eye(6, 5, dtype=int)[..., None] * np.ones(4, int), GRID, {1: "[x]"})
    )
    vectors = rng.normal(0, 0.2, (*GRID.shape, 3)).astype(np.float32)
    write_displacement(tmp_path / "u.nii.gz", DisplacementField(vectors, GRID))
    return tmp_path


def run(app: object, *words: object) -> None:
    """As the command line would, with errors raised."""
    app.app([str(word) for word in words], result_action="return_value", exit_on_error=False)


def test_info_shows_tables_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(info, folder / "image.nii.gz", folder / "labels.seg.nrrd")
    out, err = capsys.readouterr()
    assert out == ""
    for part in (
        "image (NIfTI-1)",
        "6 x 5 x 4",
        "1 x 1.5 x 2 mm",
        "RAS+",
        "float32",
        "label map",
        "20 voxels, 0.06 ml  [x]",
    ):
        assert part in err


def test_info_prints_json_on_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(info, folder / "image.nii.gz", folder / "u.nii.gz", "--json")
    out, err = capsys.readouterr()
    image, displacement = json.loads(out)
    assert err == ""
    assert image["kind"] == "image"
    assert image["shape"] == [6, 5, 4]
    assert (displacement["convention"], displacement["assumed"]) == ("voxel", False)


def test_info_raises_for_one_bad_file_and_goes_on_among_several(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FileReadError, match=r"none.nii"):
        run(info, folder / "none.nii")
    with pytest.raises(JobError, match=r"1 of 2 files could not be read\n  .*none.nii"):
        run(info, folder / "none.nii", folder / "image.nii.gz")
    assert "image.nii.gz" in capsys.readouterr().err
    with pytest.raises(UsageError, match="at least one file"):
        run(info)


def test_info_of_a_label_map_gives_voxels_and_ml_of_every_label(voxbench, tmp_path: Path) -> None:
    array = np.zeros((6, 5, 4), np.uint8)
    array[:2], array[3, :3] = 7, 200
    grid = Grid.from_parts((6, 5, 4), (1.0, 1.5, 2.0))
    write_labels(tmp_path / "labels.mha", LabelMap(array, grid))
    outcome = voxbench("info", tmp_path / "labels.mha", "--json")
    (about,) = json.loads(outcome.out)
    assert about["labels"] == [7, 200]
    assert about["voxels"] == [40, 12]
    np.testing.assert_allclose(about["volumes_ml"], [0.12, 0.036], rtol=1e-6)


def test_info_of_a_mesh_tells_faces_area_volume_and_holes(voxbench, tmp_path: Path) -> None:
    corners = 10 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    for name, count in (("closed.obj", 4), ("open.stl", 3), ("open.ply", 3)):
        write_mesh(tmp_path / name, Mesh(corners, faces[:count]))
    outcome = voxbench("info", *(tmp_path / name for name in ("closed.obj", "open.stl", "open.ply")), "--json")
    closed, *holed = json.loads(outcome.out)
    assert (closed["kind"], closed["vertices"], closed["faces"], closed["closed"]) == ("mesh", 4, 4, True)
    assert closed["size_mm"] == [10, 10, 10]
    np.testing.assert_allclose(closed["volume_ml"], 1 / 6, rtol=1e-12)
    np.testing.assert_allclose(closed["area_mm2"], 150 + 50 * np.sqrt(3), rtol=1e-12)
    for mesh in holed:
        assert (mesh["closed"], mesh["open_edges"]) == (False, 3)
        assert np.isnan(mesh["volume_ml"])
    shown = voxbench("info", tmp_path / "closed.obj", tmp_path / "open.stl")
    assert shown.code == 0
    for part in ("0.166667 ml", "closed      yes", "no, open at 3 edges", "none: the surface is open"):
        assert part in shown.err


def test_field_info_says_how_far_and_whether_it_folds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(field, "info", folder / "u.nii.gz", "--fixed", folder / "image.nii.gz")
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("voxel, told by: written by voxbench", "6 x 5 x 4", "mm", "folded", "smallest"):
        assert part in err
    run(field, "info", folder / "u.nii.gz", "--json")
    described = json.loads(capsys.readouterr().out)
    expected = read_displacement(folder / "u.nii.gz").magnitude
    assert described["largest_mm"] == pytest.approx(float(expected.max()), rel=1e-5)
    with pytest.raises(GridMismatchError, match="7 x 5 x 4"):
        run(field, "info", folder / "u.nii.gz", "--fixed", folder / "moving.nii.gz")
    with pytest.raises(ConventionError, match="not a displacement field"):
        run(field, "info", folder / "image.nii.gz")


@pytest.mark.parametrize("convention", ["voxel", "voxel-first", "mm-ras", "itk", "ants", "torch"])
def test_field_convert_changes_the_file_and_not_the_field(folder: Path, convention: str) -> None:
    run(
        field,
        "convert",
        folder / "u.nii.gz",
        folder / "v.nii.gz",
        "--to",
        convention,
        "--moving",
        folder / "moving.nii.gz",
    )
    original = read_displacement(folder / "u.nii.gz")
    back = read_displacement(folder / "v.nii.gz", fixed=GRID, moving=OTHER)
    assert np.allclose(back.array, original.array, atol=1e-5)


def test_field_convert_takes_the_convention_it_is_told(folder: Path) -> None:
    run(field, "convert", folder / "u.nii.gz", folder / "v.mha", "--to", "itk", "--from", "voxel")
    assert np.allclose(
        read_displacement(folder / "v.mha").array, read_displacement(folder / "u.nii.gz").array, atol=1e-6
    )
    with pytest.raises(ConventionError, match="wrote it as 'voxel'"):
        run(field, "convert", folder / "u.nii.gz", folder / "w.nii.gz", "--to", "itk", "--from", "mm-ras")


def test_nothing_is_overwritten_without_force(folder: Path) -> None:
    before = (folder / "image.nii.gz").read_bytes()
    with pytest.raises(FileWriteError, match="--force"):
        run(field, "convert", folder / "u.nii.gz", folder / "image.nii.gz", "--to", "itk")
    assert (folder / "image.nii.gz").read_bytes() == before
    run(field, "convert", folder / "u.nii.gz", folder / "image.nii.gz", "--to", "itk", "--force")
    assert read_displacement(folder / "image.nii.gz", fixed=GRID).grid.same_as(GRID)
