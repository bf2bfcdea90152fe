"""A CT series in files, as several tests of DICOM need it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

TURN = np.array([[0.96, 0.28, 0.0], [-0.28, 0.96, 0.0]])
SHAPE = (6, 8, 10)
"""Slices, rows, columns."""


def write_series(folder: Path, names: Callable[[int], str] = "{}.dcm".format) -> Path:
    """Six slices whose values tell where they are."""
    folder.mkdir(parents=True, exist_ok=True)
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
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "case_0669", "Doe^Jane", "", ""
        ds.StudyID, ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "", "20230101", "000000", ""
        ds.ReferringPhysicianName = ""
        ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = *SHAPE[1:], 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = [0.5, 0.75], 2.5
        ds.ImageOrientationPatient = TURN.ravel().tolist()
        ds.ImagePositionPatient = (np.array([10.0, 20.0, 30.0]) + 2.5 * n * np.cross(*TURN)).tolist()
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.PixelData = pixels.tobytes()
        ds.save_as(folder / names(n), enforce_file_format=True)
    return folder


@pytest.fixture(scope="session")
def ct_series() -> Callable[..., Path]:
    """Writes a CT series of six slices into a folder; names(n) is the file of the n-th."""
    return write_series
