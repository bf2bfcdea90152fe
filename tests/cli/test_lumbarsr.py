"""voxbench simulate, predict, upscale, evaluate: LumbarSR from nothing to its score."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxbench.cli import main
from voxbench.geometry import Volume
from voxbench.io import read_volume, write_volume
from voxbench.tasks.superresolution import METHODS, Method, interpolate, methods

ONE = ("--sample", "Lumbar_26", "--sequence", "195X_195Y_1000Z_S")
SEQUENCE = "195X_195Y_1000Z_S"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("lumbar") / "data"
    words = ["simulate", "lumbarsr", "--out", str(out), "--cases", "1", "--size", "34", "36", "32"]
    assert main(words) == 0
    return out


def predicted(out: Path, method: str, sequence: str = SEQUENCE) -> Path:
    return out / method / "Lumbar_26" / f"Lumbar26_{sequence}_{method}.nii.gz"


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.joint])
def test_a_prediction_is_the_native_volume_interpolated_and_can_be_scored(voxbench, data, tmp_path, method):
    out = tmp_path / "predictions"
    assert voxbench("predict", "lumbarsr", "--data", data, "--out", out, "--method", method, *ONE).code == 0
    found = read_volume(predicted(out, method))
    native = read_volume(data / "original_dicom/Lumbar_26/clinical_ct" / SEQUENCE / f"{SEQUENCE}.nii.gz")
    np.testing.assert_array_equal(found.array, np.rint(interpolate(native, found.grid, method).array))
    assert found.array.dtype == np.int16
    words = ("--predictions", out, "--references", data, "--method", method, "--out", tmp_path / "scores", "--json")
    scored = voxbench("evaluate", "lumbarsr", *words, *ONE)
    assert scored.code == 0
    assert json.loads(scored.out)["scored"] == "1 of 1 scored"


def test_a_second_start_keeps_what_is_done_and_makes_what_is_gone(voxbench, data, tmp_path):
    words = ("predict", "lumbarsr", "--references", data, "--out", tmp_path, *ONE, "586X_586Y_500Z_B")
    assert voxbench(*words).code == 0
    one, other = predicted(tmp_path, "trilinear"), predicted(tmp_path, "trilinear", "586X_586Y_500Z_B")
    before = other.stat().st_mtime_ns
    one.unlink()
    again = voxbench(*words)
    assert again.code == 0
    assert again.err.count("(kept)") == 1
    assert one.is_file()
    assert other.stat().st_mtime_ns == before


def test_predictions_of_other_origin_are_not_replaced_unless_asked(voxbench, data, tmp_path):
    theirs = predicted(tmp_path, "nearest")
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    words = ("predict", "lumbarsr", "--data", data, "--out", tmp_path, "--method", "nearest", *ONE)
    refused = voxbench(*words)
    assert refused.code == 1
    assert "exists already\n  --force replaces it" in refused.err
    assert theirs.read_bytes() == b"theirs"
    assert voxbench(*words, "--force").code == 0
    assert read_volume(theirs).array.shape == (34, 36, 32)


def test_without_native_volumes_the_registered_ones_are_read_at_their_own_spacing(voxbench, data, tmp_path):
    shutil.copytree(data / "RegisteredData", tmp_path / "data" / "RegisteredData")
    next((tmp_path / "data").rglob("*MicroPCCT*")).unlink()  # a hidden target
    words = ("--data", tmp_path / "data", "--out", tmp_path / "out", "--method", "bicubic", "--json")
    done = voxbench("predict", "lumbarsr", *words, *ONE)
    assert done.code == 0
    assert json.loads(done.out)[0]["observations"] == {SEQUENCE: "registered"}
    ours = read_volume(predicted(tmp_path / "out", "bicubic"))
    theirs = read_volume(tmp_path / f"data/RegisteredData/Lumbar_26/Lumbar26_ClinicalCT_{SEQUENCE}_registered.nii.gz")
    assert ours.grid.same_as(theirs.grid)
    seen = theirs.array > -1000
    assert np.abs(ours.array[seen].astype(float) - theirs.array[seen]).mean() < 60
    missing = voxbench("predict", "lumbarsr", *words, "--source", "native", *ONE)
    assert missing.code == 1
    assert f"1 files are missing\n  {tmp_path}" in missing.err


def test_a_method_that_joins_sequences_gets_all_that_are_there_once_a_sample(voxbench, data, tmp_path, monkeypatch):
    calls = []

    def mean(observations, onto):
        calls.append(len(observations))
        arrays = [interpolate(o, onto, "trilinear").array for o in observations]
        return Volume(np.mean(arrays, axis=0), onto)

    monkeypatch.setattr(methods, "METHODS", {**METHODS, "mean": Method("mean", mean, joint=True)})
    words = ("predict", "lumbarsr", "--data", data, "--out", tmp_path, "--method", "mean")
    assert voxbench(*words, *ONE, "586X_586Y_500Z_S").code == 0
    assert calls == [8]
    one, other = (read_volume(predicted(tmp_path, "mean", s)).array for s in (SEQUENCE, "586X_586Y_500Z_S"))
    np.testing.assert_array_equal(one, other)
    two = ("--observe", "195X_195Y_500Z_S", "586X_586Y_500Z_S")
    assert voxbench(*words, *ONE, *two, "--force").code == 0
    assert calls == [8, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "lumbarsr", "--method", "cubic"), "--method cubic: no such method"),
        (("predict", "lumbarsr", "--sequence", "195X"), "195X: not a sequence of LumbarSR"),
        (("predict", "lumbarsr", "--jobs", "0"), "--jobs must be at least 1; got 0"),
        (("simulate", "lumbarsr", "--size", "8", "40", "40"), "--size: .*greater than or equal to 32, got 8"),
        (("simulate", "lumbarsr", "--cases", "0"), "--cases: .*greater than or equal to 1, got 0"),
    ],
)
def test_misuse_is_one_message_and_leaves_nothing(voxbench, data, tmp_path, words, message):
    more = ("--data", data) if words[0] == "predict" else ()
    done = voxbench(*words, *more, "--out", tmp_path / "out")
    assert done.code == 2
    import re

    assert re.search(message, done.err)
    assert not (tmp_path / "out").exists()


def test_upscale_brings_a_ct_to_105_um_over_the_same_box(voxbench, data, tmp_path):
    source = data / "original_dicom/Lumbar_26/clinical_ct" / SEQUENCE / f"{SEQUENCE}.nii.gz"
    out = tmp_path / "fine.nii.gz"
    assert voxbench("upscale", source, "--method", "lanczos", "--out", out).code == 0
    native, found = read_volume(source), read_volume(out)
    np.testing.assert_allclose(found.grid.spacing, 0.105, rtol=1e-6)
    np.testing.assert_allclose(found.grid.centre, native.grid.centre, atol=1e-4)
    expected = interpolate(native, native.grid.with_spacing((0.105, 0.105, 0.105)), "lanczos")
    np.testing.assert_array_equal(found.array, np.rint(expected.array))
    assert found.array.min() >= -1300  # no rim of another value
    assert voxbench("upscale", source, "--out", out).code == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--method", "best"), 2, "--method best: no such method"),
        (("--spacing", "3"), 2, "--spacing 3: not finer than"),
        (("--spacing", "-1"), 2, "--spacing: mm between voxels, above 0; got -1"),
    ],
)
def test_upscale_refuses_what_makes_no_sense(voxbench, tmp_path, make_blob, words, code, message):
    write_volume(tmp_path / "ct.nii.gz", make_blob())
    done = voxbench("upscale", tmp_path / "ct.nii.gz", "--out", tmp_path / "o.nii.gz", *words)
    assert (done.code, message in done.err) == (code, True)
    several = voxbench("upscale", *[tmp_path / "ct.nii.gz"] * 2, "--out", tmp_path / "o.nii.gz")
    assert "--method lanczos takes one file; 2 are given" in several.err
    assert not (tmp_path / "o.nii.gz").exists()


# ------------------------------------------------------------------------------------------------ fusion


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """Two samples: one to be predicted, one to calibrate with."""
    out = tmp_path_factory.mktemp("pair") / "data"
    words = ["simulate", "lumbarsr", "--out", str(out), "--cases", "2", "--size", "56", "56", "48"]
    assert main(words) == 0
    return out


def test_fusion_calibrates_on_the_other_sample_and_beats_what_it_was_made_from(voxbench, pair, tmp_path):
    words = ("--data", pair, "--out", tmp_path, *ONE, "586X_586Y_1000Z_S")
    done = voxbench("predict", "lumbarsr", *words, "--method", "fusion", "--confidence", "--json")
    assert done.code == 0
    (record,) = json.loads(done.out)
    assert record["files"] == [
        "confidence/Lumbar_26/Lumbar26_fusion_confidence.nii.gz",
        "fusion/Lumbar_26/Lumbar26_195X_195Y_1000Z_S_fusion.nii.gz",
        "fusion/Lumbar_26/Lumbar26_586X_586Y_1000Z_S_fusion.nii.gz",
    ]
    assert len(record["models"]) == 8
    model = record["models"][SEQUENCE]
    assert model["samples"] == ["Lumbar_27"]
    assert model["blur"]["in_plane"] == pytest.approx(1.103, rel=0.15)
    assert voxbench("predict", "lumbarsr", *words, "--method", "lanczos").code == 0
    truth = read_volume(pair / "RegisteredData/Lumbar_26/Lumbar26_MicroPCCT_105um.nii.gz").array.astype(float)
    errors = {m: np.abs(read_volume(predicted(tmp_path, m)).array - truth).mean() for m in ("fusion", "lanczos")}
    assert errors["fusion"] < 0.97 * errors["lanczos"]
    share = read_volume(tmp_path / record["files"][0]).array
    assert share.dtype == np.uint8
    assert 0 < share.max() <= 100


def test_the_target_of_a_predicted_sample_is_never_looked_at(voxbench, data, tmp_path):
    """Alone, a sample is fused with the nominal blur, though its micro-CT lies beside it."""
    words = ("--data", data, "--out", tmp_path, *ONE, "--method", "fusion", "--observe", SEQUENCE, "--json")
    done = voxbench("predict", "lumbarsr", *words)
    assert done.code == 0
    (record,) = json.loads(done.out)
    assert record["models"][SEQUENCE] == {
        "blur": {"in_plane": 1.1032, "slice_thickness": 1.0, "slice_axis": 2, "sampling": None},
        "gain": 1.0,
        "offset": 0.0,
        "samples": [],
    }


def test_upscale_fuses_files_whose_blur_is_told(voxbench, data, tmp_path):
    folder = data / "original_dicom/Lumbar_26/clinical_ct"
    files = [folder / name / f"{name}.nii.gz" for name in ("195X_195Y_500Z_S", "195X_195Y_500Z_B")]
    words = ("upscale", *files, "--method", "fusion", "--out", tmp_path / "up.nii.gz")
    refused = voxbench(*words)
    assert refused.code == 2
    assert "must know how the files blur: give --blur once, or once per file\n  given  0 for 2 files" in refused.err
    assert voxbench(*words, "--blur", "0").code == 2
    assert voxbench(*words, "--blur", "1.1", "--blur", "0.52").code == 0
    assert read_volume(tmp_path / "up.nii.gz").grid.spacing == pytest.approx([0.105] * 3)


def test_a_confidence_map_is_asked_of_fusion_alone(voxbench, data, tmp_path):
    words = ("predict", "lumbarsr", "--data", data, "--out", tmp_path, "--method", "lanczos", "--confidence")
    refused = voxbench(*words)
    assert refused.code == 2
    assert "--confidence is of --method fusion; the method is lanczos" in refused.err
