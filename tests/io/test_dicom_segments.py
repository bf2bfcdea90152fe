"""DICOM segmentation objects made by highdicom: in the same place as the CT they are of."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from voxbench.errors import DimensionError
from voxbench.geometry import resample
from voxbench.io import describe, read_labels, read_volume
from voxbench.io.dicom_series import dicom_series

TURN = np.array([[0.96, 0.28, 0.0], [-0.28, 0.96, 0.0]])
SHAPE = (6, 8, 10)
"""Slices, rows, columns."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT series of six slices whose values tell where they are."""
    folder = tmp_path_factory.mktemp("dicom")
    (folder / "ct").mkdir()
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    values = np.arange(np.prod(SHAPE), dtype="<i2").reshape(SHAPE)
    for n, pixels in enumerate(values):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, study, frame
        ds.SeriesNumber, ds.InstanceNumber, ds.Modality, ds.SeriesDescription = 2, n + 1, "CT", "chest"
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "case_0669", "", "", ""
        ds.StudyID, ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "", "20230101", "000000", ""
        ds.ReferringPhysicianName = ""
        ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = *SHAPE[1:], 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = [0.5, 0.75], 2.5
        ds.ImageOrientationPatient = TURN.ravel().tolist()
        ds.ImagePositionPatient = (np.array([10.0, 20.0, 30.0]) + 2.5 * n * np.cross(*TURN)).tolist()
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.PixelData = pixels.tobytes()
        ds.save_as(folder / "ct" / f"{n}.dcm", enforce_file_format=True)
    return folder


def save(folder: Path, pixels: np.ndarray, names: tuple[str, ...], description: str = "Fully Annotated") -> Path:
    """A binary segmentation object of pixels[slice, row, column] or [..., segment]; empty frames are left out."""
    images = [pydicom.dcmread(path) for path in sorted((folder / "ct").glob("*.dcm"))]
    described = [
        hd.seg.SegmentDescription(
            n, name, codes.SCT.AnatomicalStructure, codes.SCT.LymphNode, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for n, name in enumerate(names, start=1)
    ]
    made = hd.seg.Segmentation(
        images, pixels, hd.seg.SegmentationTypeValues.BINARY, described, generate_uid(), 300, generate_uid(), 1,
        "voxbench", "tests", "1", "0", series_description=description,
    )  # fmt: skip
    place = folder / "seg.dcm"
    made.save_as(place)
    return place


def test_a_label_map_lies_where_it_was_drawn_though_empty_frames_are_missing(folder: Path) -> None:
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[1, 2:5, 3:7], drawn[3, 4:6, 4:9] = 1, 2
    labels = read_labels(save(folder, drawn, ("node", "other")))
    assert dict(labels.names) == {1: "node", 2: "other"}
    assert labels.grid.shape == (10, 8, 3)
    image = read_volume(folder / "ct")
    onto = resample(labels, image.grid)
    assert np.array_equal(onto.array, drawn.transpose(2, 1, 0))
    assert "DICOM segmentation" in repr(describe(folder / "seg.dcm"))


def test_one_slice_is_enough(folder: Path) -> None:
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[4, 1:3, 2:5] = 1
    labels = read_labels(save(folder, drawn, ("node",)))
    assert labels.grid.shape == (10, 8, 1)
    assert np.array_equal(resample(labels, read_volume(folder / "ct").grid).array, drawn.transpose(2, 1, 0))


def test_segments_that_overlap_are_refused(folder: Path) -> None:
    drawn = np.zeros((*SHAPE, 2), np.uint8)
    drawn[2, 2:5, 3:7, 0], drawn[2, 4:6, 4:9, 1] = 1, 1
    with pytest.raises(DimensionError, match=r"seg\.dcm: segments overlap"):
        read_labels(save(folder, drawn, ("node", "other")))


def test_the_series_below_a_folder_are_told_by_their_headers(folder: Path) -> None:
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[4, 1:3, 2:5] = 1
    save(folder, drawn, ("node",), "Partially Annotated")
    (folder / "README.txt").write_text("notes")
    image, labels = dicom_series(folder)
    assert (image.files, image.patient, image.modality, image.segmentation) == (6, "case_0669", "CT", False)
    assert (labels.files, labels.description, labels.segmentation) == (1, "Partially Annotated", True)
    assert labels.refers_to == image.uid
