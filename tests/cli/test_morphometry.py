from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from voxbench.cli import main
from voxbench.geometry import Grid, Volume
from voxbench.io import read_volume, write_volume


def save(path, array, spacing=(0.1, 0.1, 0.1)):
    write_volume(path, Volume(array, Grid.from_parts(array.shape, spacing)))
    return str(path)


@pytest.fixture
def image(tmp_path):
    array = np.full((20, 12, 14), -100, np.int16)
    array[4:8], array[12:16] = 900, 900
    return save(tmp_path / "bone.nii.gz", array)


@pytest.mark.parametrize("threshold", ["300", "otsu", "-0.5"])
def test_the_numbers_go_to_eyes_json_csv_and_an_image(threshold, image, tmp_path, capsys):
    out, thickness = tmp_path / "out.csv", tmp_path / "map.nii.gz"
    words = ["--threshold", threshold, "--out", str(out), "--map", str(thickness), "--json"]
    assert main(["morphometry", image, *words]) == 0
    said = capsys.readouterr()
    numbers = json.loads(said.out)
    assert numbers["bv_tv"] == pytest.approx(0.4)
    assert numbers["tb_th"] == pytest.approx(0.4)
    assert numbers["threshold_from"] == ("otsu" if threshold == "otsu" else "given")
    assert "Tb.Th" in said.err
    with out.open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["tb_sp"]) == numbers["tb_sp"]
    written = read_volume(thickness).array
    assert written[5, 3, 3] == np.float32(0.4)
    assert not written[:4].any()


def test_a_mask_bounds_what_is_measured(image, tmp_path, capsys):
    region = np.zeros((20, 12, 14), np.uint8)
    region[4:12] = 1
    assert (
        main(["morphometry", image, "--mask", save(tmp_path / "m.nii.gz", region), "--threshold", "0", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["bv_tv"] == 0.5


def test_a_segmentation_needs_no_threshold(tmp_path, capsys):
    array = np.zeros((6, 6, 6), np.uint8)
    array[2:4] = 255
    assert main(["morphometry", save(tmp_path / "s.nii.gz", array), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["threshold_from"] == "segmentation"


def test_files_are_replaced_only_by_force(image, tmp_path, capsys):
    out = tmp_path / "out.csv"
    out.write_text("mine")
    assert main(["morphometry", image, "--threshold", "0", "--out", str(out)]) == 1
    assert out.read_text() == "mine"
    assert main(["morphometry", image, "--threshold", "0", "--out", str(out), "--force"]) == 0
    assert out.read_text() != "mine"
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "--threshold: a number (HU), or otsu"),
        (["--threshold", "high"], 2, "neither a number nor otsu"),
        (["--threshold", "inf"], 2, "neither a number nor otsu"),
        (["--threshold", "0", "--mask", "small.nii.gz"], 1, "lie on different grids"),
        (["--threshold", "0", "--mask", "none.nii.gz"], 1, "none.nii.gz"),
        (["--threshold", "0", "--mask", "empty.nii.gz"], 1, "region of interest is empty"),
    ],
)
def test_bad_input_has_one_message_and_leaves_nothing(words, code, says, image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "small.nii.gz", np.ones((3, 3, 3), np.uint8))
    save(tmp_path / "empty.nii.gz", np.zeros((20, 12, 14), np.uint8))
    before = sorted(tmp_path.iterdir())
    assert main(["morphometry", image, *words, "--out", "out.csv", "--map", "map.nii.gz"]) == code
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert sorted(tmp_path.iterdir()) == before


def test_voxels_that_are_not_isotropic_are_refused(tmp_path, capsys):
    file = save(tmp_path / "thick.nii.gz", np.eye(4, dtype=np.uint8)[None].repeat(4, 0), (0.1, 0.1, 0.5))
    assert main(["morphometry", file]) == 1
    assert "thick.nii.gz: bone morphometry needs isotropic voxels" in capsys.readouterr().err


def test_spheres_between_voxels_are_an_option_of_their_own(voxbench, tmp_path):
    slab = np.zeros((9, 8, 8), np.int16)
    slab[3:6] = 1
    save(tmp_path / "slab.nii.gz", slab, (0.5, 0.5, 0.5))
    words = ("morphometry", tmp_path / "slab.nii.gz", "--json")
    found = [json.loads(voxbench(*words, *more).out) for more in ((), ("--centres", "half-voxels"))]
    assert [row["tb_th"] for row in found] == [2.0, 1.5]
    assert [row["centres"] for row in found] == ["voxels", "half-voxels"]
    assert voxbench(*words, "--centres", "thirds").code == 2
    voxbench(*words, "--centres", "half-voxels", "--map", tmp_path / "map.nii.gz")
    np.testing.assert_allclose(read_volume(tmp_path / "map.nii.gz").array, 1.5 * slab, atol=1e-6)
