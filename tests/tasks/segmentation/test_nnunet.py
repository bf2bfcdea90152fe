"""nnU-Net's raw layout, and a runner of its programs; stand-ins do what nnU-Net's do to files."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxbench.errors import FileReadError, FileWriteError, InputError, JobError, MissingToolError, UsageError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_labels, write_labels, write_volume
from voxbench.tasks.segmentation.nnunet import (
    LOG,
    PROGRAMS,
    NnunetConfig,
    NnunetRun,
    find_programs,
    steps,
    variables,
)
from voxbench.tasks.segmentation.nnunet_dataset import RawNaming, read_exported, write_raw
from voxbench.tasks.segmentation.nnunet_folder import Pairs, folder_source, original_ids

GRID = Grid.from_parts((6, 5, 4), (1.1, 0.9, 3.0), (-3.2, 5.1, 7.7), np.diag([-1.0, -1.0, 1.0]))
NAMES = ("a1_x", "a1_y", "b2_x", "c3_x")


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    """Four labelled images of three patients, labels 7 and 201, 99 where nobody said; one image without labels."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name in (*NAMES, "d4_x"):
        write_volume(tmp_path / "images" / f"{name}.mha", Volume(rng.normal(size=GRID.shape).astype(np.float32), GRID))
    for name in NAMES:
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:3, 1:3, 1], labels[4, 2:4, 1:3], labels[..., 3] = 7, 201, 99
        write_labels(tmp_path / "labels" / f"{name}.nii.gz", LabelMap(labels, GRID))
    return Pairs(tmp_path / "images", tmp_path / "labels", "MR", re.compile(r"^(\w\d)"), 99)


def export(pairs: Pairs, out: Path, folds: int = 3) -> Path:
    return write_raw(out, folder_source(pairs), RawNaming(number=42, name="Toy", folds=folds))


