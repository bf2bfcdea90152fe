"""Whole image files of every format: made here, and some that come with nibabel and pydicom."""

from __future__ import annotations

import bz2
import gzip
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from voxbench.geometry import DisplacementField, Grid, LabelMap, Volume

GRID = Grid.from_parts((7, 6, 5), (0.8, 0.9, 2.5), (-10.0, 20.0, 30.0))


@dataclass(frozen=True)
class Sample:
    """Whole files that are read together.

    Attributes:
        files: Content by name; names may have folders.
        entry: What is handed to the reader: one of them, or "" for the folder.
    """

    files: Mapping[str, bytes]
    entry: str


def written(name: str, write: Callable[[Path], object]) -> Sample:
    """What a writer leaves; the first name is the entry."""
    with TemporaryDirectory() as folder:
        write(Path(folder) / name)
        files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}
    return Sample(files, name)


def _volume() -> Volume:
    return Volume(np.random.default_rng(0).integers(-1000, 1000, GRID.shape).astype(np.int16), GRID)


def _labels() -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[1:4, 1:4, 1:4], array[5:, 4:, 3:] = 1, 2
    return LabelMap(array, GRID, {1: "femur", 2: "tibia"})


def field_of_noise() -> DisplacementField:
    return DisplacementField(np.random.default_rng(1).normal(size=(*GRID.shape, 3)).astype(np.float32), GRID)


def _images(suffix: str) -> list[Sample]:
    from voxbench.io import write_labels, write_volume

    real = Volume(_volume().array.astype(np.float32) / 7, GRID)
    return [
        written(f"image{suffix}", lambda p: write_volume(p, _volume())),
        written(f"labels{suffix}", lambda p: write_labels(p, _labels())),
        written(f"real{suffix}", lambda p: write_volume(p, real)),
    ]


def _fields(suffix: str, *conventions: Any) -> list[Sample]:
    from voxbench.io import write_displacement

    return [
        written(f"{c}{suffix}", lambda p, c=c: write_displacement(p, field_of_noise(), convention=c))
        for c in conventions
    ]


def _package_files(package: str, folder: str, *names: str) -> list[Sample]:
    """Real files that come with an installed package."""
    from importlib.util import find_spec

    spec = find_spec(package)
    root = Path(spec.origin).parent / folder if spec is not None and spec.origin else Path()
    return [Sample({name: (root / name).read_bytes()}, name) for name in names if (root / name).is_file()]


def nifti() -> list[Sample]:
    plain = [Sample({s.entry[:-3]: gzip.decompress(s.files[s.entry])}, s.entry[:-3]) for s in _images(".nii.gz")]
    return (
        plain + _fields(".nii", "voxel") + _package_files("nibabel", "tests/data", "anatomical.nii", "functional.nii")
    )


def nifti_gz() -> list[Sample]:
    real = _package_files("nibabel", "tests/data", "example_nifti2.nii.gz")
    return _images(".nii.gz") + _fields(".nii.gz", "voxel", "itk", "mm-ras") + real


def nrrd() -> list[Sample]:
    head = b"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 7 6 5\n"
    head += b"space directions: (1,0,0) (0,1,0) (0,0,2)\n"
    head += b"kinds: domain domain domain\nendian: little\nencoding: %s\nspace origin: (1,2,3)\n"
    voxels = np.arange(210, dtype="<i2").tobytes()
    text = b" ".join(str(n).encode() for n in range(210))
    return [
        *_images(".nrrd"),
        *_images(".seg.nrrd")[1:2],
        *_fields(".nrrd", "itk"),
        Sample({"raw.nrrd": head % b"raw" + b"\n" + voxels}, "raw.nrrd"),
        Sample({"bz2.nrrd": head % b"bzip2" + b"\n" + bz2.compress(voxels)}, "bz2.nrrd"),
        Sample({"text.nrrd": head % b"ascii" + b"\n" + text}, "text.nrrd"),
        Sample({"a.nhdr": head % b"raw" + b"data file: a.raw\n\n", "a.raw": voxels}, "a.nhdr"),
        Sample({"b.nhdr": head % b"gzip" + b"data file: b.raw.gz\n\n", "b.raw.gz": gzip.compress(voxels)}, "b.nhdr"),
    ]


