"""voxbench reconstruct, from files to files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.tasks.reconstruction.conftest import Seen, seen  # noqa: F401  (a fixture)

from voxbench.io import read_mesh, write_radiograph_dicom, write_radiograph_png, write_views
from voxbench.metrics.meshes import mesh_distances

BONES = ("patella", "femur", "fibula", "tibia")


@pytest.fixture
def files(seen: Seen, tmp_path, monkeypatch) -> Seen:  # noqa: F811
    """views.json, and the radiographs as DICOM and PNG."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("voxbench.cli.reconstructing.shape_model", lambda _: seen.model)
    write_views("views.json", [one.view for one in seen.radiographs])
    for number, one in enumerate(seen.radiographs):
        write_radiograph_dicom(f"x{number}.dcm", one.image, one.view)
        write_radiograph_png(f"x{number}.png", one.image, one.view.pixel_mm)
    return seen


def test_two_dicom_radiographs_become_four_bones(voxbench, files: Seen, tmp_path):
    outcome = voxbench(
        "reconstruct", "x0.dcm", "x1.dcm", "--geometry", "views.json", "--out", "out", "--shapes", "formulas",
        "--side", "left", "--format", "ply", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.out)
    assert record == json.loads((tmp_path / "out/reconstruction.json").read_text())
    assert record["side"] == "left"
    for bone in BONES:
        mesh = read_mesh(tmp_path / f"out/{bone}.ply", space="RAS")
        assert record["bones"][bone]["watertight"] is True
        assert record["bones"][bone]["volume_ml"] == pytest.approx(mesh.volume / 1000)
    patella = read_mesh(tmp_path / "out/patella.ply", space="RAS")
    assert mesh_distances(files.knee.bones["patella"], patella, 2.0).assd < 0.8
    whole = read_mesh(tmp_path / "out/knee.ply", space="RAS")
    assert whole.volume / 1000 == pytest.approx(sum(record["bones"][bone]["volume_ml"] for bone in BONES))
    assert (tmp_path / "out/contours.png").read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "out/uncertainty.npz") as held:
        assert held["femur_vertices"].shape == (*held["femur_mm"].shape, 3)
    assert "left knee" in outcome.err
