"""voxbench reconstruct with a CT, and by networks, from files to files; the networks are stand-ins."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import numpy as np
import pytest
from tests.tasks.reconstruction.conftest import Seen, seen  # noqa: F401  (a fixture)
from tests.tasks.reconstruction.test_from_ct import END, Network, Scanned, scanned  # noqa: F401  (a fixture)

from voxbench.geometry import Grid, Volume
from voxbench.io import read_mesh, write_views, write_volume
from voxbench.tasks.reconstruction import ReconstructionConfig

BONES = ("patella", "femur", "fibula", "tibia")


@pytest.fixture
def folder(scanned: Scanned, tmp_path, monkeypatch):  # noqa: F811
    """ct.nii.gz; quick fits; a module in place of the trained networks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("voxbench.cli.reconstructing.shape_model", lambda _: scanned.model)
    quick = ReconstructionConfig(side="left", flexions=(10.0,), sizes=(0.0,))
    monkeypatch.setattr("voxbench.cli.reconstruction_methods.How.config", quick)
    write_volume("ct.nii.gz", scanned.ct)
    trained = ModuleType("voxbench.challenges.ssrkd.trained")
    trained.trained_from_ct = lambda weights, volume: Network(scanned.knee, 0.0)  # pyright: ignore
    trained.trained_from_radiographs = lambda weights, images, views: Network(scanned.knee, 0.0)  # pyright: ignore
    monkeypatch.setitem(sys.modules, "voxbench.challenges.ssrkd.trained", trained)
    return tmp_path


def test_a_ct_becomes_four_bones_without_training(voxbench, folder):
    outcome = voxbench("reconstruct", "ct.nii.gz", "--out", "out", "--format", "ply", "--json")
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.out)
    assert record == json.loads((folder / "out/reconstruction.json").read_text())
    assert (record["method"], record["side"]) == ("threshold", "left")
    assert 130 <= record["threshold_hu"] <= 250
    assert list(record["inputs"]) == ["ct.nii.gz"]
    for bone in BONES:
        mesh = read_mesh(folder / f"out/{bone}.ply", space="RAS")
        assert record["bones"][bone]["watertight"] is True
        assert record["bones"][bone]["volume_ml"] == pytest.approx(mesh.volume / 1000)
        assert record["bones"][bone]["model_residual_mm"] < 1
    whole = read_mesh(folder / "out/knee.ply", space="RAS")
    assert len(whole.vertices) == sum(record["bones"][bone]["vertices"] for bone in BONES)
    assert (folder / "out/contours.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "out/uncertainty.npz").exists()
    assert "left knee" in outcome.err


def test_a_teacher_needs_no_shape_model(voxbench, folder, monkeypatch):
    monkeypatch.delattr("voxbench.cli.reconstructing.shape_model")
    outcome = voxbench("reconstruct", "ct.nii.gz", "--method", "teacher", "--weights", "run", "--out", "out")
    assert outcome.code == 0, outcome.err
    record = json.loads((folder / "out/reconstruction.json").read_text())
    assert (record["method"], record["weights"]) == ("teacher", "run")
    assert 0.5 < record["bones"]["femur"]["uncertainty_mm"]["median"] < 3
    assert "side" not in record


@pytest.mark.parametrize("method", ["network", "hybrid"])
def test_networks_read_archives_of_radiographs(voxbench, folder, seen: Seen, method: str):  # noqa: F811
    np.savez("projs.npz", projs=np.stack([one.image for one in seen.radiographs]))
    write_views("views.json", [one.view for one in seen.radiographs])
    outcome = voxbench(
        "reconstruct", "projs.npz", "projs.npz", "--geometry", "views.json", "--method", method, "--weights", "run",
        "--out", "out", "--names", "ssrkd",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    record = json.loads((folder / "out/reconstruction.json").read_text())
    assert record["method"] == method
    assert ("side" in record) == (method == "hybrid")
    for number in range(4):
        assert np.abs(read_mesh(folder / f"out/sub_{number}.obj", space="RAS").vertices[:, 2]).max() <= END + 1e-6


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("ct.nii.gz --method hybrid --weights run", 2, "--method hybrid: not one for a CT (one file)"),
        ("a.png b.png --geometry views.json --method teacher --weights run", 2, "--method teacher: not one"),
        ("ct.nii.gz --method teacher", 2, "--method teacher needs --weights"),
        ("ct.nii.gz --weights run", 2, "--weights: threshold needs none; did you mean --method teacher?"),
        ("ct.nii.gz --method magic", 2, "magic"),
        ("a.png b.png", 2, "--geometry is needed with radiographs"),
        ("a.png", 2, "a.png: one radiograph is not enough: give FRONTAL and LATERAL"),
        ("ct.nii.gz --geometry views.json", 2, "--geometry is for radiographs, and one file alone is a CT"),
        ("ct.nii.gz --inverted", 2, "--inverted is for radiographs"),
        ("none.nii.gz", 1, "none.nii.gz"),
        ("soft.nii.gz --shapes formulas", 1, "soft.nii.gz: no bone in this CT: 0 % of its voxels are above 300 HU"),
        ("mr.nii.gz", 1, "mr.nii.gz: these are not CT numbers: nothing is below -50 HU"),
        ("small.nii.gz", 1, "small.nii.gz: the volume is too small for a knee: 50 x 50 x 50 mm"),
        ("metres.nii.gz", 1, "is its spacing in metres? it must be in mm"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(voxbench, folder, words: str, code: int, told: str):
    values = np.full((25, 25, 40), -1000, np.int16)
    values[5:20, 5:20] = 50
    kinds = (
        ("soft", values, 4.0),
        ("mr", values + 1000, 4.0),
        ("small", values[..., :25], 2.0),
        ("metres", values, 4e-3),
    )
    for name, array, spacing in kinds:
        write_volume(f"{name}.nii.gz", Volume(array, Grid.from_parts(array.shape, (spacing,) * 3, (0.0, 0.0, 0.0))))
    outcome = voxbench("reconstruct", *words.split(), "--out", "out")
    assert outcome.code == code
    assert told in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert not (folder / "out").exists()
