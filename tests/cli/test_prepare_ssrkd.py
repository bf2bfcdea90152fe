"""voxbench prepare ssrkd: from a folder of knees to SSR-KD's layout, resumed, misuse in one message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxbench.challenges.ssrkd import simulation
from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.processed import Processed
from voxbench.challenges.ssrkd.reading import read_ct, read_labels, read_meshes, read_radiographs, read_shadows
from voxbench.cli.prepare_ssrkd import _settings
from voxbench.io import write_labels
from voxbench.simulate.phantoms.knee_shapes import analytic_knee

SMALL = ("--size", "48", "--views", "0,90")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled knees of one person and an unlabelled one, with their CT in HU."""
    out = tmp_path_factory.mktemp("prepare") / "simulated"
    coarse = analytic_knee(6.0)
    values = {"cases": 2, "unlabelled": 1, "shapes": "formulas", "size": 48, "points": 60, "both_knees": 1.0}
    settings = simulation.SsrkdSimulation.model_validate(values | {"keep_hu": True, "angles": (0.0, 90.0)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "_model", lambda _: coarse)
        simulation.simulate(out, settings)
    return out


@pytest.fixture
def data(simulated: Path, tmp_path: Path) -> Path:
    """The same knees as a user has them: the first as meshes, the second as a label map, the third alone."""
    first, second, third = sorted(path.name.removesuffix(".nii.gz") for path in (simulated / "hu").iterdir())
    root = tmp_path / "data"
    for case in (first, third):
        (root / case).mkdir(parents=True)
        (root / case / "ct.nii.gz").write_bytes((simulated / "hu" / f"{case}.nii.gz").read_bytes())
    for number, bone in enumerate(BONES):
        mesh = simulated / "meshes" / first / f"sub_{number}.obj"
        (root / first / f"{bone}.obj").write_bytes(mesh.read_bytes())
    (root / f"{second}.nii.gz").write_bytes((simulated / "hu" / f"{second}.nii.gz").read_bytes())
    write_labels(root / f"{second}_seg.nii.gz", read_labels(Processed(simulated / "processed" / second)))
    (tmp_path / "patients.csv").write_text("case,patient\n" + "".join(f"{c},{c[:5]}\n" for c in (first, second, third)))
    return root


def test_a_simulated_data_set_is_found_again_and_a_second_start_keeps_it(
    voxbench: Callable[..., Any], simulated: Path, data: Path
) -> None:
    out = data.parent / "out"
    words = ("prepare", "ssrkd", "--data", data, "--out", out, *SMALL, "--patients", data.parent / "patients.csv")
    ran = voxbench(*words, "--json")
    assert ran.code == 0, ran.err
    records = json.loads(ran.out)
    assert [record["labelled"] for record in records] == ["by meshes", "by labels", None]
    info = json.loads((out / "info.json").read_text())
    told = json.loads((simulated / "info.json").read_text())
    assert info["patients"] == told["patients"]
    assert {name: info[name] for name in told if name != "patients"} == {n: told[n] for n in told if n != "patients"}
    assert (out / "views.json").read_text() == (simulated / "views.json").read_text()
    for record in records:
        one, other = (Processed(root / "processed" / record["case"]) for root in (simulated, out))
        np.testing.assert_array_equal(read_ct(one, "large").array, read_ct(other, "large").array)
        np.testing.assert_array_equal(read_ct(one).array, read_ct(other).array)
        was, now = read_radiographs(one).stack, read_radiographs(other).stack
        assert np.abs(was - now).max() < 0.03 * was.max()  # another draw of the noise
        assert (out / "preparation" / f"{record['case']}.png").is_file()
        if record["labelled"] is None:
            continue
        was, now = read_labels(one).array, read_labels(other).array
        for number, bone in enumerate(BONES, 1):
            a, b = was == number, now == number
            least = 0.99 if record["labelled"] == "by meshes" else 0.95  # a patella has 75 voxels of 5 mm
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > least
            true, found = read_meshes(one)[bone], read_meshes(other)[bone]
            if record["labelled"] == "by meshes":
                np.testing.assert_allclose(found.vertices, true.vertices, atol=1e-4)
            else:
                assert found.volume == pytest.approx(true.volume, rel=0.2)
        if record["labelled"] == "by meshes":
            np.testing.assert_array_equal(read_shadows(one).stack, read_shadows(other).stack)
    again = voxbench(*words)
    assert again.code == 0
    assert again.err.count("(kept)") == 3
    (out / "processed" / records[2]["case"] / "projs.npz").unlink()
    assert voxbench(*words).err.count("(kept)") == 2
    checked = voxbench("check", out, "--challenge", "ssrkd")
    assert (checked.code, "0 errors, 0 warnings" in checked.err) == (0, True), checked.err


def test_check_tells_damage_and_patients_in_two_splits(
    voxbench: Callable[..., Any], simulated: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "set"
    shutil.copytree(simulated, folder, ignore=shutil.ignore_patterns("hu"))
    first, second = sorted(path.name for path in (folder / "meshes").iterdir())
    info = json.loads((folder / "info.json").read_text()) | {"train": [first], "test": [second]}
    (folder / "info.json").write_text(json.dumps(info))
    radiographs = folder / "processed" / first / "projs.npz"
    radiographs.write_bytes(radiographs.read_bytes()[:-300])
    np.savez(folder / "processed" / second / "seg_mask.npz", np.full((48, 48, 48), 7, np.uint8))
    ran = voxbench("check", folder, "--challenge", "ssrkd")
    assert ran.code == 1
    assert f"error: processed/{first}/projs.npz: damaged" in ran.err
    assert f"error: processed/{second}/seg_mask.npz: wrong label values 7 (110592 voxels); expected 0 to 4" in ran.err
    assert "in two splits: test, and train" in ran.err


def test_a_config_yaml_gives_detector_and_shift_and_sizes_presets_follow_the_volume(tmp_path: Path) -> None:
    text = "DSD: 1500\nDSO: 1200\nnDetector: [40, 30]\ndDetector: [6, 7]\nnVoxel: [48, 48, 48]\ndVoxel: [5, 5, 5]\n"
    (tmp_path / "c.yaml").write_text(text + "offOrigin: [10, 20, 30]\n")
    given = {"size": 48}
    settings = _settings(given, (str(tmp_path / "c.yaml"), "0,90", None, False))
    assert settings.views[0].shape == (40, 30)
    assert settings.radiograph_noise is None
    # the volume stands 10 mm to the front, 20 to the left, 30 up of the axis; the volume's middle is the origin
    np.testing.assert_allclose(settings.views[0].project(np.array([[20.0, -10.0, -30.0]])), [[19.5, 14.5]], atol=1e-9)
    preset = _settings(given, ("released", "0,90", "patella=4,femur=3,fibula=2,tibia=1", True))
    assert preset.views[0].shape == (48, 48)
    assert preset.labels == (4, 3, 2, 1)


def test_one_bad_case_does_not_stop_the_others_and_info_waits_for_all(voxbench: Callable[..., Any], data: Path) -> None:
    out = data.parent / "out"
    first, _, third = sorted({path.name[:6] for path in data.iterdir()})
    (data / first / "ct.nii.gz").write_bytes(b"no image")
    ran = voxbench("prepare", "ssrkd", "--data", data, "--out", out, *SMALL)
    assert ran.code == 1
    assert "1 of 3 cases failed; the others are there, info.json is written when all are" in ran.err
    assert (out / "processed" / third / "projs.npz").is_file()
    assert not (out / "processed" / first).exists()
    assert not (out / "info.json").exists()
    assert not list(out.glob(".*"))


def test_folders_of_other_origin_are_not_replaced_unless_forced(voxbench: Callable[..., Any], data: Path) -> None:
    (third,) = [path.name for path in data.iterdir() if path.is_dir() and len(list(path.iterdir())) == 1]
    for path in list(data.iterdir()):
        if third not in path.name:
            path.rename(data.parent / path.name)
    mine = data.parent / "out" / "processed" / third / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    words = ("prepare", "ssrkd", "--data", data, "--out", data.parent / "out", *SMALL)
    ran = voxbench(*words)
    assert (ran.code, mine.is_file()) == (1, True)
    assert f"processed/{third}: exists already\n  --force replaces it" in ran.err
    assert voxbench(*words, "--force").code == 0
    assert not mine.exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--size", "49"), 2, "--size: .*even"),
        (("--field", "20"), 2, "--field: .*greater than or equal to 50"),
        (("--views", "front"), 2, "--views: degrees joined by commas"),
        (("--labels", "patella=7,femur=5"), 2, "--labels: four values, e.g. patella=7"),
        (("--labels", "patella=1,femur=1,fibula=2,tibia=3"), 2, "--labels: .*four different values"),
        (("--labels", "patella=a,femur=1,fibula=2,tibia=3"), 2, "--labels: four values"),
        (("--geometry", "flat"), 2, "--geometry flat: not one of consistent, released, and no config.yaml"),
        (("--geometry", "none.yaml"), 1, "none.yaml: cannot be read"),
        (("--mesh-space", "XYZ"), 2, "XYZ"),
        (("--jobs", "0"), 2, "--jobs must be at least 1"),
        ((), 1, "data: no CT here"),
    ],
)
def test_misuse_is_one_message_and_leaves_nothing(
    voxbench: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    import re

    (tmp_path / "data").mkdir()
    ran = voxbench("prepare", "ssrkd", "--data", tmp_path / "data", "--out", tmp_path / "out", *words)
    assert ran.code == code
    assert re.search(message, ran.err)
    assert not (tmp_path / "out").exists()
