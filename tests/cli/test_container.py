"""`voxbench container` and `serve`: misuse is told, a context is written, a case goes through the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_json, write_labels, write_volume

GRID = Grid.from_parts((6, 7, 8), (0.8, 0.8, 3.0), (1.0, -2.0, 3.5))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("container", "kits", "--out", "x"), 2, "kits: no such challenge\n  there are lnq2023, lumbarsr, lumir25"),
        (("container", "spider"), 2, "give --out DIR to write the context, or --selftest to try it"),
        (("container", "spider", "--out", "x", "--selftest"), 2, "give --out DIR"),
        (("container", "spider", "--selftest", "--weights", "x"), 2, "give --out DIR instead of --selftest"),
        (("container", "lumir25", "--out", "x", "--weights", "."), 2, "lumir25 has no method with weights"),
        (("container", "spider", "--out", "x", "--weights", "."), 1, "no weights.safetensors here"),
        (("container", "spider", "--out", "x", "--wheel", "a.whl"), 2, "not a wheel of voxbench"),
        (("serve", "kits"), 2, "kits: no such challenge"),
        (("serve", "spider", "--input", ".", "--model", "none"), 1, "no weights here; spider has no method without"),
        (("serve", "lumir25", "--input", "."), 1, "nothing in fixed-brain-mri, moving-brain-mri"),
        (("serve", "spider", "--contract", "evaluation", "--ground-truth", "none"), 1, "no ground truth"),
        (("serve", "lumir25", "--contract", "invoke", "--port", "99999"), 1, "port 99999: cannot be listened on"),
    ],
)
def test_misuse_is_told_in_one_message_and_leaves_nothing(voxbench, tmp_path, monkeypatch, words, code, says):
    monkeypatch.chdir(tmp_path)
    done = voxbench(*words)
    assert done.code == code
    assert says in done.err
    assert not any(tmp_path.iterdir())


def test_a_context_is_written_and_told(voxbench, tmp_path):
    done = voxbench("container", "lnq2023", "--out", tmp_path / "out", "--contract", "invoke", "--json")
    assert done.code == 0
    assert "warning: no weights: make them with voxbench train lnq2023" in done.err
    assert "Dockerfile.evaluation" in json.loads(done.out)["files"]
    assert "`/input/images/mediastinal-ct` | one .mha |" in (tmp_path / "out" / "README.md").read_text()
    assert voxbench("container", "lnq2023", "--out", tmp_path / "out").code == 1


def test_jobs_of_spider_become_the_official_metrics(voxbench, tmp_path):
    """The truth as prediction, the jobs in another order than the masks."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:5, 1:3, 1:4], labels[1:5, 1:3, 4:6], labels[1:5, 4:6, 1:7] = 1, 201, 100
    entries = []
    for number, name in enumerate(("2_t2.mha", "1_t1.mha")):
        place = tmp_path / "input" / f"pk{number}" / "output" / "images" / "sagittal-spine-mr-segmentation"
        for folder in (place, tmp_path / "truth"):
            folder.mkdir(parents=True, exist_ok=True)
        write_labels(tmp_path / "truth" / name, LabelMap(labels, GRID))
        write_labels(place / f"{number}.mha", LabelMap(labels, GRID))
        entries.append({"pk": f"pk{number}", "inputs": [{"image": {"name": name}}], "outputs": []})
    (tmp_path / "input" / "predictions.json").write_text(json.dumps(entries))
    folders = ("--input", tmp_path / "input", "--output", tmp_path, "--ground-truth", tmp_path / "truth")
    done = voxbench("serve", "spider", "--contract", "evaluation", *folders)
    assert (done.code, done.err) == (0, "")
    assert read_json(tmp_path / "metrics.json")["OveralDiceScore"] == {"mean": 1.0, "std": 0.0}
    (tmp_path / "truth" / "1_t1.mha").unlink()
    done = voxbench("serve", "spider", "--contract", "evaluation", *folders)
    assert done.code == 1
    assert "1_t1: no such case in the ground truth (job 'pk1')" in done.err


def test_a_pair_goes_through_lumir25_and_its_field_is_a_plain_4_d_image_on_the_fixed_grid(
    voxbench, tmp_path, monkeypatch
):
    from voxbench.geometry import DisplacementField

    turned = Grid.from_parts((6, 7, 8), (0.8, 0.8, 3.0), (1, -2, 3), np.diag([-1.0, -1, 1]))

    class Found:
        displacement = DisplacementField(np.full((*turned.shape, 3), [0.8, 1.6, 3.0], np.float32), turned)

    monkeypatch.setattr("voxbench.tasks.registration.register", lambda fixed, moving: Found())
    array = np.random.default_rng(0).normal(size=turned.shape).astype(np.float32)
    for slug in ("fixed-brain-mri", "moving-brain-mri"):
        (tmp_path / "input" / "images" / slug).mkdir(parents=True)
        write_volume(tmp_path / "input" / "images" / slug / "a.mha", Volume(array, turned))
    (tmp_path / "output").mkdir()
    done = voxbench("serve", "lumir25", "--input", tmp_path / "input", "--output", tmp_path / "output")
    assert (done.code, done.err) == (0, "")
    field = SimpleITK.ReadImage(str(tmp_path / "output" / "images" / "displacement-field" / "a.mha"))
    fixed = SimpleITK.ReadImage(str(tmp_path / "input" / "images" / "fixed-brain-mri" / "a.mha"))
    assert field.GetNumberOfComponentsPerPixel() == 1
    assert field.GetSize() == (*fixed.GetSize(), 3)
    np.testing.assert_allclose(field.GetSpacing()[:3], fixed.GetSpacing())
    np.testing.assert_allclose(field.GetOrigin()[:3], fixed.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(np.reshape(field.GetDirection(), (4, 4))[:3, :3].ravel(), fixed.GetDirection())
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(field)[:, 2, 3, 4], [-1, -2, 1], atol=1e-6)


@pytest.mark.slow
def test_the_rehearsal_of_a_challenge_passes(voxbench):
    done = voxbench("container", "lumir25", "--selftest", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["findings"]
    assert {finding["part"] for finding in found} == {"exec", "invoke", "evaluation"}
    assert all(finding["holds"] for finding in found)


def test_a_flat_mha_is_read_as_a_radiograph_with_its_rows_from_the_top(tmp_path):
    from voxbench.io import read_radiograph

    image = SimpleITK.GetImageFromArray(np.arange(12, dtype=np.float32).reshape(3, 4))
    image.SetSpacing((0.2, 0.5))
    SimpleITK.WriteImage(image, str(tmp_path / "x.mha"))
    held = read_radiograph(tmp_path / "x.mha")
    np.testing.assert_array_equal(held.image, np.arange(12).reshape(3, 4))
    assert held.pixel_mm == pytest.approx((0.5, 0.2))
