"""Label maps as DICOM segmentation objects: back to the bit, in two forms, refused where they do not belong."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from voxbench.cli import main
from voxbench.errors import EmptyShapeError, GridMismatchError, InputError
from voxbench.geometry import Grid, LabelMap, resample
from voxbench.geometry.orientation import Reordering
from voxbench.io import read_grid, read_labels, write_labels
from voxbench.io.segmentation_objects import SegmentationObject, write_segmentation_object

NAMES = {3: "L3", 100: "canal", 203: "L3/L4"}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory, ct_series: Callable[..., Path]) -> Path:
    """A CT series of six slices, in files that are not in the order of their places."""
    return ct_series(tmp_path_factory.mktemp("series"), lambda n: f"{(5 * n) % 6}.dcm")


def drawn(grid: Grid) -> LabelMap:
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:4, 2:6, 1:3], labels[5:8, 2:6, 2:4], labels[4, 1:7, 3] = 3, 203, 100
    return LabelMap(labels, grid, NAMES)


def test_a_labelmap_object_is_read_back_equal_to_the_bit(series: Path, tmp_path: Path) -> None:
    labels = drawn(read_grid(series))
    ids = write_segmentation_object(tmp_path / "x.dcm", labels, series, SegmentationObject("labelmap"))
    assert ids == (3, 100, 203)
    back = read_labels(tmp_path / "x.dcm")
    assert back.grid.same_as(labels.grid, 1e-9)
    assert np.array_equal(back.array, labels.array)
    assert dict(back.names) == NAMES


def test_a_binary_object_leaves_empty_frames_out_and_lies_where_it_was(series: Path, tmp_path: Path) -> None:
    labels = drawn(read_grid(series))
    write_segmentation_object(tmp_path / "x.dcm", labels, series)
    back = read_labels(tmp_path / "x.dcm")
    assert back.grid.shape == (10, 8, 3)
    assert np.array_equal(resample(back, labels.grid).array, labels.array)
    assert dict(back.names) == NAMES


@pytest.mark.parametrize("form", ["binary", "labelmap"])
def test_labels_stored_another_way_round_are_the_same_labels(series: Path, tmp_path: Path, form) -> None:
    labels = drawn(read_grid(series))
    order = Reordering.to(labels.grid, "SRA")
    turned = LabelMap(order(labels.array), order.grid(labels.grid), labels.names)
    write_labels(tmp_path / "turned.nii.gz", turned)
    write_segmentation_object(
        tmp_path / "x.dcm", read_labels(tmp_path / "turned.nii.gz"), series, SegmentationObject(form)
    )
    assert np.array_equal(resample(read_labels(tmp_path / "x.dcm"), labels.grid).array, labels.array)


def test_it_says_what_segments_are_and_who_the_patient_is(series: Path, tmp_path: Path) -> None:
    coded = {3: "vertebra", 100: "canal"}
    settings = SegmentationObject("binary", "a network", "spine", {3: (1.0, 0.0, 0.0)}, coded)
    write_segmentation_object(tmp_path / "x.dcm", drawn(read_grid(series)), series, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = hd.seg.segread(tmp_path / "x.dcm")
    assert (found.PatientID, str(found.PatientName), found.SeriesDescription) == ("case_0669", "Doe^Jane", "spine")
    source = pydicom.dcmread(series / "0.dcm")
    assert found.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert found.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    types = [found.get_segment_description(n).segmented_property_type.meaning for n in (1, 2, 3)]
    assert types == ["Vertebra", "Vertebral canal", "Anatomical Structure"]
    first = found.get_segment_description(1)
    assert first.algorithm_type == hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
    assert hd.color.CIELabColor.from_dicom_value(first.RecommendedDisplayCIELabValue).to_rgb()[0] > 240


def test_the_command_says_which_segment_is_which_label(series: Path, tmp_path: Path, capsys) -> None:
    write_labels(tmp_path / "x.nii.gz", drawn(read_grid(series)))
    words = ["export", "dicom-seg", tmp_path / "x.nii.gz", "--series", series, "--out", tmp_path / "x.dcm"]
    call = [str(word) for word in (*words, "--names", "spine", "--form", "labelmap", "--json")]
    assert main(call) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["segment"], row["label"], row["name"]) for row in rows] == [
        (1, 3, "L3"),
        (2, 100, "canal"),
        (3, 203, "L3/L4"),
    ]
    assert read_labels(tmp_path / "x.dcm").array.dtype == np.uint8
    assert main(call) == 1
    assert "x.dcm: exists already\n  --force replaces it" in capsys.readouterr().err


def test_files_of_others_keep_their_segments_numbers(series: Path, tmp_path: Path) -> None:
    write_segmentation_object(tmp_path / "x.dcm", drawn(read_grid(series)), series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(tmp_path / "x.dcm")
        for segment in ds.SegmentSequence:
            segment.SegmentDescription = "drawn by hand"
        ds.save_as(tmp_path / "x.dcm")
    assert dict(read_labels(tmp_path / "x.dcm").names) == {1: "L3", 2: "canal", 3: "L3/L4"}


def test_what_cannot_be_written_is_refused(series: Path, tmp_path: Path) -> None:
    grid, out = read_grid(series), tmp_path / "x.dcm"
    with pytest.raises(EmptyShapeError, match="no label but background"):
        write_segmentation_object(out, LabelMap(np.zeros(grid.shape, np.uint8), grid), series)
    with pytest.raises(InputError, match="label -1; labels are 0"):
        write_segmentation_object(out, LabelMap(np.full(grid.shape, -1, np.int16), grid), series)
    smaller = grid.cropped((0, 0, 0), (10, 8, 5))
    with pytest.raises(GridMismatchError, match="lie on different grids"):
        write_segmentation_object(out, LabelMap(np.ones(smaller.shape, np.uint8), smaller), series)
    assert not out.exists()
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in series.iterdir():
        ds = pydicom.dcmread(path)
        del ds.FrameOfReferenceUID
        ds.save_as(bare / path.name)
    with pytest.raises(InputError, match="no segmentation can be made of this series"):
        write_segmentation_object(out, drawn(grid), bare)
    write_segmentation_object(out, drawn(grid), series)
    with pytest.raises(InputError, match="multi-frame"):
        write_segmentation_object(tmp_path / "y.dcm", drawn(grid), out)
