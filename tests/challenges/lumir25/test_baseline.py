import sys
import types
from dataclasses import dataclass
from typing import Literal

import nibabel as nib
import numpy as np
import pytest

from voxbench.challenges.lumir25.baseline import PredictionSettings, jobs, prepare_resume
from voxbench.challenges.lumir25.cases import read_dataset
from voxbench.config import Config
from voxbench.errors import EmptyShapeError, FileReadError, FileWriteError, JobError, UsageError
from voxbench.geometry import DisplacementField
from voxbench.io import read_json
from voxbench.jobs import Manner, Records, require_all
from voxbench.jobs import run as run_jobs

FIRST = (("3455",), ("3454",))
SECOND = (("3456",), ("3455",))
LONG = (("4023", "0000"), ("3454", "0002"))
FIRST_FILE, SECOND_FILE = "disp_3455_3454.nii.gz", "disp_3456_3455.nii.gz"


class RegistrationConfig(Config):
    method: Literal["deformable", "convex", "greedy"] = "deformable"
    preset: Literal["fast", "accurate"] = "accurate"


@dataclass(frozen=True)
class Found:
    displacement: DisplacementField


@pytest.fixture
def registered(monkeypatch):
    """Stands in for tasks.registration: moves everything by (1, 0, 4) mm; counts; fails when told to."""
    calls = []

    def register(fixed, moving, config):
        calls.append((config.method, config.preset))
        if len(calls) in module.failing:
            raise module.failing[len(calls)]
        return Found(DisplacementField(np.tile(np.float32([1, 0, 4]), (*fixed.grid.shape, 1)), fixed.grid))

    module = types.ModuleType("voxbench.tasks.registration")
    module.RegistrationConfig, module.register, module.calls, module.failing = RegistrationConfig, register, calls, {}
    monkeypatch.setitem(sys.modules, "voxbench.tasks.registration", module)
    return module


@pytest.fixture
def pairs(world):
    return read_dataset(world.dataset([FIRST, SECOND, LONG])).validation


def run(world, pairs, method="deformable", force=False, told=None, preset=None):
    out = world.root / "out"
    todo = jobs(world.root, out, pairs, PredictionSettings(method=method, preset=preset))
    return run_jobs(todo, Manner(records=prepare_resume(out, pairs, force), afresh=force), told)


def states(outcomes):
    return ["failed" if o.record is None else "kept" if o.reused else "done" for o in outcomes]


def record_of(world, pair):
    return read_json(Records(world.root / "out/cases").path(pair.key))


def test_fields_are_written_in_voxels_under_the_official_names(world, pairs, registered):
    assert states(run(world, pairs)) == ["done"] * 3
    for name in (FIRST_FILE, SECOND_FILE, "disp_4023_0000_3454_0002.nii.gz"):
        image = nib.load(world.root / "out" / name)
        assert image.shape == (9, 10, 8, 3)
        assert image.get_data_dtype() == np.float32
        np.testing.assert_allclose(np.asanyarray(image.dataobj)[4, 4, 4], [1, 0, 2], atol=1e-6)


@pytest.mark.parametrize("method", ["zero", "none"])
def test_no_method_writes_zeros_and_registers_nothing(world, pairs, registered, method):
    run(world, pairs, method)
    assert registered.calls == []
    assert not np.asanyarray(nib.load(world.root / "out" / FIRST_FILE).dataobj).any()


def test_method_and_preset_are_passed_through(world, pairs, registered):
    run(world, pairs[:1], "convex", preset="fast")
    run(world, pairs[:1], "greedy")
    assert registered.calls == [("convex", "fast"), ("greedy", "accurate")]


def test_begun_again_it_makes_only_what_is_missing_damaged_or_outdated(world, pairs, registered):
    run(world, pairs)
    assert states(run(world, pairs)) == ["kept"] * 3
    out = world.root / "out"
    (out / FIRST_FILE).write_bytes((out / FIRST_FILE).read_bytes()[:-20])
    assert states(run(world, pairs)) == ["done", "kept", "kept"]
    (out / SECOND_FILE).unlink()
    assert states(run(world, pairs)) == ["kept", "done", "kept"]
    Records(out / "cases").path(pairs[0].key).write_text("{")
    assert states(run(world, pairs)) == ["done", "kept", "kept"]
    moving = world.root / "imagesVal/LUMIRMRI_3455_0000.nii.gz"  # fixed of the first pair, moving of the second
    nib.save(nib.Nifti1Image(world.images["3454", "0000"], np.diag([1.0, 1.0, 2.0, 1.0])), moving)
    assert states(run(world, pairs)) == ["done", "done", "kept"]
    assert states(run(world, pairs, "convex")) == ["done"] * 3
    assert states(run(world, pairs, "convex", force=True)) == ["done"] * 3


@pytest.mark.parametrize("error", [EmptyShapeError("moving: every voxel is 0"), ZeroDivisionError("division by zero")])
def test_one_bad_pair_stops_no_other_and_is_named(world, pairs, registered, error):
    registered.failing = {2: error}
    told = []
    outcomes = run(world, pairs, told=told.append)
    assert states(outcomes) == ["done", "failed", "done"]
    with pytest.raises(JobError, match="1 of 3 cases failed\n3456_0000<--3455_0000: .*" + str(error)):
        require_all(outcomes)
    assert len(told) == 3
    assert not (world.root / "out" / SECOND_FILE).exists()
    record = record_of(world, pairs[1])
    assert record["status"] == "failed"
    assert str(error) in record["error"]
    registered.failing = {}
    assert states(run(world, pairs)) == ["kept", "done", "kept"]


def test_a_missing_image_fails_its_pairs_only(world, pairs, registered):
    (world.root / "imagesVal/LUMIRMRI_3456_0000.nii.gz").unlink()
    outcomes = run(world, pairs)
    assert states(outcomes) == ["done", "failed", "done"]
    assert "LUMIRMRI_3456_0000.nii.gz" in outcomes[1].error


def test_a_record_says_what_went_in_and_what_came_out(world, pairs, registered):
    run(world, pairs[:1])
    found = record_of(world, pairs[0])
    assert set(found["inputs"]) == {"fixed", "moving"}
    assert {len(value) for value in (*found["inputs"].values(), found["record"]["sha256"])} == {64}
    assert found["record"]["files"] == [FIRST_FILE]
    assert found["seconds"] >= 0


def test_fields_of_others_are_replaced_only_if_told(world, pairs, registered):
    (world.root / "out").mkdir()
    (world.root / "out" / FIRST_FILE).write_text("theirs")
    with pytest.raises(FileWriteError, match=f"{FIRST_FILE}: exists already"):
        run(world, pairs)
    assert states(run(world, pairs, force=True)) == ["done"] * 3


def test_a_data_folder_that_is_not_there_is_refused(world, pairs):
    with pytest.raises(FileReadError, match="no such folder"):
        jobs(world.root / "absent", world.root / "out", pairs, PredictionSettings())


@pytest.mark.parametrize("wrong", [{"method": "guess"}, {"preset": "sloppy"}])
def test_a_method_or_preset_that_is_not_there_is_refused_before_anything_is_read(world, pairs, registered, wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(UsageError, match=f"--{name} {value}"):
        jobs(world.root, world.root / "out", pairs, PredictionSettings(**wrong))
    assert not (world.root / "out").exists()