def test_a_folder_of_images_becomes_a_raw_data_set(pairs: Pairs, tmp_path: Path) -> None:
    folder = export(pairs, tmp_path / "raw")
    assert folder == tmp_path / "raw" / "Dataset042_Toy"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(
        [
            *("dataset.json", "splits_final.json", "voxbench.json", "imagesTs/d4_x_0000.nii.gz"),
            *(f"imagesTr/{name}_0000.nii.gz" for name in NAMES),
            *(f"labelsTr/{name}.nii.gz" for name in NAMES),
        ]
    )
    content = json.loads((folder / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "MR"}
    assert content["labels"] == {"background": 0, "label_7": 1, "label_201": 2, "ignore": 3}
    assert (content["numTraining"], content["file_ending"]) == (4, ".nii.gz")
    assert content["overwrite_image_reader_writer"] == "NibabelIOWithReorient"
    image = nibabel.nifti1.load(folder / "imagesTr" / "a1_x_0000.nii.gz")
    classes = nibabel.nifti1.load(folder / "labelsTr" / "a1_x.nii.gz")
    assert np.array_equal(image.affine, classes.affine)
    assert classes.get_data_dtype() == np.uint8
    assert sorted(np.unique(np.asarray(classes.dataobj))) == [0, 1, 2, 3]


def test_folds_keep_patients_together_and_cover_all(pairs: Pairs, tmp_path: Path) -> None:
    splits = json.loads((export(pairs, tmp_path / "raw") / "splits_final.json").read_text())
    assert [set(fold) for fold in splits] == [{"train", "val"}] * 3
    assert sorted(case for fold in splits for case in fold["val"]) == sorted(NAMES)
    for fold in splits:
        assert not {case[:2] for case in fold["train"]} & {case[:2] for case in fold["val"]}
        assert sorted(fold["train"] + fold["val"]) == sorted(NAMES)


def test_the_mapping_leads_back_also_when_the_data_moved(pairs: Pairs, tmp_path: Path) -> None:
    folder = export(pairs, tmp_path / "raw")
    found = read_exported(folder)
    assert found.images["a1_x"] == (pairs.images / "a1_x.mha").resolve()
    assert (found.number, found.held_out, dict(found.ids)) == (42, ("d4_x",), {1: 7, 2: 201})
    moved = pairs.images.rename(tmp_path / "elsewhere")
    assert read_exported(folder, moved).images["a1_x"] == moved / "a1_x.mha"
    classes = read_labels(folder / "labelsTr" / "a1_x.nii.gz")
    back = original_ids(LabelMap(np.where(classes.array == 3, 0, classes.array), GRID), dict(found.ids))
    truth = read_labels(pairs.labels / "a1_x.nii.gz").array
    assert np.array_equal(back.array, np.where(truth == 99, 0, truth))
    with pytest.raises(InputError, match="class 3 was not exported"):
        original_ids(classes, dict(found.ids))


def test_names_of_segments_name_the_classes(pairs: Pairs, tmp_path: Path) -> None:
    labels = read_labels(pairs.labels / "b2_x.nii.gz")
    (pairs.labels / "b2_x.nii.gz").unlink()
    write_labels(pairs.labels / "b2_x.seg.nrrd", LabelMap(labels.array, GRID, {7: "background", 201: "L5/S1"}))
    folder = export(pairs, tmp_path / "raw")
    assert list(json.loads((folder / "dataset.json").read_text())["labels"]) == [
        *("background", "background_1", "L5/S1", "ignore")
    ]


def test_an_export_is_there_whole_or_not_at_all_and_never_over_something_else(pairs: Pairs, tmp_path: Path) -> None:
    other = Grid.from_parts((6, 5, 4), (1.0, 1.0, 1.0))
    good = (pairs.labels / "c3_x.nii.gz").read_bytes()
    write_labels(pairs.labels / "c3_x.nii.gz", LabelMap(np.ones(GRID.shape, np.uint8), other))
    with pytest.raises(InputError, match=r"c3_x\.nii\.gz: labels and image lie on different grids"):
        export(pairs, tmp_path / "raw")
    assert not list((tmp_path / "raw").iterdir())
    (pairs.labels / "c3_x.nii.gz").write_bytes(good)
    export(pairs, tmp_path / "raw")
    with pytest.raises(FileWriteError, match="exported for nnU-Net already; --force replaces it"):
        export(pairs, tmp_path / "raw")
    with pytest.raises(FileWriteError, match="Dataset042_Toy: has the number 42 already; give another one"):
        write_raw(tmp_path / "raw", folder_source(pairs), RawNaming(number=42, name="Other", folds=2), force=True)
    (tmp_path / "raw" / "Dataset042_Toy" / "voxbench.json").unlink()
    with pytest.raises(FileWriteError, match="not a data set that voxbench exported for nnU-Net; give another folder"):
        write_raw(tmp_path / "raw", folder_source(pairs), RawNaming(number=42, name="Toy", folds=2), force=True)


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (lambda p: (p.images / "a1_x.mha").unlink(), FileReadError, "no image of this name"),
        (lambda p: [path.unlink() for path in p.labels.iterdir()], FileReadError, "no image here"),
        (lambda p: (p.labels / "a1_x.mha").write_bytes(b"x"), FileReadError, "a1_x: there twice"),
        (lambda p: (p.images / "a1_x.mha").rename(p.images / "zz.mha"), FileReadError, "no image of this name"),
    ],
)
def test_folders_that_make_no_pairs_are_refused(pairs: Pairs, break_it, error, message: str) -> None:
    break_it(pairs)
    with pytest.raises(error, match=message):
        folder_source(pairs)


def test_too_few_patients_and_no_patient_are_told(pairs: Pairs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="5 folds cannot be made of 3 patients"):
        export(pairs, tmp_path / "raw", folds=5)
    with pytest.raises(UsageError, match="finds no patient in a1_x"):
        folder_source(Pairs(pairs.images, pairs.labels, "MR", re.compile(r"sub-(\d+)")))


def test_a_folder_that_is_no_export_is_refused(pairs: Pairs, tmp_path: Path) -> None:
    with pytest.raises(FileReadError, match="not a data set that voxbench exported"):
        read_exported(pairs.images)
    folder = export(pairs, tmp_path / "raw")
    content = json.loads((folder / "voxbench.json").read_text())
    content["cases"]["../../evil"] = content["cases"].pop("d4_x")
    (folder / "voxbench.json").write_text(json.dumps(content))
    with pytest.raises(FileReadError, match=r"not a case's name: '\.\./\.\./evil'"):
        read_exported(folder)
    (folder / "voxbench.json").write_text("{}")
    with pytest.raises(FileReadError, match="not as voxbench wrote it"):
        read_exported(folder)


