"""Folders of a case read: ours give back what was written, those of other origin are put about the origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxbench.challenges.ssrkd import reading
from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.processed import Processed, case_grid
from voxbench.challenges.ssrkd.radiographs import device_of, views_of
from voxbench.challenges.ssrkd.writing import Recipe, Truth, write_case
from voxbench.errors import DimensionError, FileReadError, InputError
from voxbench.geometry import LabelMap, Volume, voxelise

SIZE = 32


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, knee: Any) -> tuple[Processed, Volume, Truth]:
    grid = case_grid(SIZE, 256.0)
    labels = np.zeros(grid.shape, np.uint8)
    for number, bone in enumerate(BONES, 1):
        labels[voxelise(knee.meshes[bone], grid)] = number
    image = Volume((60 * labels).astype(np.uint8), grid)
    truth = Truth(knee.meshes, LabelMap(labels, grid))
    views = views_of((0.0, 90.0), device_of("consistent", SIZE), np.zeros(3))
    recipe = Recipe((0.0, 90.0), views, None, 50, 4.0, (5.0, 6.0, 7.0))
    folder = tmp_path_factory.mktemp("read")
    case = write_case(folder, "a", (image, truth), recipe, np.random.default_rng(0))
    return case, image, truth


def released(folder: Path, written: tuple[Processed, Volume, Truth]) -> Processed:
    """The same case under the released code's names, as far as these can say it."""
    (case, image, truth), other = written, Processed(folder)
    nibabel.Nifti1Image(image.array, np.eye(4)).to_filename(folder / "ct_512x.nii.gz")
    nibabel.Nifti1Image(truth.labels.array, np.eye(4)).to_filename(folder / "seg_mask.nii.gz")
    (folder / "bone_masks.npz").write_bytes(case.shadows.read_bytes())
    np.savez(other.spacing, mesh=np.full(3, 128.0))
    return other


def test_what_was_written_is_read_in_the_world(written: tuple[Processed, Volume, Truth]) -> None:
    case, image, truth = written
    large = reading.read_ct(case, "large")
    np.testing.assert_array_equal(large.array, image.array)
    assert large.grid.same_as(image.grid, 1e-9)
    small = reading.read_ct(case)
    assert small.grid.shape == (SIZE // 2,) * 3
    np.testing.assert_allclose(small.grid.centre, image.grid.centre, atol=1e-9)
    np.testing.assert_allclose(small.grid.spacing, 2 * image.grid.spacing)
    np.testing.assert_array_equal(reading.read_labels(case).array, truth.labels.array)
    for bone, mesh in reading.read_meshes(case).items():
        np.testing.assert_allclose(mesh.vertices, truth.bones[bone].vertices, atol=1e-9)
        assert mesh.volume == pytest.approx(truth.bones[bone].volume)
    with np.load(case.spacing) as content:
        np.testing.assert_array_equal(content["source_from_world"][:3, 3], [5, 6, 7])


def test_views_are_found_by_their_angle(written: tuple[Processed, Volume, Truth]) -> None:
    found = reading.read_radiographs(written[0])
    np.testing.assert_allclose(found.degrees, [0, 90])
    np.testing.assert_array_equal(found.at(450.0), found.stack[1])
    with pytest.raises(InputError, match="no view at 45 degrees; there are 0, 90"):
        found.at(45.0)
    shadows = reading.read_shadows(written[0])
    assert shadows.stack.dtype == bool
    assert found.at(0.0)[shadows.at(0.0)].mean() > 5 * found.at(0.0)[~shadows.at(0.0)].mean()


def test_points_are_read_without_unpickling(written: tuple[Processed, Volume, Truth], tmp_path: Path) -> None:
    samples = reading.read_samples(written[0])
    assert set(samples) == {*reading.SAMPLES, "surface_inside_labels", "random_inside_labels"}
    assert samples["surface_inside"].shape == (*samples["surface_inside_labels"].shape, 3)
    assert set(np.unique(samples["surface_inside_labels"])) <= {1, 2, 3, 4}
    np.savez(tmp_path / "sampling.npz", np.array({"surface_inside": 1}, dtype=object))
    with pytest.raises(FileReadError, match=r"surface_inside.* is not read, .*\n.*voxbench prepare ssrkd"):
        reading.read_samples(Processed(tmp_path))


def test_the_released_names_are_read_and_put_about_the_origin(
    written: tuple[Processed, Volume, Truth], tmp_path: Path
) -> None:
    other = released(tmp_path, written)
    _, image, truth = written
    large = reading.read_ct(other, "large")
    np.testing.assert_array_equal(large.array, image.array)
    assert large.grid.same_as(image.grid, 1e-9)
    np.testing.assert_array_equal(reading.read_labels(other).array, truth.labels.array)
    assert reading.read_shadows(other).stack.any()


def test_what_cannot_be_read_is_named(written: tuple[Processed, Volume, Truth], tmp_path: Path) -> None:
    other = released(tmp_path, written)
    with pytest.raises(FileReadError, match=r"ct_256x.npz: not there, and ct_256x.nii.gz neither"):
        reading.read_ct(other)
    np.savez(other.small_ct, np.zeros((4, 4)))
    with pytest.raises(DimensionError, match=r"ct_256x.npz: no volume \[z, y, x\]: 4 x 4"):
        reading.read_ct(other)
    np.savez(other.small_ct, np.array([{}], dtype=object))
    with pytest.raises(FileReadError, match=r"ct_256x.npz: pickled, which is not read"):
        reading.read_ct(other)
    np.savez(other.labels, np.full((4, 4, 4), 9))
    with pytest.raises(InputError, match=r"seg_mask.npz: label values 9 to 9; expected 0 to 4"):
        reading.read_labels(other)
    other.radiographs.write_bytes(written[0].radiographs.read_bytes()[:400])
    with pytest.raises(FileReadError, match=r"projs.npz: damaged"):
        reading.read_radiographs(other)
    np.savez(other.spacing, mesh=np.zeros(3))
    with pytest.raises(FileReadError, match=r"spacing.npz: no factors `mesh`"):
        reading.read_meshes(other)
