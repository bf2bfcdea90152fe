"""Where LNQ 2023's data lie: the challenge's files, or TCIA's DICOM (Mediastinal-Lymph-Node-SEG)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from voxbench.errors import FileReadError
from voxbench.io.dicom_series import DicomSeries, dicom_series

Completeness = Literal["full", "partial", "unknown"]
TABLE = "dataset.csv"
ORGANS = (".nii.gz", ".nrrd", ".mha", ".seg.nrrd")
SUFFIXES = (".nrrd", ".nii.gz", ".mha")
NAME = re.compile(r"(lnq2023-(train|val|test)-(\d{4}))-ct")
PATIENT = re.compile(r"case_(\d{1,4})$")
DESCRIPTIONS: dict[str, Completeness] = {"fully annotated": "full", "partially annotated": "partial"}
"""What a segmentation's SeriesDescription says: the only word on completeness that TCIA's data have."""


@dataclass(frozen=True)
class Source:
    """One case.

    Attributes:
        case: As the challenge names it, e.g. ``lnq2023-train-0005``.
        split: train, val or test.
        completeness: Whether all enlarged nodes are labelled.
        image: The CT: a file; of DICOM, a file of its series.
        labels: The nodes; None where there are none.
        whence: ``challenge`` or ``TCIA``.
    """

    case: str
    split: str
    completeness: Completeness
    image: Path
    labels: Path | None
    whence: Literal["challenge", "TCIA"]

    @property
    def inputs(self) -> dict[str, Path]:
        """All files that are read."""
        image = self.image.parent if self.whence == "TCIA" else self.image
        return {"image": image} | ({} if self.labels is None else {"labels": self.labels})

    def told(self, completeness: Mapping[str, Completeness]) -> Source:
        """The same, with what is told of its completeness."""
        return replace(self, completeness=completeness.get(self.case, self.completeness))


def sources_in(data: Path, labels: Path | None = None) -> tuple[Source, ...]:
    """The cases below a folder.

    Args:
        data: Holds CASE-ct.nrrd (also .nii.gz, .mha) with CASE-seg beside it, in any folders; or DICOM of TCIA.
        labels: Label files here come before those beside the CT, e.g. the organisers' corrected ones.

    Raises:
        FileReadError: There are no cases, a name twice, or DICOM that does not make pairs.
    """
    for folder in (data, *([] if labels is None else [labels])):
        if not folder.is_dir():
            raise FileReadError(f"{folder}: no such folder")
    found = _challenge(data, labels) or _tcia(data)
    if not found:
        raise FileReadError(
            f"{data}: no case here\n  expected  lnq2023-train-0005-ct.nrrd with lnq2023-train-0005-seg.nrrd beside it,"
            "\n            or the DICOM of TCIA's Mediastinal-Lymph-Node-SEG: patients case_0005, CT and SEG series"
        )
    _require_unlike(found)
    return tuple(sorted(found, key=lambda source: source.case))


def told_completeness(data: Path) -> dict[str, Completeness]:
    """What a folder's dataset.csv (`voxbench prepare lnq2023` writes one) says of each case; nothing without one.

    Raises:
        FileReadError: It cannot be read, or says something else than full, partial or unknown.
    """
    path = data / TABLE
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(row["case"], row["completeness"]) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise FileReadError(f"{path}: a table with the columns case and completeness is expected: {error}") from error
    others = sorted({told for _, told in rows} - {*get_args(Completeness), "no labels"})
    if others:
        raise FileReadError(
            f"{path}: completeness {', '.join(others)}\n  known are {', '.join(get_args(Completeness))}"
        )
    return {case: cast(Completeness, told) for case, told in rows if told != "no labels"}


def structures_of(folder: Path, cases: Sequence[str]) -> dict[str, Path]:
    """The label map of organs of each case, CASE.nii.gz or .nrrd, .mha, .seg.nrrd; cases without one are left out.

    Raises:
        FileReadError: The folder is not there, or has none of them.
    """
    if not folder.is_dir():
        raise FileReadError(f"{folder}: no such folder")
    found = {case: path for case in cases for ending in ORGANS if (path := folder / f"{case}{ending}").is_file()}
    if not found:
        raise FileReadError(f"{folder}: no organs of any case here\n  expected  {cases[0]}{ORGANS[0]}, and so on")
    return found


def _challenge(data: Path, labels: Path | None) -> list[Source]:
    found = []
    for suffix in SUFFIXES:
        for image in data.rglob(f"[!.]*-ct{suffix}"):
            name = NAME.fullmatch(image.name.removesuffix(suffix))
            if name is not None and image.is_file():
                case, split = name[1], name[2]
                drawn = _labels(case, [*([] if labels is None else [labels]), image.parent])
                full: Completeness = "partial" if split == "train" else "full"
                found.append(Source(case, split, full, image, drawn, "challenge"))
    return found


def _labels(case: str, folders: Iterable[Path]) -> Path | None:
    """The first folder's that has any."""
    for folder in folders:
        for suffix in (".nrrd", ".seg.nrrd", *SUFFIXES[1:]):
            there = sorted(folder.rglob(f"{case}-seg{suffix}"))
            if there:
                return there[0]
    return None


def _tcia(data: Path) -> list[Source]:
    patients: dict[str, list[DicomSeries]] = {}
    for series in dicom_series(data):
        if PATIENT.search(series.patient):
            patients.setdefault(series.patient, []).append(series)
    return [_case(patient, series) for patient, series in patients.items()]


def _case(patient: str, series: list[DicomSeries]) -> Source:
    """The one pair of a patient; which 20 of the fully annotated were for validation is not told: all are test."""
    drawn = [one for one in series if one.segmentation]
    images = [one for one in series if one.modality == "CT"]
    if drawn:
        images = [one for one in images if one.uid == drawn[0].refers_to] or images
    if len(drawn) > 1 or len(images) != 1:
        raise FileReadError(
            f"{patient}: {len(images)} CT series and {len(drawn)} segmentations, one of each is expected\n  "
            + "\n  ".join(f"{one.modality}  {one.files} files  {one.file}" for one in series)
        )
    completeness = DESCRIPTIONS.get(drawn[0].description.strip().lower(), "unknown") if drawn else "unknown"
    split = "test" if completeness == "full" else "train"
    number = PATIENT.search(patient)
    assert number is not None
    labels = drawn[0].file if drawn else None
    return Source(f"lnq2023-{split}-{int(number[1]):04d}", split, completeness, images[0].file, labels, "TCIA")


def _require_unlike(found: list[Source]) -> None:
    seen: dict[str, Path] = {}
    for source in found:
        if source.case in seen:
            raise FileReadError(f"{source.case}: there twice\n  {seen[source.case]}\n  {source.image}")
        seen[source.case] = source.image