PLAN = """
number = sys.argv[sys.argv.index('-d') + 1]
folder = [f for f in os.listdir(os.environ['nnUNet_raw']) if f.startswith('Dataset' + number)][0]
os.makedirs(os.path.join(os.environ['nnUNet_preprocessed'], folder), exist_ok=True)
print('planned', folder)
"""
TRAIN = """
number, configuration, fold = sys.argv[1:4]
folder = [f for f in os.listdir(os.environ['nnUNet_raw']) if f.startswith('Dataset' + number)][0]
assert os.path.isfile(os.path.join(os.environ['nnUNet_preprocessed'], folder, 'splits_final.json'))
splits = json.load(open(os.path.join(os.environ['nnUNet_preprocessed'], folder, 'splits_final.json')))
trainer, plans = sys.argv[sys.argv.index('-tr') + 1], sys.argv[sys.argv.index('-p') + 1]
model = os.path.join(os.environ['nnUNet_results'], folder, f'{trainer}__{plans}__{configuration}', f'fold_{fold}')
os.makedirs(os.path.join(model, 'validation'), exist_ok=True)
for case in splits[int(fold)]['val']:
    source = os.path.join(os.environ['nnUNet_raw'], folder, 'labelsTr', case + '.nii.gz')
    shutil.copy(source, os.path.join(model, 'validation', case + '.nii.gz'))
open(os.path.join(model, 'checkpoint_final.pth'), 'w').close()
"""
PREDICT = """
source, target = sys.argv[sys.argv.index('-i') + 1], sys.argv[sys.argv.index('-o') + 1]
os.makedirs(target, exist_ok=True)
for name in os.listdir(source):
    labels = os.path.join(os.path.dirname(source), 'labelsTr')
    case = name.replace('_0000.nii.gz', '.nii.gz')
    shutil.copy(os.path.join(labels, os.listdir(labels)[0]), os.path.join(target, case))
"""


