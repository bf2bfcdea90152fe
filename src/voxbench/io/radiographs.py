"""Radiographs as files: DICOM, 16-bit PNG; MetaImage and NumPy archives (reading)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import DimensionError, FileReadError, NotFiniteError
from voxbench.geometry.projection import View
from voxbench.io.arrays import read_arrays
from voxbench.io.atomic import AnyPath, atomic, require_file
from voxbench.io.failures import named_failures
from voxbench.io.limits import require_plausible
from voxbench.types import AnyArray

_WHOLE = 65535
_PNG, _PNG_HEADER = b"\x89PNG\r\n\x1a\n", 33


@dataclass(frozen=True, eq=False)
class RadiographFile:
    """What a file holds.

    Attributes:
        image: float32 (rows, columns), row 0 on top.
        pixel_mm: On the detector, between rows and between columns, if the file says so.
    """

    image: AnyArray
    pixel_mm: tuple[float, float] | None


def write_radiograph_dicom(
    path: AnyPath, image: AnyArray, view: View, angles: tuple[float, float] | None = None
) -> None:
    """Write line integrals as a DICOM secondary capture: 16 bits, rescale slope, pixel spacing on the detector.

    The distances are in the file, the pose is not: it is in the views' own file. No identifiers are written but fresh
    UIDs.

    Args:
        path: Where the file will be; replaced if there.
        image: (rows, columns), finite. Values are stored to 1/65535 of their range.
        view: Where from.
        angles: The positioner's primary and secondary angle, degrees, if it is a C-arm.

    Raises:
        NotFiniteError: Some values are NaN or infinite.
        FileWriteError: The file cannot be written.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    stored, low, slope = _sixteen(image, str(path))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "", "", "", ""
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "", "", "", ""
    data.ReferringPhysicianName, data.SeriesNumber, data.InstanceNumber = "", 1, 1
    data.Modality, data.ConversionType, data.ImageType = "DX", "SYN", ["DERIVED", "PRIMARY"]
    data.PatientOrientation = ""
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = image.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.ImagerPixelSpacing = [_decimal(p) for p in view.pixel_mm]
    data.DistanceSourceToDetector = _decimal(view.source_to_detector)
    if angles is not None:
        data.PositionerPrimaryAngle, data.PositionerSecondaryAngle = (_decimal(angle) for angle in angles)
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = _decimal(low), _decimal(slope), "US"
    data.WindowCenter, data.WindowWidth = _decimal(low + slope * _WHOLE / 2), _decimal(max(slope * _WHOLE, 1e-6))
    data.PixelData = stored.astype("<u2").tobytes()
    with atomic(path) as temporary:
        data.save_as(temporary, enforce_file_format=True)


def write_radiograph_png(path: AnyPath, image: AnyArray, pixel_mm: tuple[float, float] | None = None) -> None:
    """Write an image as 16-bit grey PNG, its least value black and its greatest white, with the pixel size.

    Raises:
        NotFiniteError: Some values are NaN or infinite.
        FileWriteError: The file cannot be written.
    """
    stored, _, _ = _sixteen(image, str(path))
    rows, cols = stored.shape
    lines = np.zeros((rows, 1 + 2 * cols), np.uint8)
    lines[:, 1:] = stored.astype(">u2").view(np.uint8)
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", cols, rows, 16, 0, 0, 0, 0))]
    if pixel_mm is not None:
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", round(1000 / pixel_mm[1]), round(1000 / pixel_mm[0]), 1)))
    parts += [_chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)), _chunk(b"IEND", b"")]
    with atomic(path) as temporary:
        temporary.write_bytes(_PNG + b"".join(parts))


def read_radiograph(path: AnyPath, index: int = 0) -> RadiographFile:
    """An image of a DICOM file, a grey PNG, a flat .mha, or the ``projs`` of an .npz archive.

    Args:
        path: The file.
        index: Which view of an archive.

    Returns:
        Values as they stand (DICOM's rescaling is applied; nothing is inverted).

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        DimensionError: Not one grey image.
    """
    path = require_file(path)
    suffix = path.suffix.lower()
    reader = {
        ".npz": lambda: _read_npz(path, index),
        ".png": lambda: _read_png(path),
        ".mha": lambda: _read_metaimage(path),
    }.get(suffix)
    if reader is None:
        from voxbench.io.dicom import looks_like_dicom

        if suffix != ".dcm" and not looks_like_dicom(path):
            raise FileReadError(f"{path}: unknown kind of radiograph\n  known are DICOM, .png, .mha and .npz")
        return _read_dicom(path)
    return reader()


