"""The simulated data set: in the official layout, true to its truth, whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxbench.challenges.lumbarsr.bone_masks import filled_bone
from voxbench.challenges.lumbarsr.cases import SEQUENCES, Case
from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation, degrade, simulate
from voxbench.errors import FileWriteError, JobError
from voxbench.geometry import Grid, Volume
from voxbench.io import read_labels, read_volume, write_volume
from voxbench.simulate.ct import registered

SMALL = LumbarsrSimulation(cases=1, size=(36, 40, 32), seed=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("lumbar") / "data"
    assert simulate(out, SMALL) == ("Lumbar_26",)
    return out


def test_every_official_file_is_there_on_the_micro_ct_s_grid(data):
    for sequence in SEQUENCES:
        case = Case("Lumbar_26", sequence)
        micro = read_volume(case.reference(data))
        assert micro.grid.shape == (36, 40, 32)
        np.testing.assert_allclose(micro.grid.spacing, 0.105, rtol=1e-6)
        clinical = read_volume(case.registered(data))
        assert clinical.grid.same_as(micro.grid)
        assert clinical.array.dtype == micro.array.dtype == np.int16
        for mask in case.bone_masks(data):
            assert read_labels(mask).ids == (1,)
    assert len([p for p in data.rglob("*") if p.is_file()]) == 1 + 8 + 1 + 8 + 8 + 1 + 1


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_native_volumes_have_the_sequence_s_spacing_and_are_what_was_registered(data, sequence):
    case = Case("Lumbar_26", sequence)
    native, on = read_volume(case.native(data)), read_volume(case.registered(data))
    np.testing.assert_allclose(native.grid.spacing, case.spacing_mm, rtol=1e-6)
    difference = np.abs(registered(native, on.grid).array.astype(int) - on.array)
    assert (difference > 1).mean() < 0.02  # the header holds float32: a voxel at the rim may fall beyond it
    assert np.median(difference) == 0


def test_the_truth_s_region_and_fraction_are_those_of_the_micro_ct(data):
    region = read_labels(data / "truth" / "Lumbar26_TrabecularRegion.nii.gz").array > 0
    case = Case("Lumbar_26", SEQUENCES[0])
    body, micro = read_labels(case.bone_masks(data)[0]).array > 0, read_volume(case.reference(data)).array
    assert not (region & ~body).any()
    sample = json.loads((data / "truth.json").read_text())["samples"]["Lumbar_26"]
    assert sample["trabecular_region"]["region_mm3"] == pytest.approx(region.sum() * 0.105**3, rel=0.15)
    assert (micro[body] > 735).mean() == pytest.approx(sample["bone_mask"]["bone_volume_fraction"], rel=0.1)


def test_the_truth_names_every_sequence_s_model_and_what_the_bone_is(data):
    truth = json.loads((data / "truth.json").read_text())
    sample = truth["samples"]["Lumbar_26"]
    assert set(sample["sequences"]) == set(SEQUENCES)
    assert truth["settings"]["seed"] == 4
    assert 0 < sample["trabecular_region"]["bone_volume_fraction"] < 1
    soft, bone = (sample["sequences"][f"586X_586Y_1000Z_{k}"] for k in "SB")
    assert soft["noise_hu"] == pytest.approx(20)
    assert bone["noise_hu"] > 2 * soft["noise_hu"]
    assert soft["shift_native_voxels"][:2] == bone["shift_native_voxels"][:2]


def test_sharper_kernels_and_thinner_slices_are_nearer_to_the_micro_ct(tmp_path):
    simulate(tmp_path / "d", SMALL.model_copy(update={"noise_hu": 0.0}))
    error = {}
    for sequence in SEQUENCES:
        case = Case("Lumbar_26", sequence)
        micro, mask = read_volume(case.reference(tmp_path / "d")), read_labels(case.bone_masks(tmp_path / "d")[0])
        difference = read_volume(case.registered(tmp_path / "d")).array.astype(float) - micro.array
        error[sequence] = float(np.sqrt((difference[mask.array > 0] ** 2).mean()))
    assert error["195X_195Y_500Z_B"] < error["195X_195Y_500Z_S"] < error["586X_586Y_1000Z_S"]
    assert error["195X_195Y_500Z_B"] < error["195X_195Y_1000Z_B"]


def test_a_seed_repeats_the_data_set(data, tmp_path):
    simulate(tmp_path / "again", SMALL)
    for path in sorted(data.rglob("*.nii.gz")):
        other = read_volume(tmp_path / "again" / path.relative_to(data))
        np.testing.assert_array_equal(read_volume(path).array, other.array)


def test_a_real_micro_ct_is_degraded_by_the_same_model(data, tmp_path):
    source = Case("Lumbar_26", SEQUENCES[0]).reference(data)
    assert degrade(tmp_path / "real", [source, source], SMALL) == ("Lumbar_26", "Lumbar_27")
    case = Case("Lumbar_27", SEQUENCES[0])
    np.testing.assert_array_equal(read_volume(case.reference(tmp_path / "real")).array, read_volume(source).array)
    ours = read_labels(case.bone_masks(tmp_path / "real")[0]).array > 0
    theirs = read_labels(Case("Lumbar_26", SEQUENCES[0]).bone_masks(data)[0]).array > 0
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.9
    assert json.loads((tmp_path / "real" / "truth.json").read_text())["samples"]["Lumbar_27"]["source"] == source.name


def test_a_micro_ct_of_another_spacing_is_refused_and_nothing_is_left(tmp_path):
    grid = Grid.from_parts((9, 9, 9), (0.08, 0.08, 0.08))
    write_volume(tmp_path / "m.nii.gz", Volume(np.arange(729, dtype=np.int16).reshape(9, 9, 9), grid))
    told = r"Lumbar_26: .*m\.nii\.gz: .*0\.105 mm between voxels\n    here  9 x 9 x 9 .*0\.08"
    with pytest.raises(JobError, match=told):
        degrade(tmp_path / "out", [tmp_path / "m.nii.gz"], SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["m.nii.gz"]


def test_only_a_simulated_data_set_is_replaced_and_only_when_asked(data, tmp_path):
    with pytest.raises(FileWriteError, match="holds a simulated data set already; --force replaces it"):
        simulate(data, SMALL)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileWriteError, match="holds something that is not a simulated data set"):
        simulate(tmp_path, SMALL, force=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_six_samples_and_more_begin_at_01():
    assert LumbarsrSimulation(cases=6).samples[0] == "Lumbar_01"
    assert LumbarsrSimulation(cases=5).samples == ("Lumbar_26", "Lumbar_27", "Lumbar_28", "Lumbar_29", "Lumbar_30")


def test_a_hollow_ball_is_filled_and_its_outline_is_kept():
    radius = np.linalg.norm(np.indices((40, 40, 40)).T * 0.1 - 1.95, axis=-1).T
    shell = np.where((radius > 1.2) & (radius < 1.5), 900, 0).astype(np.int16)
    found = filled_bone(Volume(shell, Grid.from_parts((40, 40, 40), (0.1, 0.1, 0.1))), 0.5)
    np.testing.assert_array_equal(found, radius < 1.5)
    assert not filled_bone(Volume(np.zeros((3, 3, 3)), Grid.from_parts((3, 3, 3)))).any()
