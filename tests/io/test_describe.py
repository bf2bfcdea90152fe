"""What `describe` says of every kind of file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from voxbench.errors import FileReadError
from voxbench.geometry import Affine, DisplacementField, Grid, LabelMap, Volume
from voxbench.io import describe, describe_field, write_displacement, write_labels, write_volume

GRID = Grid.from_parts((12, 11, 10), (1.0, 1.5, 2.0), (-3.0, 4.0, 5.0), np.diag([-1.0, -1, 1]))


def test_an_image_is_an_image(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(0, 100, GRID.shape).astype(np.float32)
    array[0, 0, :2] = np.nan, np.inf
    write_volume(tmp_path / "x.nii.gz", Volume(array, GRID))
    description = describe(tmp_path / "x.nii.gz")
    finite = array[np.isfinite(array)]
    assert (description.kind, description.format, description.dtype) == ("image", "NIfTI-1", "float32")
    assert (description.low, description.high, description.not_finite) == (finite.min(), finite.max(), 2)
    assert description.shape == GRID.shape
    assert np.allclose(description.spacing, GRID.spacing)
    assert np.allclose(description.origin, GRID.origin)
    assert description.orientation == "LPS+"
    assert description.labels == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_noise_of_whole_numbers_is_an_image_and_regions_are_labels(tmp_path: Path, dtype: type) -> None:
    noise = np.random.default_rng(0).integers(0, 250, GRID.shape).astype(dtype)
    write_volume(tmp_path / "noise.nii", Volume(noise, GRID))
    assert describe(tmp_path / "noise.nii").kind == "image"
    blocks = np.arange(120).reshape(4, 6, 5).repeat(4, 0).repeat(2, 1).repeat(2, 2).astype(dtype)
    write_volume(tmp_path / "blocks.nii", Volume(blocks, Grid.from_parts(blocks.shape)))
    described = describe(tmp_path / "blocks.nii")
    assert described.kind == "label map"
    assert described.labels == tuple(range(1, 120))


def test_names_of_segments_are_told(tmp_path: Path) -> None:
    array = np.zeros(GRID.shape, np.int32)
    array[2:4], array[5:7] = 1, 201
    write_labels(tmp_path / "x.seg.nrrd", LabelMap(array, GRID, {1: "L5"}))
    described = describe(tmp_path / "x.seg.nrrd")
    assert (described.kind, described.labels) == ("label map", (1, 201))
    assert described.names == {1: "L5", 201: "Segment_201"}


@pytest.mark.parametrize(
    ("shape", "kind"), [((8, 9), "2-D image"), ((8, 9, 7, 5), "series of images"), ((8, 9, 7, 1), "label map")]
)
def test_what_is_no_volume_is_described_too(tmp_path: Path, shape: tuple[int, ...], kind: str) -> None:
    nib.save(
        nib.Nifti1Image(np.eye(8, 9)[(...,) + (None,) * (len(shape) - 2)] * np.ones(shape), np.eye(4)),
        tmp_path / "d.nii",
    )
    assert describe(tmp_path / "d.nii").kind == kind
    assert describe(tmp_path / "d.nii").shape == shape


def test_a_field_is_told_by_its_marker_or_assumed(tmp_path: Path) -> None:
    field = DisplacementField.zeros(GRID)
    write_displacement(tmp_path / "ours.nii.gz", field, convention="torch")
    ours = describe(tmp_path / "ours.nii.gz")
    assert (ours.kind, ours.convention, ours.assumed) == ("displacement field", "torch", False)
    for array, convention in ((field.array, "voxel"), (np.moveaxis(field.array, -1, 0), "voxel-first")):
        nib.save(nib.Nifti1Image(array, GRID.world_from_voxel.matrix), tmp_path / "theirs.nii.gz")
        theirs = describe(tmp_path / "theirs.nii.gz")
        assert (theirs.kind, theirs.convention, theirs.assumed) == ("displacement field", convention, True)
        assert "assumed" in theirs.notes[0]
    for suffix in (".mha", ".nrrd", ".nii.gz"):
        write_displacement(tmp_path / f"itk{suffix}", field, convention="itk")
        assert describe(tmp_path / f"itk{suffix}").convention == "itk"
    nib.save(nib.Nifti1Image(np.zeros((3, 5, 6, 3)), np.eye(4)), tmp_path / "open.nii")
    assert "first or last axis" in describe(tmp_path / "open.nii").notes[0]


def test_disagreeing_forms_are_noted(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4))
    image.set_qform(np.diag([1.0, 1, 2, 1]), code=1)
    nib.save(image, tmp_path / "x.nii")
    assert "differ by up to 4 mm" in describe(tmp_path / "x.nii").notes[0]


def test_damage_is_found_though_nothing_was_asked_of_the_voxels(tmp_path: Path) -> None:
    write_volume(tmp_path / "x.nii.gz", Volume(np.random.default_rng(0).normal(size=GRID.shape), GRID))
    (tmp_path / "x.nii.gz").write_bytes((tmp_path / "x.nii.gz").read_bytes()[:-4])
    with pytest.raises(FileReadError):
        describe(tmp_path / "x.nii.gz")


def test_lengths_and_folds_of_a_field(tmp_path: Path) -> None:
    shrink = np.diag([0.5, 1.0, 1.0])
    field = DisplacementField.from_affine(Affine.from_parts(shrink, np.zeros(3)), GRID)
    write_displacement(tmp_path / "u.nii.gz", field)
    described = describe_field(tmp_path / "u.nii.gz", fixed=GRID)
    assert described.convention == "voxel"
    assert described.largest_mm == pytest.approx(7.0, rel=1e-5)
    assert described.largest_voxels == pytest.approx(7.0, rel=1e-5)
    assert described.smallest_determinant == pytest.approx(0.5, rel=1e-4)
    assert (described.folded, described.folded_percent) == (0, 0.0)
    flip = DisplacementField.from_affine(Affine.from_parts(np.diag([1.0, -1.0, 1.0]), np.zeros(3)), GRID)
    write_displacement(tmp_path / "v.mha", flip, convention="itk")
    described = describe_field(tmp_path / "v.mha")
    assert described.folded == GRID.size
    assert described.folded_percent == 100.0
    assert described.largest_mm == pytest.approx(1.5 * described.largest_voxels, rel=1e-5)
    assert described.mean_mm == pytest.approx(float(flip.magnitude.mean()), rel=1e-5)
