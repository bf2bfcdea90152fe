"""Aligning scans with a micro-CT piece by piece: ways to lie, blocks, bone, where scans are found."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from scipy.ndimage import gaussian_filter

from voxbench.challenges.lumbarsr.alignment import FLIPS, align, moved_grid, placed_by, reduced
from voxbench.challenges.lumbarsr.bone_masks import bone_agreement, dice, filled_bone
from voxbench.challenges.lumbarsr.cases import Case
from voxbench.challenges.lumbarsr.sources import samples_in, sources_of
from voxbench.errors import EmptyShapeError, FileReadError
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.io import read_volume
from voxbench.simulate.ct import KERNELS, Placement, Protocol, scan
from voxbench.tasks.registration.linear_models import rotation_by

SEQUENCES = ("195X_195Y_500Z_B", "195X_195Y_1000Z_S", "586X_586Y_500Z_S")


def test_all_four_ways_to_lie_are_tried_and_the_right_one_wins(scans):
    flip = "headers"
    found = align(scans.micro, scans.lying(SEQUENCES[0], flip), tuple(FLIPS))
    assert found.flip == flip
    assert {candidate.flip for candidate in found.candidates} == set(FLIPS)
    ranked = [candidate.dice for candidate in found.candidates]
    assert ranked == sorted(ranked, reverse=True)
    assert found.margin == pytest.approx(ranked[0] - ranked[1])
    assert scans.error(found.micro_from_clinical.matrix, flip) < 0.1
    assert not any("mirror" in doubt for doubt in found.doubts)


def test_the_flips_are_the_organisers_three_and_the_headers():
    assert FLIPS["turned"] == tuple(a * b for a, b in zip(FLIPS["as-is"], (-1, -1, 1), strict=True))
    assert FLIPS["mirrored"] == tuple(a * b for a, b in zip(FLIPS["as-is"], (1, -1, 1), strict=True))
    clinical = Grid.from_parts((9, 8, 7), (0.195, 0.195, 0.5), (50.0, -3.0, 8.0))
    micro = Grid.from_parts((40, 41, 42), (0.105,) * 3)
    for flip, signs in FLIPS.items():
        placed = placed_by(flip, clinical, micro)
        np.testing.assert_array_equal(placed.linear, np.diag(signs))
        if flip != "headers":
            np.testing.assert_allclose(placed(clinical.centre), micro.centre, atol=1e-9)


def test_the_reduced_micro_ct_is_the_mean_of_blocks_in_the_same_place():
    rng = np.random.default_rng(3)
    grid = Grid.from_parts((43, 41, 38), (0.105,) * 3, (4.0, 5.0, -6.0))
    micro = Volume(rng.integers(-1000, 2000, grid.shape).astype(np.int16), grid)
    small = reduced(micro, Grid.from_parts((20, 20, 20), (0.586, 0.586, 0.5)))
    assert small.grid.shape == (10, 10, 9)
    np.testing.assert_allclose(small.grid.spacing, 0.42)
    np.testing.assert_allclose(small.array[2, 3, 4], micro.array[8:12, 12:16, 16:20].mean(), rtol=1e-6)
    inner = grid.world_from_voxel(np.array([9.5, 13.5, 17.5]))
    np.testing.assert_allclose(small.grid.world_from_voxel(np.array([2.0, 3.0, 4.0])), inner)


def test_nothing_above_200_hu_is_no_bone_to_register(scans):
    dark = Volume(np.minimum(scans.micro.array, 150), scans.micro.grid)
    with pytest.raises(
        EmptyShapeError, match=r"the micro-CT shows no bone: .* the largest is 150\n  is it in Hounsfield"
    ):
        align(dark, scans.clinical[SEQUENCES[0]], ("as-is",))


def test_filled_bone_leaves_specks_out_and_keeps_parts(scans):
    array = np.full((60, 60, 60), -1000, np.int16)
    array[10:40, 10:40, 10:40] = 1000
    array[16:34, 16:34, 16:34] = -50  # a hollow
    array[50:54, 50:57, 50:57] = 1000  # a part of 196 voxels, 0.93 % of 21168
    array[3:6, 50, 50] = 1000
    volume = Volume(array, Grid.from_parts((60, 60, 60), (0.3, 0.3, 0.3)))
    found = filled_bone(volume)
    assert found[25, 25, 25]
    assert found[10:40, 10:40, 10:40].all()
    assert found.sum() == 27000
    array[50:55, 50:57, 50:57] = 1000  # 245: 1.16 %
    assert filled_bone(Volume(array, volume.grid)).sum() == 27000 + 245


def test_dice_and_distances_of_two_shifted_boxes():
    one, other = np.zeros((30, 30, 30), bool), np.zeros((30, 30, 30), bool)
    one[5:15, 5:15, 5:15] = True
    other[7:17, 5:15, 5:15] = True
    found = bone_agreement(one, other, (0.5, 0.5, 0.5))
    assert found["dice"] == dice(one, other) == pytest.approx(0.8)
    assert found["hd_mm"] == pytest.approx(1.0)
    assert np.isnan(dice(one & False, one & False))


def test_sources_are_dicom_or_nifti_in_any_of_their_places(scanned):
    assert samples_in(scanned) == ("Lumbar_01", "Lumbar_02", "Lumbar_03")
    two = sources_of(scanned, "Lumbar_02", SEQUENCES)
    assert two.micro_ct.name == "micro_ct.nii.gz"
    assert {name: path.name for name, path in two.clinical.items()} == {
        SEQUENCES[0]: "any name.nii.gz",
        SEQUENCES[2]: f"{SEQUENCES[2]}.nii.gz",
    }
    assert two.missing == (SEQUENCES[1],)  # its folder is there, and empty
    one = sources_of(scanned, "Lumbar_01", SEQUENCES)
    assert one.clinical[SEQUENCES[0]].is_dir()
    with pytest.raises(FileReadError, match="no micro-CT"):
        sources_of(scanned, "Lumbar_09", SEQUENCES)


def test_simulated_data_keep_their_native_volumes(tmp_path):
    case = Case("Lumbar_01", SEQUENCES[0])
    simulated = tmp_path / f"original_dicom/Lumbar_01/clinical_ct/{SEQUENCES[0]}/{SEQUENCES[0]}.nii.gz"
    assert case.native(tmp_path) == simulated
    case.prepared_native(tmp_path).parent.mkdir(parents=True)
    case.prepared_native(tmp_path).write_bytes(b"x")
    assert case.native(tmp_path) == case.prepared_native(tmp_path)


def test_dicom_files_of_the_fixture_are_straight_axial_slices(scanned):
    header = dcmread(scanned / "original_dicom/Lumbar_01/micro_ct/IM0000.dcm")
    assert list(header.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert header.RescaleIntercept == -1024


@pytest.mark.real_data
def test_a_real_micro_ct_that_was_moved_is_found_again(real_data):
    source = read_volume(real_data / "microct/lhdl2923_lower_39um.nii.gz")
    grey = gaussian_filter(source.array.astype(np.float32), 0.5 * 0.105 / source.grid.spacing[0])
    shape = tuple(int((n - 1) * s / 0.105) for n, s in zip(source.grid.shape, source.grid.spacing, strict=True))
    grid = Grid.from_parts((shape[0], shape[1], shape[2]), (0.105,) * 3, tuple(source.grid.origin))
    straight = Volume(grey, Grid.from_parts(source.grid.shape, tuple(source.grid.spacing), tuple(source.grid.origin)))
    micro = resample(Volume(straight.array * 7.9 - 50, straight.grid), grid)
    turn = rotation_by(np.radians(5) * np.array([0.6, -0.5, 0.62]))[0]
    motion = Affine.from_parts(turn, grid.centre - turn @ grid.centre + np.array([2.5, -2.0, 2.4]))
    room = grid.cropped((-36, -36, -36), (shape[0] + 36, shape[1] + 36, shape[2] + 36))
    moved = resample(micro, room, motion.inverse(), "linear", -1000.0)
    for view, least_mm in (("195X_195Y", 0.1), ("586X_586Y", 0.25)):
        pixel, _, thickness = Case("Lumbar_01", f"{view}_500Z_B").spacing_mm
        protocol = Protocol(pixel_mm=pixel, slice_mm=thickness, kernel=KERNELS["B"])
        seen = scan(moved, protocol, np.random.default_rng(1), Placement((0.3, 0.6, 0.2)))
        lay = placed_by("turned", seen.grid, grid).inverse()
        found = align(micro, Volume(seen.array, moved_grid(seen.grid, lay)), tuple(FLIPS))
        assert found.flip == "turned"
        assert found.margin > 0.1
        there = (lay @ motion)(grid.corners)
        assert np.linalg.norm(found.micro_from_clinical(there) - grid.corners, axis=1).max() < least_mm