def environment(folder: Path, **bodies: str) -> Path:
    """A virtual environment with the three programs."""
    (folder / "bin").mkdir(parents=True)
    for name, body in zip(PROGRAMS, (PLAN, TRAIN, PREDICT), strict=True):
        path = folder / "bin" / name
        own = bodies.get(name, body)
        path.write_text(f"#!{sys.executable}\nimport json, os, shutil, sys\n{own}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


def run(pairs: Pairs, tmp_path: Path, env: Path, config: NnunetConfig | None = None) -> NnunetRun:
    folder = tmp_path / "raw" / "Dataset042_Toy"
    if not folder.is_dir():
        export(pairs, tmp_path / "raw")
    return NnunetRun(read_exported(folder), tmp_path / "run", config or NnunetConfig(), find_programs(env))


def test_the_three_calls_are_those_of_nnunets_documentation(tmp_path: Path) -> None:
    config = NnunetConfig(fold="1", planner="nnUNetPlannerResEncM", plans="nnUNetResEncUNetMPlans", device="cpu")
    plan, train, predict = map(str, steps(Path("/raw/Dataset042_Toy"), 42, Path("/run"), config))
    assert plan == (
        "nnUNetv2_plan_and_preprocess -d 042 -pl nnUNetPlannerResEncM -c 3d_fullres --verify_dataset_integrity"
    )
    assert train == "nnUNetv2_train 042 3d_fullres 1 -tr nnUNetTrainer -p nnUNetResEncUNetMPlans -device cpu --c"
    assert predict == (
        "nnUNetv2_predict -i /raw/Dataset042_Toy/imagesTs -o /run/classes -d 042 -c 3d_fullres -f 1 "
        "-tr nnUNetTrainer -p nnUNetResEncUNetMPlans -device cpu --continue_prediction"
    )
    few = config.model_copy(update={"processes": 2})
    plan, train_too, predict = map(str, steps(Path("/raw/Dataset042_Toy"), 42, Path("/run"), few))
    assert plan.endswith("-c 3d_fullres -npfp 2 -np 2 --verify_dataset_integrity")
    assert train_too == train
    assert predict.endswith("-device cpu -npp 2 -nps 2 --continue_prediction")
    assert variables(Path("/raw/Dataset042_Toy"), Path("/run"), 2) == {
        "nnUNet_raw": "/raw",
        "nnUNet_preprocessed": "/run/nnUNet_preprocessed",
        "nnUNet_results": "/run/nnUNet_results",
        "nnUNet_def_n_proc": "2",
        "nnUNet_n_proc_DA": "2",
    }


@pytest.mark.parametrize("how", ["folder", "bin", "python", "path"])
def test_the_programs_are_found_wherever_they_are_pointed_at(tmp_path: Path, monkeypatch, how: str) -> None:
    env = environment(tmp_path / "env")
    monkeypatch.setenv("PATH", str(env / "bin") if how == "path" else "/nowhere")
    given = {"folder": env, "bin": env / "bin", "python": env / "bin" / "python", "path": None}[how]
    assert find_programs(given) == {name: str(env / "bin" / name) for name in PROGRAMS}


def test_a_run_goes_through_and_a_second_start_does_nothing_again(pairs: Pairs, tmp_path: Path) -> None:
    told: list[str] = []
    this = run(pairs, tmp_path, environment(tmp_path / "env"))
    this.run(tell=told.append)
    assert list(this.predicted) == ["d4_x"]
    log = (this.out / LOG).read_text()
    assert "planned Dataset042_Toy" in log
    assert [line.split()[1] for line in log.splitlines() if line.startswith("$")] == list(PROGRAMS)
    again: list[str] = []
    this.run(tell=again.append)
    assert again == [f"{name}  (done before)" for name in PROGRAMS]
    assert (this.out / LOG).read_text() == log
    this.run(force=True)
    assert (this.out / LOG).read_text() == log


def test_a_failure_is_told_with_its_last_words_and_the_next_start_goes_on_from_there(
    pairs: Pairs, tmp_path: Path
) -> None:
    broken = "print('epoch 1'); print('CUDA out of memory', file=sys.stderr); sys.exit(3)"
    env = environment(tmp_path / "env", nnUNetv2_train=broken)
    this = run(pairs, tmp_path, env)
    with pytest.raises(
        JobError, match=r"(?s)nnUNetv2_train ended with code 3; see .*nnunet\.log\n.*CUDA out of memory"
    ):
        this.run()
    program = env / "bin" / "nnUNetv2_train"
    program.write_text(program.read_text().replace(broken, TRAIN))
    told: list[str] = []
    this.run(tell=told.append)
    assert told[0] == f"{PROGRAMS[0]}  (done before)"
    assert list(this.predicted) == ["d4_x"]


def test_without_held_out_images_the_folds_validation_is_brought_back(pairs: Pairs, tmp_path: Path) -> None:
    (pairs.images / "d4_x.mha").unlink()
    this = run(pairs, tmp_path, environment(tmp_path / "env"), NnunetConfig(fold="2"))
    this.run()
    assert sorted(this.predicted) == sorted(this.dataset.folds[2].validation)
    with pytest.raises(UsageError, match="nothing to predict"):
        run(pairs, tmp_path, tmp_path / "env", NnunetConfig(fold="all"))


def test_missing_predictions_and_a_program_of_another_kind_are_told(pairs: Pairs, tmp_path: Path) -> None:
    this = run(pairs, tmp_path, environment(tmp_path / "env", nnUNetv2_predict="pass"))
    this.run()
    with pytest.raises(JobError, match=r"left no prediction in .*\['d4_x'\]"):
        _ = this.predicted
    other = run(pairs, tmp_path, environment(tmp_path / "env2", nnUNetv2_plan_and_preprocess="pass"))
    other = NnunetRun(other.dataset, tmp_path / "run2", other.config, other.programs)
    with pytest.raises(JobError, match="is it of version 2"):
        other.run()


def test_other_settings_and_foreign_folders_are_refused(pairs: Pairs, tmp_path: Path) -> None:
    env = environment(tmp_path / "env")
    run(pairs, tmp_path, env).run()
    with pytest.raises(FileWriteError, match="holds a run of other settings or data"):
        run(pairs, tmp_path, env, NnunetConfig(fold="1")).run()
    with pytest.raises(UsageError, match="has the folds 0 to 2"):
        run(pairs, tmp_path, env, NnunetConfig(fold="3"))
    (tmp_path / "run" / "nnunet.json").unlink()
    with pytest.raises(FileWriteError, match="not a run of nnU-Net; give another folder"):
        run(pairs, tmp_path, env).run(force=True)
    assert (tmp_path / "run" / LOG).is_file()


def test_no_program_no_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        MissingToolError, match=r"nnUNetv2_plan_and_preprocess is not on the PATH\n.*pip install nnunetv2"
    ):
        find_programs()
    with pytest.raises(MissingToolError, match=r"is not in .*env"):
        find_programs(tmp_path / "env")


def test_the_program_goes_when_we_are_stopped(pairs: Pairs, tmp_path: Path, monkeypatch) -> None:
    ticks = "import time\nopen(os.environ['nnUNet_results'] + '/pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    this = run(pairs, tmp_path, environment(tmp_path / "env", nnUNetv2_plan_and_preprocess=ticks))
    import subprocess

    wait = subprocess.Popen.wait
    pid = this.out / "nnUNet_results" / "pid"

    def interrupted(self: subprocess.Popen, timeout: float | None = None) -> int:
        if timeout is None and self.poll() is None and self.args[0].endswith("preprocess"):
            while not (pid.is_file() and pid.read_text()):
                pass
            raise KeyboardInterrupt
        return wait(self, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        this.run()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
