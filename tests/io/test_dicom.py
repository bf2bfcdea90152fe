"""DICOM series made here with pydicom: placed, rescaled, sorted, and refused when something is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from voxbench.errors import DimensionError, FileReadError, ShearedGridError
from voxbench.io import describe, read_volume

TURN = np.array([[0.96, 0.28, 0.0], [-0.28, 0.96, 0.0]])
Edit = Callable[[FileDataset, int], Any]


def write_series(folder: Path, stored: np.ndarray, edit: Edit = lambda _ds, _n: None, series: str = "1.2.3") -> None:
    """A CT series of stored[slice, row, column], 0.5 x 0.75 mm in plane, slices 2.5 mm apart, turned by 16 degrees."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(*TURN)
    for n, pixels in enumerate(stored):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.Modality = series, 4, "CT"
        ds.PatientName, ds.PatientID = "Doe^Jane", "secret-7"
        ds.Rows, ds.Columns = pixels.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = [0.5, 0.75], 5.0
        ds.ImageOrientationPatient = TURN.ravel().tolist()
        ds.ImagePositionPatient = (np.array([10.0, 20.0, 30.0]) + 2.5 * n * normal).tolist()
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = pixels.astype("<i2").tobytes()
        edit(ds, n)
        # names that sort in another order than the slices
        ds.save_as(folder / f"{(7 * n) % 11:02d}_{series}.dcm", enforce_file_format=True)


@pytest.fixture
def stored() -> np.ndarray:
    """Five slices of 6 x 7 pixels."""
    return np.random.default_rng(0).integers(0, 3000, (5, 6, 7)).astype(np.int16)


def test_a_series_is_sorted_rescaled_and_placed(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, stored.transpose(2, 1, 0) - 1024)
    assert np.allclose(volume.grid.spacing, [0.75, 0.5, 2.5])
    assert np.allclose(volume.grid.origin, [-10, -20, 30])


def test_simpleitk_puts_the_series_in_the_same_place(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image, volume = reader.Execute(), read_volume(tmp_path)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), volume.array)
    for index in [(0, 0, 0), (6, 5, 4), (2, 0, 3)]:
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        assert np.allclose(volume.grid.world_from_voxel(np.array(index, float)), (-x, -y, z), atol=1e-4)


