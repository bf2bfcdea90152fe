"""`voxbench export` and `voxbench nnunet` as a user types them: from a challenge's layout to nnU-Net and back."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import nrrd
import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.geometry.spine_labels import classes_of
from voxbench.io import read_labels, read_volume, write_displacement, write_labels, write_volume

SHAPE = (24, 60, 100)
SPINE_GRID = Grid.from_parts(SHAPE, (2.0, 1.0, 1.5), (10.1, 20.2, -30.3), np.diag([-1.0, -1.0, 1.0]))
PIR = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
CT_GRID = Grid.from_parts((16, 15, 6), (0.8, 0.8, 3.0), (3.3, 4.4, 5.5), np.diag([-1.0, -1.0, 1.0]))
PROGRAMS = ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")
STAND_IN = """
import os, shutil, sys
raw, done = os.environ['nnUNet_raw'], os.environ['nnUNet_preprocessed']
program = os.path.basename(sys.argv[0])
print(program, 'speaks')
if program == 'nnUNetv2_plan_and_preprocess':
    for name in os.listdir(raw):
        os.makedirs(os.path.join(done, name), exist_ok=True)
if program == 'nnUNetv2_predict':
    source, target = sys.argv[sys.argv.index('-i') + 1], sys.argv[sys.argv.index('-o') + 1]
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        case = name.replace('_0000.nii.gz', '.nii.gz')
        shutil.copy(os.path.join(os.environ['KNOWN'], case), os.path.join(target, case))
"""


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nnU-Net's environment, whose network knows the answers in known/."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    (tmp_path / "known").mkdir()
    monkeypatch.setenv("KNOWN", str(tmp_path / "known"))
    for name in PROGRAMS:
        (folder / name).write_text(f"#!{sys.executable}\n{STAND_IN}")
        (folder / name).chmod((folder / name).stat().st_mode | stat.S_IXUSR)
    return tmp_path / "env"


def spine() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[9:15, 40:44, 4:90] = 100
    for number, low in enumerate((6, 28, 50), start=1):
        labels[3:21, 10:38, low : low + 16] = number
        labels[5:7, 38:50, low + 8 : low + 12] = labels[5:7, 46:50, low - 3 : low + 19] = number
        if number > 1:
            labels[4:20, 12:36, low - 6 : low] = 200 + number
    return labels


@pytest.fixture
def spider(tmp_path: Path) -> Path:
    """Three patients; the validation subset is one patient's T1 and T2, the T2 stored in the other convention."""
    root = tmp_path / "spider"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rows = ["new_file_name,subset"]
    for name, subset in (("1_t1", "training"), ("2_t1", "training"), ("2_t2", "training"), ("3_t1", "validation"), ("3_t2", "validation")):  # fmt: skip  # noqa: E501
        labels, grid = spine(), SPINE_GRID
        if name == "3_t2":
            labels = np.ascontiguousarray(labels.transpose(1, 2, 0)[:, ::-1])
            grid = Grid.from_parts(labels.shape, (1.0, 1.5, 2.0), (1.1, 2.2, 3.3), PIR)
        noise = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
        write_volume(root / "images" / f"{name}.mha", Volume(noise + (labels > 0), grid))
        write_labels(root / "masks" / f"{name}.mha", LabelMap(labels, grid))
        rows.append(f"{name},{subset}")
    (root / "overview.csv").write_text("\n".join(rows) + "\n")
    return root


