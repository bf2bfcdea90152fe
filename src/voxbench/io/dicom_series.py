"""Which DICOM series lie below a folder, by their headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbench.errors import FileReadError
from voxbench.io.dicom import looks_like_dicom, read_header
from voxbench.io.dicom_segments import SEGMENTATIONS

TAGS = ("SeriesInstanceUID", "PatientID", "Modality", "SeriesDescription", "SOPClassUID", "ReferencedSeriesSequence")


@dataclass(frozen=True)
class DicomSeries:
    """One series.

    Attributes:
        file: The first of its files; ``read_volume`` or ``read_labels`` of it reads the series.
        files: How many there are.
        patient: The identifier in the header.
        modality: CT, SEG, ...
        description: Of the series.
        uid: Of the series.
        segmentation: Whether it is a segmentation object.
        refers_to: The series that a segmentation is of; empty if it does not say.
    """

    file: Path
    files: int
    patient: str
    modality: str
    description: str
    uid: str
    segmentation: bool
    refers_to: str = ""


def dicom_series(folder: Path) -> tuple[DicomSeries, ...]:
    """All series below a folder, in the order of their first files; every header is read.

    Raises:
        FileReadError: The folder cannot be read, or a file is damaged.
    """
    if not folder.is_dir():
        raise FileReadError(f"{folder}: no such folder")
    firsts: dict[str, tuple[Path, Any]] = {}
    counts: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.is_file() or not looks_like_dicom(path):
            continue
        header = read_header(path, TAGS)
        uid = str(header.get("SeriesInstanceUID", ""))
        if uid:
            firsts.setdefault(uid, (path, header))
            counts[uid] = counts.get(uid, 0) + 1
    return tuple(_series(uid, *first, counts[uid]) for uid, first in firsts.items())


def _series(uid: str, path: Path, header: Any, files: int) -> DicomSeries:
    refers = [str(item.get("SeriesInstanceUID", "")) for item in header.get("ReferencedSeriesSequence") or []]
    return DicomSeries(
        path,
        files,
        str(header.get("PatientID", "")),
        str(header.get("Modality", "")),
        str(header.get("SeriesDescription", "")),
        uid,
        str(header.get("SOPClassUID")) in SEGMENTATIONS,
        refers[0] if refers else "",
    )
