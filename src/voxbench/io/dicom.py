"""DICOM series: one folder or file to one volume; identifiers stay behind."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import DimensionError, FileReadError
from voxbench.io.atomic import AnyPath, require_file
from voxbench.io.dicom_segments import SEGMENTATIONS, in_file_order, read_segments
from voxbench.io.failures import named_failures
from voxbench.io.limits import require_plausible
from voxbench.io.raw import LPS_FROM_RAS, RawImage
from voxbench.types import AnyArray

STEP_TOLERANCE = 0.02
"""Relative to the slice spacing: headers round their positions."""
SAME_PLACE_MM = 1e-3
HEADER_ONLY = (
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "NumberOfFrames",
    "SOPClassUID",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
)


def read_dicom(path: AnyPath) -> RawImage:
    """Read a DICOM series as one volume, rescaled (to Hounsfield units for CT).

    i runs along the columns, j along the rows, k along the slices in the direction of the slice normal. Integers stay
    integers when the rescale slope and intercept are whole numbers; otherwise the values are float32.

    A segmentation object is read as a label map that keeps the segments' numbers and names.

    Args:
        path: A folder that holds one series, or one file: then the series it belongs to, in its folder.

    Raises:
        FileReadError: No DICOM images, several series in the folder, slices missing or there twice, or a damaged file.
        DimensionError: Several images at one position (a time or echo series), or a single 2-D image such as a
            radiograph.
    """
    path = Path(path)
    with _named_failures(path):
        return _image(path)


def _image(path: Path) -> RawImage:
    """By what the headers say."""
    chosen, headers = _series(path)
    for file, header in zip(chosen, headers, strict=True):
        require_pixels(file, header)
    if str(headers[0].get("SOPClassUID")) in SEGMENTATIONS:
        return _segments(path, chosen)
    if _frames(headers[0]) > 1:
        return _multiframe(path, chosen)
    slices = []
    for file in chosen:
        with _named_failures(file):
            slices.append(_read(file))
    return _stacked(path, chosen, slices)


def require_pixels(path: Path, header: Any) -> None:
    """Refuse a header that promises more pixels than its file can hold.

    Raises:
        FileReadError: It does, or its numbers are none.
    """
    with _named_failures(path):
        counts = (header.get(tag) or 1 for tag in ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"))
        bits = math.prod(int(count) for count in counts) * int(header.get("BitsAllocated") or 1)
        require_plausible(path, bits // 8, otherwise=True)


def looks_like_dicom(path: Path) -> bool:
    """Whether a file has DICOM's preamble."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_header(path: Path, tags: Sequence[str]) -> Any:
    """Some values of a file's header.

    Raises:
        FileReadError: The file is damaged.
    """
    with _named_failures(path):
        return _read(path, tags)


def series_headers(path: Path) -> list[Any]:
    """All headers of a classic series, in the order in which `read_dicom` stacks the slices.

    Args:
        path: A folder that holds one series, or one of its files.

    Raises:
        FileReadError: It cannot be read.
        DimensionError: It is a multi-frame image, or its images have no position in space.
    """
    import pydicom

    chosen, headers = _series(path)
    if _frames(headers[0]) > 1 or str(headers[0].get("SOPClassUID")) in SEGMENTATIONS:
        raise DimensionError(f"{path}: a multi-frame image; a classic series, one file per slice, is needed")
    whole = []
    for file in chosen:
        with _named_failures(file):
            whole.append(pydicom.dcmread(file, stop_before_pixels=True))
    if any("ImagePositionPatient" not in one or "ImageOrientationPatient" not in one for one in whole):
        raise DimensionError(f"{path}: images without a position in space (radiographs?)")
    cosines = np.array(whole[0].ImageOrientationPatient, dtype=np.float64)
    normal = np.cross(cosines[:3], cosines[3:])
    return sorted(whole, key=lambda one: float(np.array(one.ImagePositionPatient, dtype=np.float64) @ normal))


def _frames(header: Any) -> int:
    """How many frames a file holds."""
    return int(header.get("NumberOfFrames") or 1)


