"""What `voxbench check` finds: every finding in one line, and the exit code."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK

from voxbench.geometry import Grid, LabelMap, Mesh, Volume
from voxbench.io import read_volume, write_labels, write_mesh, write_volume

SHAPE = (9, 8, 7)
GRID = Grid.from_parts(SHAPE, (0.5, 0.75, 2.0), (-10.0, 5.0, 3.0))


def image(path: Path, seed: int = 0, grid: Grid = GRID) -> Path:
    """An image of noise, which no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 1000, grid.shape).astype(np.int16)
    write_volume(path, Volume(values, grid))
    return path


def labels(path: Path, seed: int = 0, ids: tuple[int, ...] = (1,), grid: Grid = GRID) -> Path:
    """A label map in which a block at a place of its own holds the ids in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(grid.shape, np.int16)
    array[1 + seed % 3 : 6, 2:5, 1 + seed % 2 : 5] = np.resize(ids, (5 - seed % 3, 3, 4 - seed % 2))
    write_labels(path, LabelMap(array, grid))
    return path


def box(path: Path, size: float, closed: bool = True) -> Path:
    """A tetrahedron, which may lack a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    vertices = size * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    write_mesh(path, Mesh(vertices, faces if closed else faces[:3]))
    return path


def lnq(root: Path, number: int, split: str = "train") -> tuple[Path, Path]:
    """A good case of LNQ 2023."""
    stem = f"{split}/lnq2023-{split}-{number:04d}"
    return image(root / f"{stem}-ct.nrrd", number), labels(root / f"{stem}-seg.nrrd", number)


