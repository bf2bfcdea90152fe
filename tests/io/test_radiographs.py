"""Radiographs and views through files."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest

from voxbench.errors import DimensionError, FileReadError, InputError, NotFiniteError
from voxbench.geometry import c_arm
from voxbench.io import read_radiograph, read_views, write_radiograph_dicom, write_radiograph_png, write_views

IMAGE = np.random.default_rng(0).gamma(2.0, 1.0, (13, 17)).astype(np.float32) - 0.2
VIEW = c_arm(30, -20)


def test_a_dicom_gives_the_values_and_the_pixel_spacing_back(tmp_path):
    path = tmp_path / "view.dcm"
    write_radiograph_dicom(path, IMAGE, VIEW, (30.0, -20.0))
    found = read_radiograph(path)
    np.testing.assert_allclose(found.image, IMAGE, atol=np.ptp(IMAGE) / 65535)
    assert found.pixel_mm == pytest.approx((0.308, 0.308))
    data = pydicom.dcmread(path)
    assert data.SOPClassUID.name == "Secondary Capture Image Storage"
    assert (data.Rows, data.Columns, data.Modality) == (13, 17, "DX")
    assert (data.DistanceSourceToDetector, data.PositionerPrimaryAngle, data.PositionerSecondaryAngle) == (
        1200,
        30,
        -20,
    )
    assert str(data.PatientName) == ""


def test_a_png_gives_the_values_up_to_scale_and_the_pixel_spacing_back(tmp_path):
    path = tmp_path / "view.png"
    write_radiograph_png(path, IMAGE, (0.5, 0.25))
    found = read_radiograph(path)
    np.testing.assert_allclose(found.image / 65535 * np.ptp(IMAGE) + IMAGE.min(), IMAGE, atol=np.ptp(IMAGE) / 65535)
    assert found.pixel_mm == pytest.approx((0.5, 0.25), rel=1e-6)
    write_radiograph_png(path, np.zeros((3, 4), bool))
    assert read_radiograph(path).pixel_mm is None


def test_an_archive_gives_one_of_its_views(tmp_path):
    stack = np.random.default_rng(0).random((2, 4, 5))
    np.savez(tmp_path / "projs.npz", projs=stack, angles=np.zeros(2))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "projs.npz", 1).image, stack[1].astype(np.float32))
    with pytest.raises(DimensionError, match="view 2 of"):
        read_radiograph(tmp_path / "projs.npz", 2)
    np.savez(tmp_path / "other.npz", image=stack)
    with pytest.raises(FileReadError, match="no array 'projs'"):
        read_radiograph(tmp_path / "other.npz")


@pytest.mark.parametrize("name", ["view.dcm", "view.png", "view.npz"])
def test_a_damaged_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"nothing of the kind, but some bytes" * 9)
    with pytest.raises(FileReadError, match=name):
        read_radiograph(path)
    (tmp_path / "note.txt").write_text("no image")
    with pytest.raises(FileReadError, match="unknown kind of radiograph"):
        read_radiograph(tmp_path / "note.txt")


def test_what_is_no_image_is_not_written(tmp_path):
    with pytest.raises(NotFiniteError, match="NaN"):
        write_radiograph_png(tmp_path / "a.png", np.full((2, 2), np.nan))
    with pytest.raises(DimensionError, match="two axes"):
        write_radiograph_dicom(tmp_path / "a.dcm", np.zeros((2, 2, 2)), VIEW)
    assert not list(tmp_path.iterdir())


def test_views_come_back_to_the_last_bit(tmp_path):
    views = (VIEW, c_arm(-5, 3, isocentre=(1, 2, 3)))
    write_views(tmp_path / "views.json", views)
    for view, found in zip(views, read_views(tmp_path / "views.json"), strict=True):
        np.testing.assert_array_equal(found.beam, view.beam)
        assert (found.shape, found.pixel_mm) == (view.shape, view.pixel_mm)


def test_a_file_without_views_or_in_another_unit_is_refused(tmp_path):
    path = tmp_path / "views.json"
    write_views(path, [VIEW])
    content = json.loads(path.read_text())
    metres = dict(content["views"][0])
    for key in ("source", "centre", "pixel_mm"):
        metres[key] = [x / 1000 for x in metres[key]]
    for entry, error, said in (
        (metres, InputError, "is the file in metres"),
        ({"source": [0, 0, 0]}, FileReadError, "centre, right, down, pixel_mm, shape: missing"),
        (content["views"][0] | {"source": "there"}, FileReadError, "not numbers"),
    ):
        path.write_text(json.dumps({"views": [entry]}))
        with pytest.raises(error, match=said):
            read_views(path)
    path.write_text("[]")
    with pytest.raises(FileReadError, match="holds no views"):
        read_views(path)