def _read_npz(path: Path, index: int) -> RadiographFile:
    held = read_arrays(path, pass_over=True)
    stack = held.get("projs")
    if stack is None:
        raise FileReadError(f"{path}: has no array 'projs'\n  found  {', '.join(held) or 'nothing'}")
    if stack.dtype.kind not in "biuf":
        raise FileReadError(f"{path}: projs: values of type {stack.dtype}; only real numbers are read")
    if stack.ndim != 3 or not 0 <= index < len(stack):
        raise DimensionError(
            f"{path}: view {index} of an array of shape {stack.shape}; expected (views, rows, columns)"
        )
    return RadiographFile(stack[index].astype(np.float32), None)


def _read_png(path: Path) -> RadiographFile:
    from skimage.io import imread

    content = path.read_bytes()
    if not content.startswith(_PNG) or len(content) < _PNG_HEADER:
        raise FileReadError(f"{path}: damaged, or not a PNG")
    across, down, bits = struct.unpack(">IIB", content[16:25])
    require_plausible(path, across * down * bits // 8, deflated=True)
    with named_failures(path, "damaged, or not a PNG"):
        image = np.asarray(imread(path))
    if image.ndim != 2:
        raise DimensionError(f"{path}: not a grey image: its shape is {image.shape}")
    return RadiographFile(image.astype(np.float32), _png_pixel_mm(content))


def _read_metaimage(path: Path) -> RadiographFile:
    """Two axes, or a third of length 1; the first runs along rows."""
    from voxbench.io.metaimage import read_metaimage

    raw = read_metaimage(path)
    array = raw.array[..., 0] if raw.array.ndim == 3 and raw.array.shape[-1] == 1 else raw.array
    if array.ndim != 2 or raw.vectors:
        raise DimensionError(f"{path}: not one grey image: its shape is {raw.array.shape}")
    across, down = np.linalg.norm(raw.world_from_voxel[:3, :2], axis=0)
    return RadiographFile(np.ascontiguousarray(array.T, np.float32), (float(down), float(across)))


def _png_pixel_mm(content: bytes) -> tuple[float, float] | None:
    """From the pHYs chunk, where it counts per metre."""
    at = content.find(b"pHYs")
    if at < 0:
        return None
    values = content[at + 4 : at + 13]
    across, down, unit = struct.unpack(">IIB", values) if len(values) == 9 else (0, 0, 0)
    return (1000 / down, 1000 / across) if unit == 1 and across and down else None


def _read_dicom(path: Path) -> RadiographFile:
    import pydicom

    from voxbench.io.dicom import require_pixels

    with named_failures(path, "damaged, or not a DICOM image"):
        data: Any = pydicom.dcmread(path)
        require_pixels(path, data)
        stored = np.asarray(data.pixel_array)
        if stored.ndim != 2:
            raise DimensionError(f"{path}: not one grey image: its pixels have shape {stored.shape}")
        image = stored * float(data.get("RescaleSlope", 1.0)) + float(data.get("RescaleIntercept", 0.0))
        spacing = data.get("ImagerPixelSpacing", None) or data.get("PixelSpacing", None)
        return RadiographFile(image.astype(np.float32), (float(spacing[0]), float(spacing[1])) if spacing else None)


def _sixteen(image: AnyArray, name: str) -> tuple[np.ndarray, float, float]:
    """Whole numbers from 0 to 65535, and the intercept and slope that bring the values back."""
    values = np.asarray(image, np.float64)
    if values.ndim != 2:
        raise DimensionError(f"{name}: a radiograph has two axes; this array has {values.ndim}")
    if not np.isfinite(values).all():
        raise NotFiniteError(f"{name}: some pixels are NaN or infinite")
    low = float(f"{values.min():.8g}")
    slope = float(f"{max(float(np.ptp(values)), 1e-12) / _WHOLE:.8g}")
    return np.clip(np.rint((values - low) / slope), 0, _WHOLE).astype(np.uint16), low, slope


def _decimal(value: float) -> str:
    """A DICOM decimal string: at most 16 characters."""
    return f"{value:.8g}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
