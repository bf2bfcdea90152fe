"""Real files: every voxel lies where nibabel and SimpleITK put it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from voxbench.io import describe, read_labels, read_volume, write_labels, write_volume

IMAGES = ["brain/symA_t1.nii.gz", "brain/condA_t1.nii.gz", "brain/fsA_t1.nii.gz", "spine_ct/sub-verse014_ct.nii.gz"]
LABELS = [
    "brain/symA_labels.nii.gz",
    "knee/dess_right_bones-label.nrrd",
    "spine_ct/sub-verse014_seg-vert_msk.nii.gz",
    "spine_ct/sub-ct_seg-vert_label-22_msk.nii.gz",
]


@pytest.mark.real_data
@pytest.mark.parametrize("name", IMAGES + LABELS)
def test_simpleitk_agrees_about_a_real_file(real_data: Path, name: str) -> None:
    path = real_data / name
    labels = name in LABELS
    ours = read_labels(path) if labels else read_volume(path)
    image = SimpleITK.ReadImage(str(path))
    theirs = SimpleITK.GetArrayViewFromImage(image).transpose(2, 1, 0)
    assert np.array_equal(ours.array, theirs)
    for index in np.argwhere(ours.array > 0)[::200_001] if labels else [(0, 0, 0), np.array(ours.grid.shape) - 1]:
        x, y, z = image.TransformIndexToPhysicalPoint([int(i) for i in index])
        assert np.allclose(ours.grid.world_from_voxel(np.asarray(index, float)), (-x, -y, z), atol=2e-3)
    assert describe(path).kind == ("label map" if labels else "image")


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["brain/symA_labels.nii.gz", "spine_ct/sub-verse014_ct.nii.gz"])
def test_nibabel_agrees_about_a_real_file(real_data: Path, name: str) -> None:
    image = nib.load(real_data / name)
    ours = read_volume(real_data / name)
    assert np.array_equal(ours.array, np.asarray(image.dataobj))
    assert np.array_equal(ours.grid.world_from_voxel.matrix, image.affine)


@pytest.mark.real_data
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".seg.nrrd"])
def test_a_real_label_map_survives_every_format(real_data: Path, tmp_path: Path, suffix: str) -> None:
    labels = read_labels(real_data / "spine_ct/sub-verse014_seg-vert_msk.nii.gz")
    write_labels(tmp_path / f"x{suffix}", labels)
    back = read_labels(tmp_path / f"x{suffix}")
    assert np.array_equal(back.array, labels.array)
    assert back.grid.same_as(labels.grid)


@pytest.mark.real_data
def test_a_real_image_survives(real_data: Path, tmp_path: Path) -> None:
    volume = read_volume(real_data / "spine_ct/sub-verse014_ct.nii.gz")
    write_volume(tmp_path / "x.nii.gz", volume)
    assert np.array_equal(read_volume(tmp_path / "x.nii.gz").array, volume.array)
