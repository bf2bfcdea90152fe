"""`voxbench prepare lnq2023`: challenge files and TCIA's DICOM become pairs on one grid; repairs are told."""

from __future__ import annotations

import csv
import json

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_labels, read_volume, write_labels, write_volume

GRID = Grid.from_parts((40, 40, 10), (0.8, 0.8, 3.0), (-15.0, -15.0, 50.0), np.diag([-1.0, -1.0, 1.0]))


def chest(seed=0):
    """A body with a node of 14 x 14 pixels in it, and the node."""
    values = np.full(GRID.shape, -1000, np.int16)
    values[4:36, 4:36] = -90
    node = np.zeros(GRID.shape, np.uint8)
    node[12:26, 12:26, 3:6] = 1
    values[node > 0] = 40 + seed
    return values, node


@pytest.fixture
def data(tmp_path):
    """Three cases: labels as they should be; two slices short and with 255; none."""
    data = tmp_path / "data"
    for split, number in (("train", 5), ("train", 6), ("val", 18)):
        (data / split).mkdir(parents=True, exist_ok=True)
        values, node = chest(number)
        case = data / split / f"lnq2023-{split}-{number:04d}"
        write_volume(f"{case}-ct.nrrd", Volume(values.astype(np.float32), GRID))
        if number == 5:
            write_labels(f"{case}-seg.nrrd", LabelMap(node, GRID))
        if number == 6:
            short = GRID.cropped((0, 0, 0), (40, 40, 8))
            write_labels(f"{case}-seg.nrrd", LabelMap(255 * node[..., :8], short))
    return data


def run(voxbench, data, out, *more):
    return voxbench("prepare", "lnq2023", "--data", data, "--out", out, *more)


def test_pairs_lie_on_one_grid_and_repairs_are_told(voxbench, data, tmp_path):
    out = tmp_path / "out"
    done = run(voxbench, data, out, "--json")
    assert done.code == 0, done.err
    names = {path.relative_to(out).as_posix() for path in out.rglob("*.*") if "cases" not in path.parts}
    pairs = {f"train/lnq2023-train-{n}{end}" for n in ("0005", "0006") for end in ("-ct.nrrd", "-seg.nrrd", ".png")}
    assert names == pairs | {"val/lnq2023-val-0018-ct.nrrd", "dataset.csv", "statistics.json", "statistics.md"}
    for number in (5, 6):
        values, node = chest(number)
        ct = read_volume(out / f"train/lnq2023-train-{number:04d}-ct.nrrd")
        labels = read_labels(out / f"train/lnq2023-train-{number:04d}-seg.nrrd")
        assert (ct.array.dtype, labels.array.dtype) == (np.int16, np.uint8)
        assert np.array_equal(ct.array, values)
        assert np.array_equal(labels.array, node)
        assert labels.grid.same_as(ct.grid, 1e-9)
    with (out / "dataset.csv").open() as file:
        five, six, eighteen = csv.DictReader(file)
    assert (five["completeness"], five["nodes"], five["nodes_enlarged"], five["repaired"]) == ("partial", "1", "1", "")
    assert six["repaired"] == (
        "labels 255 made 1 where above 0; labels 40 x 40 x 8 at 0.8 x 0.8 x 3 mm brought onto the CT's "
        "40 x 40 x 10 at 0.8 x 0.8 x 3 mm by position: 1.129 ml before, 1.129 ml after"
    )
    assert (eighteen["split"], eighteen["completeness"], eighteen["nodes"]) == ("val", "no labels", "0")
    found = json.loads(done.out)
    assert found["train"]["node_hu"] == {"mean": 45.5, "sd": 0.5, "lowest": 45, "highest": 46}
    assert found["train"]["spacing_mm"]["median"] == pytest.approx([0.8, 0.8, 3.0])
    assert (found["all"]["slices"], found["all"]["repaired"], found["val"]["nodes"]) == (30, 1, 0)
    assert "Nodes in 2 of 2 cases (100 %): 2, of which 2 enlarged." in (out / "statistics.md").read_text()


def test_a_second_start_does_what_is_gone_or_changed_only(voxbench, data, tmp_path):
    out = tmp_path / "out"
    assert run(voxbench, data, out).code == 0
    (out / "train" / "lnq2023-train-0005.png").unlink()
    again = run(voxbench, data, out)
    assert again.code == 0
    assert again.err.count("(kept)") == 2
    assert (out / "train" / "lnq2023-train-0005.png").is_file()


def test_corrected_labels_come_first_and_nifti_is_written_if_asked_for(voxbench, data, tmp_path):
    _, node = chest()
    node[12:26, 12:26, 6] = 1
    (tmp_path / "corrected").mkdir()
    write_labels(tmp_path / "corrected" / "lnq2023-train-0006-seg.nrrd", LabelMap(node, GRID))
    out = tmp_path / "out"
    assert run(voxbench, data, out, "--labels", tmp_path / "corrected", "--format", "nii.gz").code == 0
    assert np.array_equal(read_labels(out / "train/lnq2023-train-0006-seg.nii.gz").array, node)
    with (out / "dataset.csv").open() as file:
        assert [row["repaired"] for row in csv.DictReader(file)] == ["", "", ""]