def test_a_file_stands_for_its_series(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    write_series(tmp_path, stored[:2] + 5, series="1.2.4")
    one = next(tmp_path.glob("*_1.2.4.dcm"))
    assert np.array_equal(read_volume(one).array, stored[:2].transpose(2, 1, 0) + 5 - 1024)
    bare = one.rename(tmp_path / "IM0001")
    assert read_volume(bare).grid.shape == (7, 6, 2)


def test_several_series_in_a_folder_are_listed(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    write_series(tmp_path, stored[:2], series="1.2.4")
    with pytest.raises(FileReadError, match="2 series in one folder") as raised:
        read_volume(tmp_path)
    assert "series 4   CT   5 images   e.g. 00_1.2.3.dcm" in str(raised.value)
    assert "series 4   CT   2 images" in str(raised.value)


def test_identifiers_stay_behind(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    write_series(tmp_path / "two", stored)
    text = repr(describe(tmp_path)) + repr(read_volume(tmp_path))
    assert "Doe" not in text
    assert "secret-7" not in text


def test_other_files_in_the_folder_do_not_matter(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    (tmp_path / "README.txt").write_text("notes")
    assert read_volume(tmp_path).grid.shape == (7, 6, 5)


def test_missing_slices_are_counted_and_named(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    (tmp_path / "03_1.2.3.dcm").unlink()
    with pytest.raises(FileReadError, match=r"1 missing slices: the slices are 2.5 mm apart, but 5 mm between"):
        read_volume(tmp_path)


def test_uneven_slices_are_refused(tmp_path: Path, stored: np.ndarray) -> None:
    def shift(ds: FileDataset, n: int) -> None:
        if n == 2:
            ds.ImagePositionPatient = (np.array(ds.ImagePositionPatient) + 0.5 * np.cross(*TURN)).tolist()

    write_series(tmp_path, stored, shift)
    with pytest.raises(FileReadError, match="unevenly spaced slices"):
        read_volume(tmp_path)


def test_gantry_tilt_is_refused_with_the_name(tmp_path: Path, stored: np.ndarray) -> None:
    def tilt(ds: FileDataset, n: int) -> None:
        ds.ImagePositionPatient = (np.array(ds.ImagePositionPatient) + 0.5 * n * TURN[1]).tolist()

    write_series(tmp_path, stored, tilt)
    with pytest.raises(ShearedGridError, match=rf"{tmp_path}: sheared voxel axes: 11.31 degrees .*\n.*gantry tilt"):
        read_volume(tmp_path)


def test_times_at_one_position_are_no_volume(tmp_path: Path, stored: np.ndarray) -> None:
    def twice(ds: FileDataset, n: int) -> None:
        ds.ImagePositionPatient = (np.array([10.0, 20.0, 30.0]) + 2.5 * (n // 2) * np.cross(*TURN)).tolist()

    write_series(tmp_path, stored[:4], twice)
    with pytest.raises(DimensionError, match="2 images at each position"):
        read_volume(tmp_path)


def test_a_slice_that_is_there_twice_is_named_with_its_copy(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored)
    copy = tmp_path / "03_1.2.3 copy.dcm"
    copy.write_bytes((tmp_path / "03_1.2.3.dcm").read_bytes())
    with pytest.raises(
        FileReadError, match=r"1 slices are there more than once: 03_1.2.3 copy.dcm and 03_1.2.3.dcm at"
    ):
        read_volume(tmp_path)


def test_mixed_orientations_and_sizes_are_refused(tmp_path: Path, stored: np.ndarray) -> None:
    def turn(ds: FileDataset, n: int) -> None:
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if n == 3 else ds.ImageOrientationPatient

    def shrink(ds: FileDataset, n: int) -> None:
        if n == 3:
            ds.Rows = 3
            ds.PixelData = ds.PixelData[: 3 * 7 * 2]

    write_series(tmp_path / "a", stored, turn)
    with pytest.raises(FileReadError, match="different orientations"):
        read_volume(tmp_path / "a")
    write_series(tmp_path / "b", stored, shrink)
    with pytest.raises(FileReadError, match=r"different sizes in one series: \[\(3, 7\), \(6, 7\)\]"):
        read_volume(tmp_path / "b")


def test_a_slope_per_slice_gives_float32(tmp_path: Path, stored: np.ndarray) -> None:
    def scale(ds: FileDataset, n: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = 0.5 * (n + 1), 0

    write_series(tmp_path, stored, scale)
    array = read_volume(tmp_path).array
    assert array.dtype == np.float32
    assert np.allclose(array, (stored * (0.5 * np.arange(1, 6))[:, None, None]).transpose(2, 1, 0))


def test_large_rescaled_integers_stay_exact(tmp_path: Path, stored: np.ndarray) -> None:
    def scale(ds: FileDataset, _n: int) -> None:
        ds.RescaleSlope = 100

    write_series(tmp_path, stored, scale)
    array = read_volume(tmp_path).array
    assert array.dtype == np.int32
    assert np.array_equal(array, stored.astype(np.int32).transpose(2, 1, 0) * 100 - 1024)


def test_one_slice_takes_its_thickness(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path, stored[:1])
    assert np.allclose(read_volume(tmp_path).grid.spacing, [0.75, 0.5, 5.0])


def test_radiographs_are_no_volume(tmp_path: Path, stored: np.ndarray) -> None:
    def strip(ds: FileDataset, _n: int) -> None:
        del ds.ImagePositionPatient

    write_series(tmp_path, stored[:1], strip)
    with pytest.raises(DimensionError, match="radiographs"):
        read_volume(tmp_path)


def test_damaged_and_missing_dicom_is_named(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path / "cut", stored)
    file = tmp_path / "cut" / "03_1.2.3.dcm"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(FileReadError, match=r"cut/03_1.2.3.dcm: DICOM that cannot be read"):
        read_volume(tmp_path / "cut")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FileReadError, match=r"cut/03_1.2.3.dcm: not DICOM, or cut off at its beginning"):
        read_volume(tmp_path / "cut")
    (tmp_path / "none").mkdir()
    with pytest.raises(FileReadError, match="no DICOM images in this folder"):
        read_volume(tmp_path / "none")
    (tmp_path / "none" / "x.dcm").write_bytes(b"text")
    with pytest.raises(FileReadError, match=r"x.dcm: not a DICOM image"):
        read_volume(tmp_path / "none" / "x.dcm")


def test_colour_is_refused(tmp_path: Path, stored: np.ndarray) -> None:
    def colour(ds: FileDataset, _n: int) -> None:
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 3, "RGB"

    write_series(tmp_path / "rgb", stored, colour)
    with pytest.raises(FileReadError, match="colour"):
        read_volume(tmp_path / "rgb")


def test_a_broken_segmentation_object_is_named(tmp_path: Path, stored: np.ndarray) -> None:
    def seg(ds: FileDataset, _n: int) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SegmentationStorage

    write_series(tmp_path / "seg", stored, seg)
    with pytest.raises(DimensionError, match="5 segmentation objects in one series"):
        read_volume(tmp_path / "seg")
    with pytest.raises(FileReadError, match="DICOM that cannot be read"):
        read_volume(next((tmp_path / "seg").iterdir()))


def test_an_enhanced_multiframe_image_is_placed_like_its_slices(tmp_path: Path, stored: np.ndarray) -> None:
    write_series(tmp_path / "classic", stored)
    classic = read_volume(tmp_path / "classic")
    files = sorted((tmp_path / "classic").glob("*.dcm"), key=lambda f: pydicom.dcmread(f).ImagePositionPatient[2])
    ds = pydicom.dcmread(files[0])
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(ds, name)
    for name in ("RescaleSlope", "RescaleIntercept"):
        delattr(ds, name)
    shared, frames = pydicom.Dataset(), []
    plane, measures, rescale = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    plane.ImageOrientationPatient = TURN.ravel().tolist()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [0.5, 0.75], 5.0, 2.5
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    shared.PixelValueTransformationSequence = [rescale]
    for n in range(len(stored)):
        frame, position = pydicom.Dataset(), pydicom.Dataset()
        position.ImagePositionPatient = (np.array([10.0, 20.0, 30.0]) + 2.5 * n * np.cross(*TURN)).tolist()
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], frames
    ds.NumberOfFrames, ds.PixelData = len(stored), stored.tobytes()
    ds.FrameOfReferenceUID, ds.StudyInstanceUID = generate_uid(), generate_uid()
    (tmp_path / "enhanced").mkdir()
    ds.save_as(tmp_path / "enhanced" / "e.dcm", enforce_file_format=True)
    for path in (tmp_path / "enhanced", tmp_path / "enhanced" / "e.dcm"):
        volume = read_volume(path)
        assert np.array_equal(volume.array, classic.array)
        assert volume.grid.same_as(classic.grid)