def _read(path: Path, tags: Sequence[str] | None = None) -> Any:
    """One file, with pydicom's remarks on sloppy values kept quiet."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, specific_tags=None if tags is None else list(tags), stop_before_pixels=bool(tags))


def _named_failures(path: Path) -> AbstractContextManager[None]:
    """What pydicom and highdicom raise, as an error that names the file."""
    return named_failures(path, "DICOM that cannot be read")


def _series(path: Path) -> tuple[list[Path], list[Any]]:
    """The files of the one series asked for, and their headers."""
    folder = path if path.is_dir() else require_file(path).parent
    named = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    files = [file for file in named if looks_like_dicom(file)]
    headers = {}
    for file in files:
        with _named_failures(file):
            headers[file] = _read(file, HEADER_ONLY)
    images = {file: header for file, header in headers.items() if "Rows" in header}
    if not path.is_dir():
        if path not in images:
            raise FileReadError(f"{path}: not a DICOM image")
        if _frames(images[path]) > 1 or str(images[path].get("SOPClassUID")) in SEGMENTATIONS:
            return [path], [images[path]]
        wanted = images[path].get("SeriesInstanceUID")
        images = {f: h for f, h in images.items() if h.get("SeriesInstanceUID") == wanted}
    if not images:
        raise FileReadError(
            f"{path}: no DICOM images in this folder ({len(files)} DICOM files)\n"
            "  name an image file, or a folder that holds the slices of one series"
        )
    damaged = [file for file in named if file.suffix.lower() == ".dcm" and file not in headers]
    if path.is_dir() and damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        raise FileReadError(f"{damaged[0]}{more}: not DICOM, or cut off at its beginning\n  copy the series again")
    _require_one_series(path, images)
    return list(images), list(images.values())


def _require_one_series(path: Path, images: dict[Path, Any]) -> None:
    """Refuse a folder of several series, with a list of them."""
    groups: dict[str, list[Path]] = {}
    for file, header in images.items():
        groups.setdefault(str(header.get("SeriesInstanceUID")), []).append(file)
    if len(groups) == 1:
        return
    lines = [
        f"  series {images[g[0]].get('SeriesNumber', '?')}   {images[g[0]].get('Modality', '?')}   "
        f"{len(g)} images   e.g. {g[0].name}"
        for g in groups.values()
    ]
    raise FileReadError(
        f"{path}: {len(groups)} series in one folder; give one file of the series you want\n" + "\n".join(lines)
    )


def _stacked(path: Path, files: list[Path], slices: list[Any]) -> RawImage:
    """Slices of a classic series, in order along their normal."""
    if any("ImagePositionPatient" not in s or "ImageOrientationPatient" not in s for s in slices):
        raise DimensionError(f"{path}: images without a position in space (radiographs?); a volume cannot be built")
    cosines = np.array([s.ImageOrientationPatient for s in slices], dtype=np.float64)
    if np.abs(cosines - cosines[0]).max() > 1e-3:
        raise FileReadError(f"{path}: slices of different orientations in one series (a localizer?)")
    sizes = {(int(s.Rows), int(s.Columns)) for s in slices}
    if len(sizes) > 1:
        raise FileReadError(f"{path}: slices of different sizes in one series: {sorted(sizes)}")
    row, column = cosines[0][:3], cosines[0][3:]
    positions = np.array([s.ImagePositionPatient for s in slices], dtype=np.float64)
    along = positions @ np.cross(row, column)
    order = np.argsort(along, kind="stable")
    _require_one_each(path, along[order], [files[n] for n in order])
    step = _slice_step(path, along[order], positions[order], slices[0], np.cross(row, column))
    spacing = [float(v) for v in slices[0].PixelSpacing]
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = row * spacing[1], column * spacing[0], step
    lps[:3, 3] = positions[order[0]]
    array = _values([files[n] for n in order], [slices[n] for n in order])
    return RawImage(path, f"DICOM series, {slices[0].get('Modality', '?')}", array, LPS_FROM_RAS @ lps)


def _require_one_each(path: Path, along: np.ndarray, files: list[Path]) -> None:
    """Refuse several images at one position, all in place order."""
    new_place = np.concatenate([[True], np.diff(along) >= SAME_PLACE_MM])
    images = np.bincount(np.cumsum(new_place))[1:]
    if images.max() == 1:
        return
    if images.min() == images.max():
        raise DimensionError(
            f"{path}: {images[0]} images at each position: a series over time or echoes, not one volume\n"
            "  put one time point in a folder of its own"
        )
    twice = np.flatnonzero(~new_place) - 1
    named = [f"{files[n].name} and {files[n + 1].name} at {along[n]:.4g} mm" for n in twice[:5]]
    raise FileReadError(
        f"{path}: {int((images > 1).sum())} slices are there more than once: {'; '.join(named)}\n"
        "  take the copies out of the folder"
    )


def _slice_step(path: Path, along: np.ndarray, positions: np.ndarray, first: Any, normal: np.ndarray) -> np.ndarray:
    """The vector from one slice to the next, after checking that they are evenly spaced."""
    if len(along) == 1:
        return normal * float(first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 1.0)
    steps = np.diff(along)
    spacing = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - spacing) > STEP_TOLERANCE * spacing + 1e-3)
    if uneven.size:
        gaps = [f"{steps[n]:.4g} mm between {along[n]:.4g} and {along[n + 1]:.4g} mm" for n in uneven[:5]]
        missing = sum(round(steps[n] / spacing) - 1 for n in uneven)
        what = f"{missing} missing slices" if missing > 0 else "unevenly spaced slices"
        raise FileReadError(
            f"{path}: {what}: the slices are {spacing:.4g} mm apart, but {'; '.join(gaps)}\n"
            "  complete the series, or resample it to even spacing first"
        )
    return (positions[-1] - positions[0]) / (len(along) - 1)


def _values(files: list[Path], slices: list[Any]) -> np.ndarray:
    """Rescaled values, [column, row, slice]."""
    if int(slices[0].get("SamplesPerPixel", 1)) != 1:
        raise FileReadError(f"{files[0]}: DICOM that cannot be read: colour images are not volumes of intensities")
    planes = []
    for file, slice_ in zip(files, slices, strict=True):
        with _named_failures(file):
            planes.append(_rescaled(slice_))
    if any(plane.dtype.kind == "f" for plane in planes):
        dtype = np.dtype(np.float32)
    elif len({plane.dtype for plane in planes}) == 1 and planes[0].dtype != np.int64:
        dtype = planes[0].dtype
    else:
        ends = np.array([[plane.min(), plane.max()] for plane in planes])
        dtype = np.dtype(_narrow(ends))
    # Written slice by slice: a micro-CT of a thousand slices is held once, and never in 64 bits.
    values = np.empty((planes[0].shape[1], planes[0].shape[0], len(planes)), dtype)
    for n, plane in enumerate(planes):
        values[:, :, n] = plane.T
    return values


def _rescaled(slice_: Any) -> np.ndarray:
    """The values of one slice, [row, column]: as stored, whole numbers, or float32."""
    slope, intercept = float(slice_.get("RescaleSlope", 1.0)), float(slice_.get("RescaleIntercept", 0.0))
    stored = slice_.pixel_array
    slice_._pixel_array = None  # neither the decoded nor the stored pixels are looked at again
    del slice_.PixelData
    if (slope, intercept) == (1.0, 0.0):
        return stored
    if slope.is_integer() and intercept.is_integer():
        whole = stored.astype(np.int64) * int(slope) + int(intercept)
        return whole.astype(_narrow(whole))
    return (stored * slope + intercept).astype(np.float32)


def _narrow(values: AnyArray) -> type:
    """int16 where it holds the values, else int32."""
    return np.int16 if values.min() >= -(2**15) and values.max() < 2**15 else np.int32


def _multiframe(path: Path, files: list[Path]) -> RawImage:
    """An enhanced (multi-frame) image, by highdicom; slices run along their normal, as in a classic series."""
    import highdicom as hd

    if len(files) > 1:
        raise DimensionError(f"{path}: {len(files)} multi-frame images in one series; give one of the files alone")
    volume = hd.imread(files[0]).get_volume()
    array, affine = np.asarray(volume.array), np.asarray(volume.affine, dtype=np.float64)
    if array.ndim != 3:
        raise ValueError("colour images are not volumes of intensities")
    whole = array.astype(np.int64)
    array = whole.astype(_narrow(whole)) if np.array_equal(whole, array) else array.astype(np.float32)
    array, matrix = in_file_order(array, affine)
    return RawImage(path, "DICOM multi-frame", array, matrix)


def _segments(path: Path, files: list[Path]) -> RawImage:
    """A segmentation object; one file, whatever it holds."""
    if len(files) > 1:
        raise DimensionError(f"{path}: {len(files)} segmentation objects in one series; give one of the files alone")
    return read_segments(files[0])