def test_a_bad_case_does_not_stop_the_others(voxbench, data, tmp_path):
    _, node = chest()
    far = Grid.from_parts(GRID.shape, GRID.spacing, (500.0, 0.0, 0.0))
    write_labels(data / "train" / "lnq2023-train-0006-seg.nrrd", LabelMap(node, far))
    out = tmp_path / "out"
    done = run(voxbench, data, out)
    assert done.code == 1
    assert "1 of 3 cases failed; the others are there" in done.err
    assert "lnq2023-train-0006-seg.nrrd: no labelled voxel lies within the CT" in done.err
    assert not list((out / "train").glob("*0006*"))
    assert (out / "dataset.csv").is_file()


def test_files_of_others_are_not_replaced(voxbench, data, tmp_path):
    mine = tmp_path / "out" / "train" / "lnq2023-train-0005-ct.nrrd"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    refused = run(voxbench, data, tmp_path / "out")
    assert refused.code == 1
    assert "lnq2023-train-0005-ct.nrrd: exists already" in refused.err
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--data", "nowhere"), 1, "nowhere: no such folder"),
        (("--data", "empty"), 1, "empty: no case here"),
        (("--data", "data", "--labels", "nowhere"), 1, "nowhere: no such folder"),
        (("--data", "twice"), 1, "lnq2023-train-0005: there twice"),
        (("--data", "data", "--format", "dcm"), 2, "dcm"),
        (("--data", "data", "--threshold-mm", "0"), 2, "threshold_mm"),
        (("--data", "data", "--jobs", "0"), 2, "--jobs must be at least 1; got 0"),
    ],
)
def test_bad_input_gives_one_message_and_leaves_nothing(words, code, says, voxbench, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder in ("one", "two"):
        (tmp_path / "twice" / folder).mkdir(parents=True)
        (tmp_path / "twice" / folder / "lnq2023-train-0005-ct.nrrd").write_text("")
    done = voxbench("prepare", "lnq2023", *words, "--out", "out")
    assert done.code == code
    assert says in done.err
    assert not (tmp_path / "out").exists()


def write_tcia(folder, patient, description):
    """A CT series and a segmentation object of it, as TCIA has them, of `chest`."""
    values, node = chest()
    (folder / "CT").mkdir(parents=True)
    (folder / "SEG").mkdir()
    series, study, frame, images = generate_uid(), generate_uid(), generate_uid(), []
    lps = np.diag([-1, -1, 1]) @ GRID.world_from_voxel(np.array([[0, 0, k] for k in range(10)], float)).T
    for n in range(10):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, study, frame
        ds.SeriesNumber, ds.InstanceNumber, ds.Modality, ds.PatientID = 2, n + 1, "CT", patient
        for name in ("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"):
            setattr(ds, name, "")
        ds.AccessionNumber, ds.ReferringPhysicianName = "", ""
        ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 40, 40, 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = [0.8, 0.8], 3.0
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], lps[:, n].tolist()
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = (values[..., n].T + 1024).astype("<i2").tobytes()
        ds.save_as(folder / "CT" / f"{n}.dcm", enforce_file_format=True)
        images.append(pydicom.dcmread(folder / "CT" / f"{n}.dcm"))
    described = hd.seg.SegmentDescription(
        1, "lymph node", codes.SCT.AnatomicalStructure, codes.SCT.LymphNode, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    hd.seg.Segmentation(
        images, np.ascontiguousarray(node.transpose(2, 1, 0)), hd.seg.SegmentationTypeValues.BINARY, [described],
        generate_uid(), 300, generate_uid(), 1, "voxbench", "tests", "1", "0", series_description=description,
    ).save_as(folder / "SEG" / "1.dcm")  # fmt: skip


def test_tcias_dicom_becomes_challenge_files_and_says_which_are_complete(voxbench, tmp_path):
    write_tcia(tmp_path / "data" / "case_0669", "case_0669", "Fully Annotated")
    write_tcia(tmp_path / "data" / "case_0005", "case_0005", "Partially Annotated")
    out = tmp_path / "out"
    done = run(voxbench, tmp_path / "data", out)
    assert done.code == 0, done.err
    values, node = chest()
    for name in ("test/lnq2023-test-0669", "train/lnq2023-train-0005"):
        ct, labels = read_volume(out / f"{name}-ct.nrrd"), read_labels(out / f"{name}-seg.nrrd")
        assert np.array_equal(ct.array, values)
        assert ct.grid.same_as(GRID)
        assert np.array_equal(labels.array, node)
    with (out / "dataset.csv").open() as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows["lnq2023-test-0669"]["completeness"] == "full"
    assert rows["lnq2023-train-0005"]["completeness"] == "partial"
    assert "labels 40 x 40 x 3 at" in rows["lnq2023-train-0005"]["repaired"]
    (tmp_path / "data" / "case_0005" / "SEG" / "1.dcm").rename(tmp_path / "1.dcm")
    write_tcia(tmp_path / "data" / "more", "case_0669", "Fully Annotated")
    refused = run(voxbench, tmp_path / "data", tmp_path / "other")
    assert refused.code == 1
    assert "case_0669: " in refused.err
    assert "one of each is expected" in refused.err