def test_spider_goes_to_nnunet_as_classes_and_comes_back_numbered(
    spider: Path, env: Path, tmp_path: Path, voxbench: Callable
) -> None:
    done = voxbench("export", "nnunet", "spider", "--data", spider, "--out", tmp_path / "raw", "--folds", 2)
    assert done.code == 0
    assert "nnUNetv2_plan_and_preprocess -d 501 -c 3d_fullres --verify_dataset_integrity" in done.err
    assert "nnUNetv2_train 501 3d_fullres 0" in done.err
    assert "nnUNetv2_predict -i" in done.err
    folder = tmp_path / "raw" / "Dataset501_SPIDER"
    assert sorted(path.name for path in (folder / "imagesTs").iterdir()) == ["3_t1_0000.nii.gz", "3_t2_0000.nii.gz"]
    content = json.loads((folder / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "vertebra": 1, "disc": 2, "canal": 3}
    for fold in json.loads((folder / "splits_final.json").read_text()):
        assert not {case.split("_")[0] for case in fold["train"]} & {case.split("_")[0] for case in fold["val"]}
    classes = read_labels(folder / "labelsTr" / "1_t1.nii.gz")
    assert np.array_equal(classes.array, classes_of(spine()))
    for name in ("3_t1", "3_t2"):
        truth = read_labels(spider / "masks" / f"{name}.mha")
        write_labels(tmp_path / "known" / f"{name}.nii.gz", LabelMap(classes_of(truth.array), truth.grid))
    words = ("nnunet", folder, "--out", tmp_path / "run", "--env", env, "--device", "cpu", "--json")
    ran = voxbench(*words)
    assert ran.code == 0
    assert [row["labels"] for row in json.loads(ran.out)] == [[1, 2, 3, 100, 202, 203]] * 2
    for name in ("3_t1", "3_t2"):
        truth, found = (
            read_labels(place / f"{name}.mha") for place in (spider / "masks", tmp_path / "run/predictions")
        )
        assert np.array_equal(found.grid.world_from_voxel.matrix, truth.grid.world_from_voxel.matrix)
        assert (found.array == truth.array).mean() > 0.99
    assert "nnUNetv2_train speaks" in (tmp_path / "run" / "nnunet.log").read_text()
    checked = voxbench(
        "submit", "spider", "--predictions", tmp_path / "run/predictions", "--images", spider, "--out", tmp_path / "sub"
    )
    assert (checked.code, "are missing" in checked.err) == (1, True)  # those of the training series
    assert voxbench(*words).code == 0
    changed = voxbench(*words, "--trainer", "nnUNetTrainer_5epochs")
    assert (changed.code, "other settings or data; --force begins anew" in changed.err) == (1, True)


def test_a_prediction_elsewhere_or_of_other_classes_is_named_and_the_others_are_kept(
    spider: Path, env: Path, tmp_path: Path, voxbench: Callable
) -> None:
    voxbench("export", "nnunet", "spider", "--data", spider, "--out", tmp_path / "raw", "--folds", 2)
    write_labels(tmp_path / "known" / "3_t1.nii.gz", LabelMap(classes_of(spine()), SPINE_GRID))
    write_labels(tmp_path / "known" / "3_t2.nii.gz", LabelMap(classes_of(spine()), SPINE_GRID))
    failed = voxbench("nnunet", tmp_path / "raw" / "Dataset501_SPIDER", "--out", tmp_path / "run", "--env", env)
    assert failed.code == 1
    assert "1 of 2 predictions could not be brought back\n3_t2: " in failed.err
    assert "prediction and image lie on different grids" in failed.err
    assert [path.name for path in (tmp_path / "run" / "predictions").iterdir()] == ["3_t1.mha"]


@pytest.fixture
def lnq(tmp_path: Path) -> Path:
    """Two training cases with one node drawn of two, a test case."""
    root = tmp_path / "lnq"
    for split, number in (("train", 5), ("train", 9), ("test", 2)):
        (root / split).mkdir(parents=True, exist_ok=True)
        hu = np.full(CT_GRID.shape, 40, np.int16)
        hu[:3], hu[-2:] = -900, 500
        drawn = np.zeros(CT_GRID.shape, np.uint8)
        drawn[5:8, 5:8, 2:4] = 1
        name = f"lnq2023-{split}-{number:04d}"
        write_volume(root / split / f"{name}-ct.nrrd", Volume(hu, CT_GRID))
        write_labels(root / split / f"{name}-seg.nrrd", LabelMap(drawn, CT_GRID))
    return root


def test_lnq_tells_nnunet_where_nobody_said_anything(lnq: Path, env: Path, tmp_path: Path, voxbench: Callable) -> None:
    done = voxbench("export", "nnunet", "lnq2023", "--data", lnq, "--out", tmp_path / "raw", "--folds", 2)
    assert done.code == 0
    folder = tmp_path / "raw" / "Dataset502_LNQ2023"
    content = json.loads((folder / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "CT"}
    assert content["labels"] == {"background": 0, "node": 1, "ignore": 2}
    assert content["numTraining"] == 2
    classes = read_labels(folder / "labelsTr" / "lnq2023-train-0005.nii.gz").array
    assert (classes[5:8, 5:8, 2:4] == 1).all()
    assert (classes[:3] == 0).all()
    assert (classes[-2:] == 0).all()
    assert classes[3, 6, 3] == classes[6, 6, 1] == classes[9, 6, 3] == 0  # within two voxels of the node
    assert classes[11, 11, 0] == classes[10, 6, 3] == 2
    assert (classes == 1).sum() == 18
    write_labels(tmp_path / "known" / "lnq2023-test-0002.nii.gz", LabelMap((classes == 1).astype(np.uint8), CT_GRID))
    assert voxbench("nnunet", folder, "--out", tmp_path / "run", "--env", env / "bin").code == 0
    words = ("--predictions", tmp_path / "run/predictions", "--references", lnq / "test", "--out", tmp_path / "scores")
    assert voxbench("evaluate", "lnq2023", *words).code == 0
    scored = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert scored["aggregates"]["DiceCoefficient"] == 1.0


def test_any_folder_comes_back_with_its_own_labels(tmp_path: Path, env: Path, voxbench: Callable) -> None:
    for name, place in (("a", "images"), ("b", "images"), ("c", "images"), ("a", "labels"), ("b", "labels")):
        (tmp_path / place).mkdir(exist_ok=True)
        array = np.zeros(CT_GRID.shape, np.uint8)
        array[2:4, 2:4, 2], array[8:9, 5:7, 3] = 5, 50
        write_labels(tmp_path / place / f"{name}.nii.gz", LabelMap(array, CT_GRID))
    words = ("--images", tmp_path / "images", "--labels", tmp_path / "labels", "--out", tmp_path / "raw")
    assert voxbench("export", "nnunet", "folder", *words, "--folds", 2, "--number", 7).code == 0
    folder = tmp_path / "raw" / "Dataset007_voxbench"
    shutil.copy(folder / "labelsTr" / "a.nii.gz", tmp_path / "known" / "c.nii.gz")
    assert voxbench("nnunet", folder, "--out", tmp_path / "run", "--env", env).code == 0
    back = read_labels(tmp_path / "run" / "predictions" / "c.nii.gz")
    assert np.array_equal(back.array, read_volume(tmp_path / "labels" / "a.nii.gz").array)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("spider --data nowhere --out raw", 1, "no image here"),
        ("spider --data spider --out raw --folds 9", 1, "9 folds cannot be made of 2 patients"),
        ("spider --data spider --out raw --folds 1", 2, "--folds: Input should be greater than or equal to 2; got 1"),
        ("spider --data spider --out raw --number 1000", 2, "--number: Input should be less than or equal to 999"),
        ("spider --data spider --out raw --name a/b", 2, "--name: String should match pattern"),
        ("spider --data spider --out raw --subset half", 2, "half"),
        ("lnq2023 --data spider --out raw", 1, "no case here"),
        ("folder --images spider/images --labels nowhere --out raw", 1, "no such folder"),
        ("folder --images spider/images --labels spider/masks --out raw --patient (", 2, "not a regular expression"),
        ("folder --images spider/images --labels spider/masks --out raw --patient x(.)", 2, "finds no patient"),
        ("folder --images spider/images --labels spider/masks --out raw --ignore 0", 2, "--ignore: a label above 0"),
        ("folder --images spider/images --labels spider/images --out raw", 1, "whole numbers"),
    ],
)
def test_misuse_of_the_nnunet_export(
    spider: Path, tmp_path: Path, monkeypatch, voxbench: Callable, words: str, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = voxbench("export", "nnunet", *words.split())
    assert (refused.code, message in refused.err) == (code, True), refused.err
    assert not any(path.name.startswith((".", "Dataset")) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("spider --out run", 1, "not a data set that voxbench exported for nnU-Net"),
        ("raw/Dataset501_SPIDER --out run", 1, "nnUNetv2_plan_and_preprocess is not on the PATH"),
        ("raw/Dataset501_SPIDER --out run --env spider", 1, "is not in spider"),
        ("raw/Dataset501_SPIDER --out run --env env --fold 2", 2, "--fold: 2; "),
        ("raw/Dataset501_SPIDER --out run --env env --fold first", 2, "--fold: String should match pattern"),
        ("raw/Dataset501_SPIDER --out run --env env --device tpu", 2, "tpu"),
        ("raw/Dataset501_SPIDER --out spider --env env", 1, "spider: exists already and is not a run of nnU-Net"),
        ("raw/Dataset501_SPIDER --out spider --env env --force", 1, "spider: exists already and is not a run"),
    ],
)
def test_misuse_of_the_runner(
    spider: Path, env: Path, tmp_path: Path, monkeypatch, voxbench: Callable, words: str, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert voxbench("export", "nnunet", "spider", "--data", spider, "--out", "raw", "--folds", "2").code == 0
    refused = voxbench("nnunet", *words.split())
    assert (refused.code, message in refused.err) == (code, True), refused.err
    assert not (tmp_path / "run").exists()
    assert (spider / "overview.csv").is_file()


def test_a_folder_of_spines_becomes_slicer_segmentations(spider: Path, tmp_path: Path, voxbench: Callable) -> None:
    words = ("export", "slicer", spider / "masks", "--out", tmp_path / "slicer", "--names", "spine", "--json")
    done = voxbench(*words)
    assert done.code == 0
    assert json.loads(done.out)[0]["segments"] == {"1": "L5", "2": "L4", "3": "L3", "100": "canal", "202": "L4/L5", "203": "L3/L4"}  # fmt: skip  # noqa: E501
    _, header = nrrd.read(str(tmp_path / "slicer" / "1_t1.seg.nrrd"))
    assert header["Segmentation_SourceRepresentation"] == header["Segmentation_MasterRepresentation"]
    assert header["Segment0_Name"] == "L5"
    assert header["Segment0_ColorAutoGenerated"] == "0"
    other = voxbench("export", "slicer", spider / "masks" / "2_t2.mha", "--out", tmp_path / "x.seg.nrrd")
    assert other.code == 0
    assert voxbench(*words).code == 1
    assert voxbench(*words, "--force").code == 0


def test_colours_and_names_of_a_table_reach_slicer_and_bids(spider: Path, tmp_path: Path, voxbench: Callable) -> None:
    (tmp_path / "names.tsv").write_text("index\tname\tcolor\n1\tlowest\t#ff0080\n")
    names = ("--names", tmp_path / "names.tsv")
    one = spider / "masks" / "2_t2.mha"
    assert voxbench("export", "slicer", one, "--out", tmp_path / "x.seg.nrrd", *names).code == 0
    _, header = nrrd.read(str(tmp_path / "x.seg.nrrd"))
    assert (header["Segment0_Name"], header["Segment0_Color"]) == ("lowest", "1.000 0.000 0.502")
    assert voxbench("export", "bids", spider / "masks", "--out", tmp_path / "bids", *names).code == 0
    table = (tmp_path / "bids" / "sub-2" / "anat" / "sub-2_acq-t2_seg-voxbench_dseg.tsv").read_text()
    assert table.splitlines()[1] == "1\tlowest\t#ff0080"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("slicer spider/masks/1_t1.mha --out x.nrrd", 2, "--out: a name that ends in .seg.nrrd"),
        ("slicer spider/nothing.mha --out x.seg.nrrd", 1, "nothing.mha: cannot be read"),
        ("slicer spider/images/1_t1.mha --out x.seg.nrrd", 1, "whole numbers"),
        ("slicer spider/masks/1_t1.mha --out x.seg.nrrd --names names.tsv", 1, "names.tsv: cannot be read"),
        ("slicer spider --out slicer", 1, "no image here"),
        ("bids nowhere --out bids", 1, "nowhere: no such folder"),
        ("bids spider/images --out bids", 1, "whole numbers"),
        ("bids spider/masks --out spider", 1, "not BIDS derivatives that voxbench exported"),
        ("bids spider/masks --out bids --segmentation a_b", 2, "--segmentation: String should match pattern"),
        ("dicom-seg spider/masks/1_t1.mha --series spider --out x.dcm", 1, "spider: no DICOM images"),
        ("dicom-seg spider/masks/1_t1.mha --series spider --out x.dcm --form fractional", 2, "fractional"),
        ("dicom-seg spider/images/1_t1.mha --series spider --out x.dcm", 1, "whole numbers"),
    ],
)
def test_misuse_of_the_other_exports(
    spider: Path, tmp_path: Path, monkeypatch, voxbench: Callable, words: str, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    refused = voxbench("export", *words.split())
    assert (refused.code, message in refused.err) == (code, True), refused.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_registration_is_exported_with_its_own_moving_grid(tmp_path: Path, voxbench: Callable) -> None:
    from voxbench.geometry import DisplacementField
    from voxbench.io import read_displacement

    moving = Grid.from_parts((8, 8, 8), (2.0, 2.0, 2.0))
    vectors = np.random.default_rng(0).normal(size=(*CT_GRID.shape, 3)).astype(np.float32)
    (tmp_path / "run").mkdir()
    write_displacement(tmp_path / "run" / "displacement.nii.gz", DisplacementField(vectors, CT_GRID), moving=moving)
    words = ("export", "bids", tmp_path / "run", "--out", tmp_path / "bids", "--subject", "01")
    refused = voxbench(*words)
    assert (refused.code, "say which: --moving IMAGE" in refused.err) == (1, True)
    write_volume(tmp_path / "moving.nii.gz", Volume(np.zeros(moving.shape, np.uint8), moving))
    assert voxbench(*words, "--moving", tmp_path / "moving.nii.gz").code == 0
    back = tmp_path / "bids" / "sub-01" / "anat" / "sub-01_from-moving_to-fixed_mode-image_xfm.nii.gz"
    np.testing.assert_allclose(read_displacement(back).array, vectors, atol=1e-4)
