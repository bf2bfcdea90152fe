"""`voxbench submit lumbarsr` and `ssrkd`: the organisers' trees, or one message that names everything."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.geometry import Grid, Mesh, Volume
from voxbench.io import read_mesh, read_volume, write_mesh, write_volume

GRID = Grid.from_parts((5, 4, 3), (0.105, 0.105, 0.105), (1.0, 2.0, 3.0))
SEQUENCES = ("195X_195Y_1000Z_S", "586X_586Y_1000Z_S")
VERTICES = 50.0 * np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
TETRAHEDRON = Mesh(VERTICES, np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)]))


def file_of(root, sequence, method="mine"):
    return root / method / "Lumbar_26" / f"Lumbar26_{sequence}_{method}.nii.gz"


@pytest.fixture
def volumes(tmp_path):
    """A sample's predictions, one of them of floating point; the words that pack them."""
    micro = tmp_path / "data" / "RegisteredData" / "Lumbar_26" / "Lumbar26_MicroPCCT_105um.nii.gz"
    for folder in (micro.parent, file_of(tmp_path / "found", "x").parent):
        folder.mkdir(parents=True)
    array = np.arange(60).reshape(GRID.shape)
    write_volume(micro, Volume(array.astype(np.int16), GRID))
    write_volume(file_of(tmp_path / "found", SEQUENCES[0]), Volume(array.astype(np.int16), GRID))
    write_volume(file_of(tmp_path / "found", SEQUENCES[1]), Volume((array + 0.4).astype(np.float32), GRID))
    folders = ("--predictions", tmp_path / "found", "--data", tmp_path / "data", "--out", tmp_path / "out")
    return ("submit", "lumbarsr", *folders, "--method", "mine", "--samples", "Lumbar_26")


def test_volumes_become_whole_hu_in_the_tree_under_the_name_of_the_submission(volumes, voxbench, tmp_path):
    done = voxbench(*volumes, "--name", "ours", "--json")
    assert done.code == 0, done.err
    packed = json.loads(done.out)
    assert [one["note"] for one in packed] == ["", "float32 made int16"]
    for sequence, one in zip(SEQUENCES, packed, strict=True):
        path = file_of(tmp_path / "out", sequence, "ours")
        assert one["file"] == str(path.relative_to(tmp_path / "out"))
        written = read_volume(path)
        assert written.array.dtype == np.int16
        np.testing.assert_array_equal(written.array.ravel(), np.arange(60))
        assert written.grid.same_as(GRID, 1e-5)
    assert voxbench(*volumes, "--name", "ours").code == 1
    assert voxbench(*volumes, "--force").code == 0
    assert file_of(tmp_path / "out", SEQUENCES[0]).is_file()
    assert voxbench(*volumes, "--force").code == 0


def elsewhere(found):
    grid = GRID.with_spacing((0.1, 0.1, 0.1))
    write_volume(file_of(found, SEQUENCES[1]), Volume(np.ones(grid.shape, np.int16), grid))


def not_finite(found):
    write_volume(file_of(found, SEQUENCES[1]), Volume(np.full(GRID.shape, np.nan, np.float32), GRID))


def too_large(found):
    write_volume(file_of(found, SEQUENCES[1]), Volume(np.full(GRID.shape, 1e5, np.float32), GRID))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda found: file_of(found, SEQUENCES[1]).unlink(), "1 of 2 volumes are missing; nothing is packed"),
        (elsewhere, "not on the target's grid"),
        (not_finite, "some voxels are NaN or infinite"),
        (too_large, "HU fit into -32768 to 32767"),
    ],
)
def test_a_volume_that_cannot_be_submitted_is_named_and_nothing_is_written(volumes, voxbench, tmp_path, harm, says):
    harm(tmp_path / "found")
    done = voxbench(*volumes)
    assert done.code == 1
    assert says in done.err
    assert SEQUENCES[1] in done.err
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_a_path_and_a_sample_nobody_knows_are_refused(volumes, voxbench):
    assert "the name of a folder" in voxbench(*volumes, "--name", "../else").err
    done = voxbench(*volumes[:-1], "Lumbar_77")
    assert done.code == 1
    assert "Lumbar77_195X_195Y_1000Z_S_mine.nii.gz" in done.err


@pytest.fixture
def knees(tmp_path):
    """Two knees under the two namings; the words that pack them."""
    for case, names in (("P1", BONES), ("P2", ("sub_0", "sub_1", "sub_2", "sub_3"))):
        (tmp_path / "found" / case).mkdir(parents=True)
        for name in names:
            write_mesh(tmp_path / "found" / case / f"{name}.{'ply' if case == 'P1' else 'obj'}", TETRAHEDRON)
    return ("submit", "ssrkd", "--predictions", tmp_path / "found", "--out", tmp_path / "out")


def test_meshes_of_either_naming_become_sub_0_to_sub_3(knees, voxbench, tmp_path):
    done = voxbench(*knees, "--json")
    assert done.code == 0, done.err
    assert [one["notes"] for one in json.loads(done.out)] == [[], []]
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert found == [f"P{case}/sub_{bone}.obj" for case in (1, 2) for bone in range(4)]
    np.testing.assert_allclose(read_mesh(tmp_path / "out" / "P1" / "sub_2.obj").vertices, VERTICES, atol=1e-4)


def test_an_open_mesh_is_packed_and_said(knees, voxbench, tmp_path):
    write_mesh(tmp_path / "found" / "P1" / "femur.ply", Mesh(VERTICES, TETRAHEDRON.faces[:3]))
    done = voxbench(*knees)
    assert done.code == 0
    assert "P1  4 meshes  (femur is open: its DSC is undefined)" in done.err


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda found: (found / "P1" / "tibia.ply").unlink(), "P1: tibia"),
        (lambda found: write_mesh(found / "P1" / "tibia.stl", TETRAHEDRON), "P1, tibia: 2 meshes, one is expected"),
        (lambda found: write_mesh(found / "P2" / "sub_1.obj", Mesh(VERTICES / 100, TETRAHEDRON.faces)), "not in mm"),
        (lambda found: (found / "P2" / "sub_1.obj").write_text("no mesh"), "P2, femur: "),
        (lambda found: found.rename(found.with_name("else")), "no knee here"),
    ],
)
def test_a_knee_that_cannot_be_submitted_is_named_and_nothing_is_written(knees, voxbench, tmp_path, harm, says):
    harm(tmp_path / "found")
    done = voxbench(*knees)
    assert done.code == 1
    assert says in done.err
    assert not (tmp_path / "out").exists()