@pytest.fixture
def data(tmp_path):
    """A folder whose name says nothing."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def check(voxbench, data):
    """Calls the verb; the lines it printed but the last, which counts, with the code compared."""

    def call(*words, code=1):
        before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
        outcome = voxbench("check", data, *words)
        assert outcome.code == code, outcome.err
        assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
        *found, count = outcome.err.splitlines()
        errors = sum(line.startswith("error: ") for line in found)
        assert count.startswith(f"{data}: ")
        assert count.endswith(f" files read; {errors} errors, {len(found) - errors} warnings")
        assert code == bool(errors)
        return found

    return call


def test_a_good_case_of_every_challenge_gives_no_line_and_code_0(voxbench, tmp_path):
    for number in (5, 6):
        lnq(tmp_path / "lnq2023", number)
        image(tmp_path / f"spider/images/{number}_t2.mha", number)
        labels(tmp_path / f"spider/masks/{number}_t2.mha", number, (1, 2, 100, 201))
        image(tmp_path / f"lumir25/imagesVal/LUMIRMRI_{number:04d}_0000.nii.gz", number)
        labels(tmp_path / f"lumir25/labelsVal/LUMIRMRI_{number:04d}_0000.nii.gz", number, (4, 11, 2035))
        for part in range(4):
            box(tmp_path / f"ssrkd/case_{number}/submesh/sub_{part}.obj", 10 + part + 10 * number)
        sample = f"Lumbar_{number:02d}/Lumbar{number:02d}"
        image(tmp_path / f"lumbarsr/RegisteredData/{sample}_MicroPCCT_105um.nii.gz", number)
        clinical = f"{sample}_ClinicalCT_195X_195Y_1000Z_S_registered"
        image(tmp_path / f"lumbarsr/RegisteredData/{clinical}.nii.gz", 100 + number)
        labels(tmp_path / f"lumbarsr/BoneMask/{clinical}_BoneMask.nii.gz", number)
        image(tmp_path / f"lumbarsr/mine/{sample}_195X_195Y_1000Z_S_mine.nii.gz", 200 + number)
    field = np.zeros((*SHAPE, 3), np.float32)
    nibabel.Nifti1Image(field, np.eye(4)).to_filename(tmp_path / "lumir25/disp_0006_0005.nii.gz")
    for challenge, files in (("lnq2023", 4), ("spider", 4), ("lumir25", 5), ("ssrkd", 8), ("lumbarsr", 8)):
        folder = tmp_path / challenge
        outcome = voxbench("check", folder, "--challenge", challenge)
        assert (outcome.code, outcome.err) == (0, f"{folder}: {files} files read; 0 errors, 0 warnings\n")
        assert voxbench("check", folder).code == 0  # nor do the rules of any data set find something wrong


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd", ".mgz"])
def test_a_file_that_ends_early_is_named_and_the_others_are_read_all_the_same(check, data, suffix):
    whole = image(data / f"cut{suffix}").read_bytes()
    (data / f"cut{suffix}").write_bytes(whole[: int(0.7 * len(whole))])
    bad = image(data / "nan.nii.gz", 1)
    array = np.full(SHAPE, np.nan, np.float32)
    array[0], array[1] = 1, 2
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(bad)
    found = check()
    assert len(found) == 2
    assert found[0].startswith(f"error: cut{suffix}: ")
    assert found[1].startswith("error: nan.nii.gz: 392 of 504 values are NaN")


def test_a_checksum_that_does_not_fit_is_damage(check, data):
    path = image(data / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # of the CRC, behind the compressed values, which are whole
    path.write_bytes(content)
    header, values = nrrd.read(image(data / "b.nrrd", 1))[::-1]
    nrrd.write(str(data / "b.nrrd"), values, {**header, "encoding": "gzip"})
    content = bytearray((data / "b.nrrd").read_bytes())
    content[-8] ^= 1
    (data / "b.nrrd").write_bytes(content)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(image(data / "c.mha", 2))), str(data / "c.mha"), useCompression=True)
    content = bytearray((data / "c.mha").read_bytes())
    content[-2] ^= 1
    (data / "c.mha").write_bytes(content)
    found = check()
    assert [line.split(": ")[1] for line in found] == ["a.nii.gz", "b.nrrd", "c.mha"]
    assert all(line.startswith("error: ") for line in found)


def test_a_header_that_promises_more_than_there_is_is_told_with_both_numbers(check, data):
    content = gzip.decompress(image(data / "a.nii.gz").read_bytes())
    (data / "a.nii.gz").unlink()
    (data / "a.nii").write_bytes(content[:-100])
    (line,) = check()
    assert line.startswith("error: a.nii: ")
    assert str(2 * GRID.size) in line or str(len(content)) in line
    assert str(2 * GRID.size - 100) in line or str(len(content) - 100) in line


@pytest.mark.parametrize("suffix", ["mha", "mhd"])
def test_metaimage_voxels_that_are_too_few_are_told_with_both_numbers(check, data, suffix):
    array = np.full((5, 4, 3), 10, np.int16)  # every byte a line feed or 0
    array[0, 0, 1] = 2570
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(data / f"a.{suffix}"))
    assert check(code=0) == []
    voxels = data / ("a.mha" if suffix == "mha" else "a.raw")
    voxels.write_bytes(voxels.read_bytes()[:-1])
    (line,) = check()
    said = "truncated: the header promises 3 x 4 x 5 voxels, 120 bytes; 119 are there; copy or download the file again"
    assert line == f"error: a.{suffix}: {said}"


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (GRID.cropped((0, 0, 0), (9, 8, 6)), ["shape 9 x 8 x 6, but its image", "has 9 x 8 x 7"]),
        (
            Grid.from_parts(SHAPE, (0.5, 0.75, 2.5), (-10.0, 5.0, 3.0)),
            ["spacing 0.5 x 0.75 x 2.5 mm, but its image", "has 0.5 x 0.75 x 2 mm"],
        ),
        (
            Grid.from_parts(SHAPE, (0.5, 0.75, 2.0), (-10.0, 5.5, 3.0)),
            ["origin (-10, 5.5, 3) mm, but its image", "has (-10, 5, 3) mm"],
        ),
        (
            Grid.from_parts(SHAPE, (0.5, 0.75, 2.0), (-10.0, 5.0, 3.0), np.diag([-1.0, 1, 1])),
            ["direction LAS+ (-1, 0, 0)", "but its image", "has RAS+ (1, 0, 0)"],
        ),
    ],
    ids=["shape", "spacing", "origin", "direction"],
)
@pytest.mark.parametrize("words", [(), ("--challenge", "lnq2023")], ids=["any", "lnq2023"])
def test_labels_on_another_grid_than_their_image_are_told_with_both(check, data, grid, said, words):
    _, seg = lnq(data, 5)
    labels(seg, grid=grid)
    (line,) = check(*words)
    assert line.startswith("error: train/lnq2023-train-0005-seg.nrrd: ")
    assert "its image train/lnq2023-train-0005-ct.nrrd has" in line
    assert all(part in line for part in said)
    assert line.endswith("; resample the label map onto the image (nearest neighbour), or correct the header")


@pytest.mark.parametrize(
    ("challenge", "name", "ids", "said"),
    [
        ("lnq2023", "lnq2023-test-0002-seg.nrrd", (255,), "wrong label values 255 (60 voxels); expected 0 and 1;"),
        ("spider", "masks/1_t1.mha", (1, 150), "wrong label values 150 (30 voxels); expected 0, 1-25 vertebrae"),
        ("lumir25", "labelsVal/LUMIRMRI_0001_0000.nii.gz", (-3,), "-3 (60 voxels); expected whole numbers from 0"),
        ("ssrkd", "case/seg_mask.nii.gz", (1, 5), "wrong label values 5 (30 voxels); expected 0 to 4"),
        ("lumbarsr", "BoneMask/Lumbar_01/Lumbar01_MicroPCCT_105um_BoneMask.nii.gz", (2,), "expected 0 and 1 (or 255)"),
    ],
)
def test_label_values_that_a_challenge_does_not_know_are_counted(check, data, challenge, name, ids, said):
    labels(data / name, ids=ids)
    (line,) = check("--challenge", challenge)
    assert line.startswith(f"error: {name}: ")
    assert said in line


def test_labels_that_are_not_whole_were_resampled_linearly(check, data):
    array = np.zeros(SHAPE, np.float32)
    array[2:5, 2:5, 2:5], array[5, 2:5, 2:5] = 1, 0.5
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(data / "a_seg.nii.gz")
    (line,) = check()
    assert line.startswith(
        "error: a_seg.nii.gz: 9 of 504 label values are not whole numbers; was it resampled linearly"
    )


def test_labels_with_nan_are_told_once(check, data):
    array = np.zeros(SHAPE, np.float32)
    array[2:5, 2:5, 2:5], array[0, 0, :2] = 1, np.nan
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(data / "a_seg.nii.gz")
    (line,) = check()
    assert line.startswith("error: a_seg.nii.gz: 2 of 504 values are NaN or infinite")


def test_empty_labels_are_an_error_for_a_challenge_and_else_a_warning(check, data):
    _, seg = lnq(data, 5)
    write_labels(seg, LabelMap(np.zeros(SHAPE, np.uint8), GRID))
    said = "train/lnq2023-train-0005-seg.nrrd: empty: every voxel is 0; at least one label expected; draw the labels"
    assert check("--challenge", "lnq2023")[0].startswith(f"error: {said}")
    assert check(code=0)[0].startswith(f"warning: {said}")


def test_the_same_content_under_two_names_is_found_through_compression(check, data):
    lnq(data, 5)
    lnq(data, 6)
    first, other = (data / f"train/lnq2023-train-{number}-ct.nrrd" for number in ("0005", "0006"))
    header, values = nrrd.read(str(first))[::-1]
    nrrd.write(str(other), values, {**header, "encoding": "gzip"})
    assert first.read_bytes() != other.read_bytes()
    (line,) = check("--challenge", "lnq2023", code=0)
    name = "train/lnq2023-train-000{}-ct.nrrd".format
    assert line == f"warning: {name(6)}: the same content as {name(5)}; remove one of the two"


def test_a_copy_stored_in_another_type_and_at_another_origin_is_still_a_copy(check, data):
    first = read_volume(lnq(data, 5)[0])
    _, seg = lnq(data, 6, "val")
    grid = Grid.from_parts(first.grid.shape, first.grid.spacing, (50.0, -20.0, 7.0))
    write_volume(data / "val/lnq2023-val-0006-ct.nrrd", Volume(first.array.astype(np.float32), grid))
    write_labels(seg, LabelMap((np.indices(grid.shape).sum(axis=0) == 9).astype(np.uint8), grid))
    (line,) = check("--challenge", "lnq2023")
    assert line.startswith("error: val/lnq2023-val-0006-ct.nrrd: the same content as train/lnq2023-train-0005-ct.nrrd")


def test_the_same_content_in_two_splits_is_an_error(check, data):
    lnq(data, 5)
    lnq(data, 6, "val")
    shutil.copy(data / "train/lnq2023-train-0005-ct.nrrd", data / "val/lnq2023-val-0006-ct.nrrd")
    (line,) = check("--challenge", "lnq2023")
    said = "the same content as train/lnq2023-train-0005-ct.nrrd, in two splits: val and train; keep one of the two"
    assert line.startswith(f"error: val/lnq2023-val-0006-ct.nrrd: {said}")


def test_one_mask_for_two_series_of_a_patient_is_no_duplicate(check, data):
    for series in ("t1", "t2"):
        image(data / f"images/1_{series}.mha", 1 + (series == "t2"))
        labels(data / f"masks/1_{series}.mha")
    assert check("--challenge", "spider", code=0) == []


def test_a_patient_in_two_splits_is_found_by_number(check, data):
    lnq(data, 5)
    image(data / "val/lnq2023-val-0005-ct.nrrd", 7)
    labels(data / "val/lnq2023-val-0005-seg.nrrd", 8)
    (line,) = check("--challenge", "lnq2023")
    said = "patient 0005 in two splits: val, and train (train/lnq2023-train-0005-ct.nrrd); keep every patient in one"
    assert line.startswith(f"error: val/lnq2023-val-0005-ct.nrrd: {said}")


def test_a_patient_in_two_splits_is_found_by_spiders_overview(check, data):
    for seed, series in enumerate(("t1", "t2")):
        image(data / f"images/1_{series}.mha", seed)
        labels(data / f"masks/1_{series}.mha", seed)
    (data / "overview.csv").write_text("new_file_name,subset\n1_t1,training\n1_t2,validation\n")
    (line,) = check("--challenge", "spider")
    assert line.startswith("error: images/1_t2.mha: patient 1 in two splits: val, and train (images/1_t1.mha)")


def test_without_a_challenge_one_name_in_two_splits_may_be_meant(check, data):
    image(data / "imagesTr/knee_01.nii.gz", 1)
    image(data / "imagesTs/knee_01.nii.gz", 2)
    (line,) = check(code=0)
    assert line.startswith("warning: imagesTs/knee_01.nii.gz: case name knee_01 in two splits: test, and train")


@pytest.mark.parametrize(
    ("challenge", "name", "expected"),
    [
        ("lnq2023", "train/lnq2023_train_0005_ct.nrrd", "lnq2023-{train,val,test}-<4 digits>-{ct,seg}.nrrd"),
        ("spider", "images/1_T1.mha", "images/ and masks/ with <patient>_{t1,t2,t2_SPACE}.mha"),
        ("lumir25", "disp_3455_0000_3454.nii.gz", "disp_<FIXED>_<MOVING>.nii.gz"),
        ("lumir25", "imagesVal/LUMIRMRI_3454.nii.gz", "LUMIRMRI_<4 digits>_<4 digits>.nii.gz"),
        ("lumbarsr", "RegisteredData/Lumbar_01/Lumbar02_MicroPCCT_105um.nii.gz", "LumbarXX_{MicroPCCT_105um"),
        ("ssrkd", "case/ct.nii.gz", "<case>/sub_0.obj to sub_3.obj"),
    ],
)
def test_a_file_name_the_challenge_does_not_know_is_told_with_the_right_ones(check, data, challenge, name, expected):
    image(data / name)
    line, *_ = check("--challenge", challenge)
    assert line.startswith(f"error: {name}: wrong file name for {challenge}; expected ")
    assert expected in line
    assert line.endswith("; rename or move it")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_counted(check, data, bad):
    array = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    array[1, 2, 3:5] = bad
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(data / "a.nii.gz")
    (line,) = check()
    assert line.startswith("error: a.nii.gz: 2 of 504 values are NaN or infinite; replace them")


def test_a_constant_image_is_told_with_its_value(check, data):
    nibabel.Nifti1Image(np.full(SHAPE, 7, np.int16), np.eye(4)).to_filename(data / "a.nii.gz")
    assert check() == ["error: a.nii.gz: constant: every voxel is 7; nothing can be seen in it; write the file again"]


def test_a_mesh_that_is_open_and_a_case_that_lacks_one(check, data):
    for part in (0, 1, 3):
        box(data / f"case/sub_{part}.obj", 10 + part, closed=part != 1)
    found = check("--challenge", "ssrkd")
    assert found == [
        "error: case/sub_1.obj: the surface is open at 3 edges; 0 expected; close its holes, "
        "e.g. trimesh.repair.fill_holes",
        "error: case/sub_2.obj: missing (fibula); case case has 3 of 4 meshes; add the mesh",
    ]


def test_a_mesh_cut_off_and_one_not_in_mm(check, data):
    for part in range(4):
        box(data / f"case/sub_{part}.obj", 10 + part if part else 1)
    whole = (data / "case/sub_3.obj").read_text()
    (data / "case/sub_3.obj").write_text(whole[: whole.rindex(" ")])
    found = check("--challenge", "ssrkd")
    assert found[0].startswith("warning: case/sub_0.obj: not in mm: no coordinate is larger than 1; multiply by")
    assert found[1].startswith("error: case/sub_3.obj: damaged: a face has 2 corners (cut off?)")


def test_labels_without_image_and_image_without_labels_are_warnings(check, data):
    for number in (5, 6, 7):
        lnq(data, number)
    (data / "train/lnq2023-train-0005-ct.nrrd").unlink()
    (data / "train/lnq2023-train-0006-seg.nrrd").unlink()
    found = check("--challenge", "lnq2023", code=0)
    assert [line.split(";")[0] for line in found] == [
        "warning: train/lnq2023-train-0005-seg.nrrd: labels without their image",
        "warning: train/lnq2023-train-0006-ct.nrrd: an image without labels, where others have them",
    ]


def test_a_field_of_another_shape_is_no_field(check, data):
    image(data / "disp_0002_0001.nii.gz")
    (line,) = check("--challenge", "lumir25")
    said = "not a displacement field: 9 x 8 x 7; expected  i x j x k x 3 or 3 x i x j x k"
    assert line == f"error: disp_0002_0001.nii.gz: {said}"


def test_the_findings_as_json(voxbench, data):
    lnq(data, 5)
    labels(data / "train/lnq2023-train-0005-seg.nrrd", ids=(2,))
    outcome = voxbench("check", data, "--challenge", "lnq2023", "--json")
    about = json.loads(outcome.out)
    counts = {"files": 2, "errors": 1, "warnings": 0}
    assert about.items() >= (counts | {"folder": str(data), "challenge": "lnq2023"}).items()
    (finding,) = about["findings"]
    assert finding.keys() == {"severity", "file", "what", "remedy"}
    assert finding["file"] == "train/lnq2023-train-0005-seg.nrrd"


def test_two_processes_find_what_one_finds(check, data):
    lnq(data, 5)
    _, seg = lnq(data, 6)
    seg.write_bytes(seg.read_bytes()[:200])
    alone = check("--challenge", "lnq2023")
    assert len(alone) == 1
    assert check("--challenge", "lnq2023", "--jobs", "2") == alone


@pytest.mark.parametrize(("folder", "files"), [("knee", 4), ("spine_ct", 5)])
def test_real_data_are_whole(voxbench, real_data, folder, files):
    outcome = voxbench("check", real_data / folder)
    assert (outcome.code, outcome.err) == (0, f"{real_data / folder}: {files} files read; 0 errors, 0 warnings\n")
