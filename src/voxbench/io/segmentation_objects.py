"""Label maps as DICOM segmentation objects of the series they were drawn on.

References:
    C. P. Bridge et al., Highdicom: a Python library for standardized encoding of image annotations and machine learning
    model outputs in pathology and radiology, Journal of Digital Imaging 35:1719-1737, 2022,
    doi:10.1007/s10278-022-00683-y.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import LabelMap, require_same_grid
from voxbench.geometry.orientation import Reordering
from voxbench.io.atomic import AnyPath, atomic
from voxbench.io.dicom import series_headers
from voxbench.io.dicom_segments import LABEL_ID
from voxbench.io.read import read_grid
from voxbench.io.segments import Colour, segment_colour
from voxbench.types import AnyArray

Coded = Literal["anatomy", "vertebra", "canal", "lymph node"]
_CODES: dict[str, str] = {
    "anatomy": "AnatomicalStructure",
    "vertebra": "Vertebra",
    "canal": "VertebralCanal",
    "lymph node": "LymphNode",
}
LABEL_CHARACTERS = 64
"""A segment's label in DICOM is no longer."""


@dataclass(frozen=True)
class SegmentationObject:
    """How a label map is written.

    Attributes:
        form: ``binary`` (a frame per segment and slice, those without it left out: what every viewer reads) or
            ``labelmap`` (one frame per slice, in DICOM since 2024).
        algorithm: Name of what made the labels; None: a person did.
        description: Of the series.
        colours: By label.
        coded: What a label is, in SNOMED CT; ``anatomy`` where nothing is said.
    """

    form: Literal["binary", "labelmap"] = "binary"
    algorithm: str | None = None
    description: str = "Segmentation"
    colours: Mapping[int, Colour] = field(default_factory=dict)
    coded: Mapping[int, Coded] = field(default_factory=dict)


def write_segmentation_object(
    path: AnyPath, labels: LabelMap, series: AnyPath, settings: SegmentationObject | None = None
) -> tuple[int, ...]:
    """Write a label map as a segmentation object; who the patient is is taken over from the series.

    Segments are numbered from 1, as DICOM wants it; the label itself is kept in each segment's description, from which
    `read_labels` has it back.

    Args:
        path: Where the file will be.
        labels: On the grid of the series; its voxels may run along other axes or the other way.
        series: Folder of a classic DICOM series, or one of its files.
        settings: How it is written.

    Returns:
        The labels, in the order of the segments.

    Raises:
        EmptyShapeError: There is nothing but background.
        GridMismatchError: The label map does not lie on the grid of the series.
        InputError: The series cannot be read, or lacks what a segmentation must refer to.
    """
    from highdicom import UID

    settings = settings or SegmentationObject()
    headers = series_headers(Path(series))
    frames = _frames(labels, Path(series))
    ids = labels.ids
    if not ids:
        raise EmptyShapeError(f"{path}: no label but background; there is nothing to write")
    if ids[0] < 0:
        raise InputError(f"{path}: label {ids[0]}; labels are 0 (background) and up")
    dense = np.searchsorted(np.array([0, *ids]), frames).astype(np.uint8 if len(ids) < 256 else np.uint16)
    described = [_described(number, label, labels, settings) for number, label in enumerate(ids, start=1)]
    made = _made(headers, dense, described, settings, str(UID()), str(UID()), series)
    with atomic(path) as temporary:
        made.save_as(temporary)
    return ids


def _frames(labels: LabelMap, series: Path) -> AnyArray:
    """The labels as [slice, row, column] of the series."""
    grid = read_grid(series)
    order = Reordering.to(labels.grid, grid.orientation[:3])  # a + behind them says oblique
    require_same_grid(grid, order.grid(labels.grid), (str(series), "labels"))
    return np.ascontiguousarray(order(labels.array).transpose(2, 1, 0))


def _described(number: int, label: int, labels: LabelMap, settings: SegmentationObject) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    algorithm, kind = None, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    if settings.algorithm is not None:
        kind = hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
        algorithm = hd.AlgorithmIdentificationSequence(
            settings.algorithm, codes.DCM.ArtificialIntelligence, version("voxbench")
        )
    colour = settings.colours.get(label, segment_colour(number - 1))
    described = hd.seg.SegmentDescription(
        number,
        labels.names.get(label, f"label {label}")[:LABEL_CHARACTERS],
        codes.SCT.AnatomicalStructure,
        getattr(codes.SCT, _CODES[settings.coded.get(label, "anatomy")]),
        kind,
        algorithm,
        display_color=hd.color.CIELabColor.from_rgb(*(round(255 * share) for share in colour)),
    )
    described.SegmentDescription = LABEL_ID.format(label)
    return described


def _made(
    headers: list[Any],
    frames: AnyArray,
    described: list[Any],
    settings: SegmentationObject,
    uid: str,
    instance: str,
    series: AnyPath,
) -> Any:
    import highdicom as hd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return hd.seg.Segmentation(
                headers,
                frames,
                settings.form.upper(),
                described,
                uid,
                900,
                instance,
                1,
                "voxbench",
                "voxbench",
                version("voxbench"),
                "0",
                omit_empty_frames=settings.form == "binary",
                series_description=settings.description,
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{series}: no segmentation can be made of this series: {error}") from error
