"""Bone morphometry of LumbarSR, from arrays and from files."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from voxbench.challenges.lumbarsr.bones import CLAIMS, QUANTITIES, RANKED, bone_summary, bones
from voxbench.challenges.lumbarsr.cases import Case
from voxbench.cli import main
from voxbench.errors import EmptyShapeError
from voxbench.geometry import Grid, Volume
from voxbench.io import write_volume
from voxbench.metrics import bone_morphometry

SEQUENCE = "195X_195Y_1000Z_S"
SPACING = (0.105, 0.105, 0.105)


def plates(thick, shape=(24, 20, 20)):
    """Four plates of bone, one every 6 voxels."""
    image = np.full(shape, -50, np.int16)
    for start in range(1, shape[0], 6):
        image[start : start + thick] = 900
    return image


def save(path, array, spacing=SPACING):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, Grid.from_parts(array.shape, spacing)))


def data(root, samples, thick=4, spacing=SPACING):
    for sample in samples:
        case = Case(sample, SEQUENCE)
        save(case.reference(root), plates(2), spacing)
        save(case.bone_masks(root)[0], np.ones((24, 20, 20), np.uint8), spacing)
        save(case.prediction(root / "p", "unet"), plates(thick), spacing)


def command(root, *words, samples=("Lumbar_26",)):
    chosen = [word for sample in samples for word in ("--sample", sample)]
    words = [*words] + ([] if "--out" in words else ["--out", str(root / "out"), "--method", "unet"])
    folders = ["--predictions", str(root / "p"), "--references", str(root)]
    return main(["evaluate", "lumbarsr", *folders, "--sequence", SEQUENCE, *chosen, *words])


def test_both_volumes_are_measured_with_one_threshold():
    mask = np.ones((24, 20, 20), bool)
    found = bones(plates(2), plates(4), mask, SPACING, None)
    assert found["threshold_from"] == "otsu"
    assert -50 <= found["threshold_hu"] < 900
    assert list(found["difference"]) == list(QUANTITIES)
    assert found["reference"]["bone_volume_fraction"] == pytest.approx(1 / 3)
    assert found["prediction"]["bone_volume_fraction"] == pytest.approx(2 / 3)
    for name, value in found["difference"].items():
        assert value == found["prediction"][name] - found["reference"][name]
    own = bone_morphometry(plates(2) > 300, SPACING, mask)
    assert found["reference"]["trabecular_thickness"] == own.trabecular_thickness.mean
    assert bones(plates(2), plates(4), mask, SPACING, 300.0)["reference"] == found["reference"]


def test_a_threshold_above_everything_leaves_no_bone():
    found = bones(plates(2), plates(4), np.ones((24, 20, 20), bool), SPACING, 2000.0)
    assert found["reference"]["bone_volume_fraction"] == 0
    assert math.isnan(found["difference"]["trabecular_thickness"])


def test_undefined_differences_are_left_out_and_counted():
    records = [
        {"reference": dict.fromkeys(QUANTITIES, 7.0)}
        | {"prediction": dict.fromkeys(QUANTITIES, 7 + value), "difference": dict.fromkeys(QUANTITIES, value)}
        for value in (1.0, 2.0, 4.0, 0.0, math.nan)
    ]
    summary = bone_summary(["a"] * 4 + ["a"], records)["a"]
    assert list(summary) == list(CLAIMS)
    thick, fraction = summary["trabecular_thickness"], summary["bone_volume_fraction"]
    assert (thick["pairs"], thick["zero"], thick["undefined"]) == (3, 1, 1)
    assert (thick["mean_reference"], thick["mean_prediction"], thick["mean_difference"]) == (7, 8.75, 1.75)
    assert thick["median_difference"] == 1.5
    assert thick["p_value"] == pytest.approx(1 / 8)
    assert fraction["p_value"] == 1


def test_an_empty_mask_is_refused():
    with pytest.raises(EmptyShapeError):
        bones(plates(2), plates(4), np.zeros((24, 20, 20), bool), SPACING, 300.0)


def test_the_command_writes_morphometry_and_its_test(tmp_path, capsys):
    samples = tuple(f"Lumbar_{n}" for n in range(26, 31))
    data(tmp_path, samples)
    assert command(tmp_path, "--morphometry", "--threshold", "300", samples=samples) == 0
    with (tmp_path / "out" / "bone_morphometry.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * len(QUANTITIES)
    assert {row["threshold_from"] for row in rows} == {"given"}
    thick = next(row for row in rows if row["quantity"] == "trabecular_thickness")
    assert float(thick["reference"]) == pytest.approx(0.21)
    assert float(thick["difference"]) == pytest.approx(0.21)
    summary = json.loads((tmp_path / "out" / "scores.json").read_text())["bone_morphometry"][SEQUENCE]
    assert summary["trabecular_thickness"]["p_value"] == 0.03125
    assert summary["bone_volume_fraction"]["p_value"] == 1
    assert summary["trabecular_thickness"]["mean_difference"] == pytest.approx(0.21)
    told = capsys.readouterr().err
    assert f"bone morphometry, {SEQUENCE}" in told
    (line,) = [line for line in told.splitlines() if "Tb.Th" in line]
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["Tb.Th", "0.21", "0.42", "+0.21", "> 0", "5", "0.03125"]


def test_the_organisers_directions():
    published = ("bone_volume_fraction", "trabecular_thickness", "trabecular_separation", "trabecular_number_plate")
    assert [CLAIMS[name] for name in published] == ["less", "greater", "greater", "less"]


def test_runs_are_ranked_by_the_error_of_their_morphometry(tmp_path, capsys):
    samples = ("Lumbar_26", "Lumbar_27")
    data(tmp_path, samples)
    for sample in samples:
        save(Case(sample, SEQUENCE).prediction(tmp_path / "p", "same"), plates(2))
        save(Case(sample, SEQUENCE).prediction(tmp_path / "p", "none"), plates(0))
    words = ("--morphometry", "--threshold", "300")
    for method in ("unet", "same", "none"):
        assert command(tmp_path, *words, "--method", method, "--out", str(tmp_path / method), samples=samples) == 0
    table = json.loads((tmp_path / "unet" / "scores.json").read_text())["table"]
    units = {name: (table[name]["unit"], table[name]["better"]) for name in RANKED}
    assert list(units.values()) == [("", "lower"), ("mm", "lower"), ("mm", "lower"), ("1/mm", "lower")]
    assert table["bv_tv_error"]["values"] == {f"{sample} {SEQUENCE}": pytest.approx(1 / 3) for sample in samples}
    assert list(table["tb_th_error"]["values"].values()) == pytest.approx([0.21, 0.21])
    capsys.readouterr()
    runs = [str(tmp_path / method) for method in ("unet", "same", "none")]
    assert main(["rank", *runs, "--metric", "bv_tv_error", "--metric", "tb_th_error", "--json"]) == 0
    rows = {row["method"]: row for row in json.loads(capsys.readouterr().out)["leaderboard"]}
    assert list(rows) == ["same", "unet", "none"]
    assert [row["tb_th_error_undefined"] for row in rows.values()] == [0, 0, 2]  # no bone, no thickness


def test_without_morphometry_there_is_nothing_of_it_in_the_table(tmp_path):
    data(tmp_path, ["Lumbar_26"])
    assert command(tmp_path) == 0
    assert not {*RANKED} & {*json.loads((tmp_path / "out" / "scores.json").read_text())["table"]}


def test_the_command_computes_again_when_the_threshold_changes(tmp_path, capsys):
    data(tmp_path, ["Lumbar_26"])
    assert command(tmp_path) == 0
    assert not (tmp_path / "out" / "bone_morphometry.csv").exists()
    assert command(tmp_path, "--morphometry") == 0
    assert "(kept)" not in capsys.readouterr().err
    assert (tmp_path / "out" / "bone_morphometry.csv").exists()


def test_a_missing_prediction_has_no_morphometry(tmp_path):
    data(tmp_path, ["Lumbar_26"])
    Case("Lumbar_26", SEQUENCE).prediction(tmp_path / "p", "unet").unlink()
    assert command(tmp_path, "--morphometry", "--allow-missing") == 0
    summary = json.loads((tmp_path / "out" / "scores.json").read_text())["bone_morphometry"][SEQUENCE]
    assert summary["trabecular_thickness"]["undefined"] == 1


def test_voxels_that_are_not_isotropic_are_refused_by_case(tmp_path, capsys):
    data(tmp_path, ["Lumbar_26"], spacing=(0.1, 0.1, 0.5))
    assert command(tmp_path, "--morphometry", "--threshold", "300") == 1
    said = capsys.readouterr().err
    assert "Lumbar_26 195X_195Y_1000Z_S" in said
    assert "isotropic" in said
