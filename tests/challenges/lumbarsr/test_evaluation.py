"""LumbarSR from files to tables, against the official definitions written out in NumPy and scikit-image."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from voxbench.challenges.lumbarsr.cases import Case
from voxbench.challenges.lumbarsr.evaluation import evaluate, line
from voxbench.challenges.lumbarsr.results import FILES, LumbarsrEvaluation
from voxbench.challenges.lumbarsr.scoring import official_contrast, official_scores
from voxbench.cli import evaluate as verb
from voxbench.errors import FileReadError, FileWriteError, InputError, JobError, UsageError
from voxbench.geometry import Grid, Volume
from voxbench.io import write_volume
from voxbench.metrics.bone_contrast import BoneContrast

SHAPE = (34, 41, 19)
SEQUENCE, OTHER = "195X_195Y_1000Z_S", "586X_586Y_1000Z_S"
CASE = Case("Lumbar_26", SEQUENCE)
LIMITS = {"raw": (-1024, 3071, 4095.0), "bone": (-500, 1300, 1800), "soft_tissue": (-160, 240, 400)}


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, Grid.from_parts(array.shape, (0.105, 0.105, 0.105))))


def images(seed=0):
    rng = np.random.default_rng(seed)
    target = np.full(SHAPE, -1024, np.int16)
    target[4:30, 5:38, 2:17] = rng.normal(300, 500, (26, 33, 15)).clip(-1024, 3071)
    prediction = (target + rng.normal(0, 100, SHAPE)).clip(-1024, 3071).astype(np.int16)
    prediction[:3] = -1024
    bone = np.zeros(SHAPE, bool)
    bone[6:28, 7:36, 3:15] = rng.random((22, 29, 12)) < 0.6
    return target, prediction, bone


@pytest.fixture
def data(tmp_path):
    target, prediction, bone = images()
    save(CASE.reference(tmp_path), target)
    save(CASE.bone_masks(tmp_path)[0], bone.astype(np.uint8))
    save(CASE.prediction(tmp_path / "results", "unet"), prediction)
    return tmp_path


def settings(**changes):
    return LumbarsrEvaluation(**{"method": "unet", "samples": ("Lumbar_26",), "sequences": (SEQUENCE,)} | changes)


def slow_official(target, prediction, mask, window):
    """The official numbers, step by step as float32 arrays in the order of a NIfTI file."""
    low, high, width = LIMITS[window]
    a, b = (np.asfortranarray(v.astype(np.float32)) for v in (target, prediction))
    a, b = ((np.clip(v, low, high) - low) / width for v in (a, b))
    x, y = (a, b) if mask is None else (a[mask], b[mask])
    mse = np.mean((x - y) ** 2)
    numbers = {
        "psnr": 10 * np.log10(1.0 / mse),
        "mae": np.mean(np.abs(x - y)),
        "rmse": np.sqrt(mse),
        "nrmse": np.sqrt(mse) / (x.max() - x.min()),
        "ncc": np.mean((x - x.mean()) * (y - y.mean())) / (x.std() * y.std()),
    }
    if mask is not None:
        where = np.argwhere(mask)
        box = tuple(slice(p, q + 1) for p, q in zip(where.min(axis=0), where.max(axis=0), strict=True))
        a, b = (np.where(mask, v, np.float32(0))[box] for v in (a, b))
    similarities = [
        structural_similarity(a[..., k].copy(), b[..., k].copy(), data_range=1.0, win_size=7) for k in range(a.shape[2])
    ]
    return {name: float(value) for name, value in numbers.items()} | {"ssim": float(np.mean(similarities))}


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("mode", ["full", "non_air", "bone_mask"])
def test_official_numbers_have_the_official_digits(mode, dtype):
    target, prediction, bone = images(1)
    air = (target > -1000) | (prediction > -1000)
    mask = {"full": None, "non_air": air, "bone_mask": bone}[mode]
    found, honest = official_scores(target.astype(dtype), prediction.astype(dtype), mask)
    for window in LIMITS:
        expected = slow_official(target, prediction, mask, window)
        similarity = found[window].pop("ssim")
        assert similarity == pytest.approx(expected.pop("ssim"), abs=1e-9)
        assert found[window] == expected
        for name, value in expected.items():
            assert honest[window][f"{name}_float64"] == pytest.approx(value, abs=1e-5)


def test_empty_masks_identity_and_constants_score_as_the_table_says():
    target, prediction, _ = images()
    empty, _ = official_scores(target, prediction, np.zeros(SHAPE, bool))
    assert np.isnan(list(empty["bone"].values())).all()
    same, _ = official_scores(target, target, None)
    assert (same["bone"]["psnr"], same["bone"]["ssim"], same["bone"]["mae"]) == (100.0, 1.0, 0.0)
    flat, honest = official_scores(np.full(SHAPE, 1300, np.int16), prediction, None)
    assert (flat["bone"]["nrmse"], flat["bone"]["ncc"]) == (0.0, 0.0)
    assert np.isnan(honest["bone"]["ncc_float64"])
    thin, _ = official_scores(target[..., 5:6], prediction[..., 5:6], None)
    assert np.isfinite(thin["bone"]["ssim"])


def test_fast_ssim_takes_an_eighth_of_the_image_s_slices_over_the_box():
    target, prediction, bone = images()
    fast, _ = official_scores(target, prediction, bone, fast=True)
    whole, _ = official_scores(target, prediction, bone)
    assert fast["bone"]["ssim"] != whole["bone"]["ssim"]


def test_contrast_without_windows_has_ratio_0_and_undefined_decibels():
    nothing = BoneContrast(0.0, 0.0, 0)
    numbers = official_contrast(nothing, nothing)
    assert (numbers["lbc_ratio"], numbers["lbc_gt_db"]) == (0.0, -np.inf)
    assert np.isnan(numbers["lbc_diff_db"])
    assert official_contrast(BoneContrast(2.0, 0.0, 1), BoneContrast(1.0, 0.0, 1))["lbc_ratio"] == 0.5


def run(*words):
    return verb.app(["lumbarsr", *map(str, words)], result_action="return_value", exit_on_error=False)


def words(data, *more):
    chosen = ("--sample", "Lumbar_26", "--sequence", SEQUENCE)
    return (
        "--predictions",
        data / "results",
        "--references",
        data,
        "--method",
        "unet",
        "--out",
        data / "out",
        *chosen,
        *more,
    )


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_the_official_tables(data, capsys):
    run(*words(data, "--json"))
    printed = capsys.readouterr()
    assert json.loads(printed.out)["scored"] == "1 of 1 scored"
    assert "1 of 1 scored" in printed.err
    assert sorted(path.name for path in (data / "out").iterdir()) == sorted(
        ({*FILES} - {"bone_morphometry.csv"}) | {"cases", "report.html"}
    )
    detailed = rows(data / "out/detailed_metrics.csv")
    assert list(detailed[0]) == ["method", "sample", "sequence", "mode", "window", "psnr", "ssim", "mae"]
    assert [(row["mode"], row["window"]) for row in detailed] == [
        (mode, window) for mode in ("full", "non_air", "bone_mask") for window in LIMITS
    ]
    target, prediction, bone = images()
    assert float(detailed[7]["psnr"]) == slow_official(target, prediction, bone, "bone")["psnr"]
    summary = rows(data / "out/summary_metrics.csv")
    statistics = [f"{name}_{kind}" for name in ("psnr", "ssim", "mae") for kind in ("mean", "std")]
    assert list(summary[0]) == ["method", "sequence", "mode", "window", *statistics, "n_cases"]
    assert summary[0]["mode"] == "bone_mask"
    assert {row["n_cases"] for row in summary} == {"1"}
    contrast = rows(data / "out/lbc_metrics.csv")[0]
    assert list(contrast)[:5] == ["method", "sample", "sequence", "lbc_gt_mean", "lbc_gt_std"]
    assert list(contrast)[-3:] == ["lbc_ratio", "lbc_diff", "lbc_diff_db"]
    assert list(rows(data / "out/similarity_metrics.csv")[0])[-3:] == ["ncc", "rmse", "nrmse"]
    results = json.loads((data / "out/evaluation_results.json").read_text())
    assert results["unet"]["Lumbar_26"][SEQUENCE]["bone_mask"]["bone"]["psnr"] == float(detailed[7]["psnr"])
    run(*words(data))
    assert "(kept)" in capsys.readouterr().err
    run(*words(data, "--force"))
    assert "(kept)" not in capsys.readouterr().err
    assert rows(data / "out/detailed_metrics.csv") == detailed
    (data / "else").mkdir()
    (data / "else/file").write_text("x")
    with pytest.raises(FileWriteError, match="--force"):
        run(*words(data)[:7], data / "else", *words(data)[8:])


def test_missing_predictions_are_all_named_or_get_the_worst_values(data):
    both = settings(sequences=(SEQUENCE, OTHER))
    with pytest.raises(FileReadError, match=f"1 of 2 predictions.*\n  unet/Lumbar_26/Lumbar26_{OTHER}_unet"):
        evaluate(data / "results", data, both)
    told = []
    found = evaluate(data / "results", data, both.model_copy(update={"allow_missing": True}), told=told.append)
    assert found.counted == "1 of 2 scored"
    assert "worst values" in line(told[1].record)
    worst = found.rows(("psnr", "ssim", "mae", "nrmse"))[-1]
    assert (worst["psnr"], worst["ssim"], worst["mae"], worst["nrmse"]) == (0, -1, 1, np.inf)
    assert found.outcomes[1].record["contrast"]["lbc_pred_db"] == -np.inf
    assert found.outcomes[1].record["about"]["bone_mask"] == "non_air"


def test_references_must_be_there(data):
    with pytest.raises(FileReadError, match="Lumbar_27"):
        evaluate(data / "results", data, settings(samples=("Lumbar_26", "Lumbar_27")))


def test_bad_volumes_are_named_with_case_and_file(data):
    path = CASE.prediction(data / "results", "unet")
    save(path, np.zeros((3, 4, 5), np.int16))
    with pytest.raises(JobError, match=f"{CASE.key}: .*{path.name}"):
        evaluate(data / "results", data, settings())
    save(path, np.full(SHAPE, np.nan, np.float32))
    with pytest.raises(JobError, match=CASE.key):
        evaluate(data / "results", data, settings())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(JobError, match=CASE.key):
        evaluate(data / "results", data, settings())
    assert evaluate(data / "results", data, settings(allow_missing=True)).counted == "0 of 1 scored"


def test_the_target_s_bone_mask_stands_in(data):
    own, instead = CASE.bone_masks(data)
    own.rename(instead)
    found = evaluate(data / "results", data, settings())
    assert found.outcomes[0].record["about"]["bone_mask"] == instead.name


def test_sequences_and_samples_that_do_not_exist_are_misuse(data):
    with pytest.raises(UsageError, match="195X_195Y_500Z_S"):
        run(*words(data, "--sequence", "105X"))
    with pytest.raises(InputError, match="Lumbar_26"):
        Case("26", SEQUENCE)