def metaimage() -> list[Sample]:
    head = b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    head += b"TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 1 1 2\n"
    head += b"DimSize = 7 6 5\nElementType = MET_SHORT\n"
    voxels = np.arange(210, dtype="<i2").tobytes()
    return [
        *_images(".mha"),
        *_images(".mhd")[:2],
        *_fields(".mha", "itk"),
        Sample({"raw.mha": head + b"ElementDataFile = LOCAL\n" + voxels}, "raw.mha"),
        Sample({"a.mhd": head + b"ElementDataFile = a.raw\n", "a.raw": voxels}, "a.mhd"),
    ]


def mgz() -> list[Sample]:
    return _images(".mgz") + _images(".mgh") + _package_files("nibabel", "tests/data", "test.mgz")


def _slices() -> dict[str, bytes]:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    files = {}
    for n in range(3):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.3.{n + 1}"
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # pyright: ignore
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"1.2.3.{n + 1}"
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2", "1.2.9"
        ds.SeriesNumber, ds.InstanceNumber, ds.Modality, ds.SeriesDescription = 2, n + 1, "CT", "chest"
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "case", "", "", ""
        ds.StudyID, ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.ReferringPhysicianName = (
            "",
            "20230101",
            "000000",
            "",
            "",
        )
        ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 8, 9, 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelSpacing, ds.SliceThickness = [0.5, 0.75], 2.5
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [10.0, 20.0, 30.0 + 2.5 * n]
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = np.arange(n, n + 72, dtype="<i2").tobytes()
        buffer = io.BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        files[f"{n}.dcm"] = buffer.getvalue()
    return files


REAL_DICOM = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "liver_1frame.dcm",
    "rtdose.dcm",
    "JPEG2000.dcm",
    "JPEG-lossy.dcm",
    "SC_rgb_rle_2frame.dcm",
    "image_dfl.dcm",
)


def dicom() -> list[Sample]:
    real = _package_files("pydicom", "data/test_files", *REAL_DICOM)
    return [Sample(_slices(), ""), Sample(_slices(), "1.dcm"), *real]


def dicom_seg() -> list[Sample]:
    import highdicom as hd
    import pydicom
    from pydicom.sr.codedict import codes

    images = [pydicom.dcmread(io.BytesIO(content)) for content in _slices().values()]
    pixels = np.zeros((3, 8, 9), np.uint8)
    pixels[1:, 2:5, 2:5], pixels[0, 6:, 6:] = 1, 2
    kind = codes.SCT.AnatomicalStructure, codes.SCT.LymphNode, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    described = [hd.seg.SegmentDescription(n, f"node {n}", *kind) for n in (1, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = hd.seg.Segmentation(
            images, pixels, hd.seg.SegmentationTypeValues.BINARY, described, "1.2.5", 9, "1.2.5.1", 1,
            "voxbench", "fuzz", "1", "1",
        )  # fmt: skip
    buffer = io.BytesIO()
    made.save_as(buffer)
    return [Sample({"seg.dcm": buffer.getvalue()}, "seg.dcm")]


def radiographs() -> list[Sample]:
    from voxbench.geometry.projection import View
    from voxbench.io import write_radiograph_dicom, write_radiograph_png

    image = np.random.default_rng(5).uniform(size=(8, 9))
    view = View(
        np.array([0, 500.0, 0]),
        np.array([0, -500.0, 0]),
        np.array([1.0, 0, 0]),
        np.array([0, 0, -1.0]),
        (1.0, 1.0),
        (8, 9),
    )
    return [
        written("a.png", lambda p: write_radiograph_png(p, image, (0.5, 0.5))),
        written("a.dcm", lambda p: write_radiograph_dicom(p, image, view)),
        *_package_files("pydicom", "data/test_files", "MR_small_RLE.dcm", "JPEG-lossy.dcm"),
    ]
