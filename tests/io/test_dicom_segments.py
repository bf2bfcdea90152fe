"""DICOM segmentation objects made by highdicom: in the same place as the CT they are of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from voxbench.errors import DimensionError
from voxbench.geometry import resample
from voxbench.io import describe, read_labels, read_volume
from voxbench.io.dicom_series import dicom_series

SHAPE = (6, 8, 10)
"""Slices, rows, columns."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ct_series: Callable[..., Path]) -> Path:
    """Holds a CT series of six slices whose values tell where they are."""
    folder = tmp_path_factory.mktemp("dicom")
    ct_series(folder / "ct")
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
