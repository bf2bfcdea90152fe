"""What a run would do, before it is begun."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import write_labels, write_volume
from voxbench.io.headers import stored_bytes
from voxbench.jobs import Job, Manner, Need, Records, plan, run

GRID = Grid.from_parts((4, 5, 6), (1.0, 1.0, 2.0))


def good(path):
    return {"value": 1, "files": [path.name]} if path is not None else {"value": 1}


@pytest.fixture
def jobs(tmp_path):
    made = []
    for n in range(3):
        (tmp_path / f"{n}.bin").write_bytes(bytes(2**20 * (n + 1)))
        made.append(Job(f"{n}", partial(good, None), {"file": tmp_path / f"{n}.bin"}, {"factor": 2}))
    return made


@pytest.fixture
def records(tmp_path):
    made = Records(tmp_path / "out/cases")
    made.open("test")
    return made


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".mgz"])
def test_the_bytes_of_voxels_are_told_by_the_header(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    write_volume(path, Volume(np.zeros(GRID.shape, np.int16), GRID))
    assert stored_bytes(path) == 4 * 5 * 6 * 2
    with path.open("r+b") as file:
        file.truncate(1)
    assert stored_bytes(path) is None


def test_other_files_and_folders_count_as_they_lie_on_the_disk(tmp_path):
    write_labels(tmp_path / "a.mha", LabelMap(np.zeros(GRID.shape, np.uint8), GRID))
    assert stored_bytes(tmp_path) == (tmp_path / "a.mha").stat().st_size
    (tmp_path / "a.obj").write_text("v 0 0 0\n")
    assert stored_bytes(tmp_path / "a.obj") == 8
    assert stored_bytes(tmp_path / "absent.nii.gz") is None


def test_a_plan_knows_cases_memory_and_time_and_does_nothing(jobs, records, tmp_path):
    manner = Manner(2, records=records, need=Need(100.0, 3.0))
    found = plan(jobs, manner)
    assert [case.memory_mib for case in found.cases] == [103, 106, 109]
    assert (len(found.todo), found.at_once_mib, found.seconds) == (3, 215, None)
    assert [path.name for path in records.folder.iterdir()] == ["run.json"]
    run(jobs[:2], Manner(records=records))
    found = plan(jobs, manner)
    assert [case.kept for case in found.cases] == [True, True, False]
    assert found.seconds == pytest.approx(np.mean([case.seconds for case in found.cases[:2]]))
    assert found.as_dict()["memory_mib_at_once"] == 109
    assert len(plan(jobs, Manner(2, records=records, afresh=True)).todo) == 3


def test_a_plan_does_again_what_is_younger_gone_or_set_otherwise(jobs, records, tmp_path):
    run(jobs, Manner(records=records))
    manner = Manner(records=records)
    assert plan(jobs, manner).seconds == 0
    os.utime(tmp_path / "0.bin", (2e9, 2e9))
    (tmp_path / "1.bin").unlink()
    jobs[2] = Job("2", jobs[2].work, jobs[2].inputs, {"factor": 3})
    assert len(plan(jobs, manner).todo) == 3


def test_a_case_whose_result_is_gone_is_done_again(records, tmp_path):
    result = tmp_path / "out/result.nii.gz"
    result.touch()
    jobs = [Job("a", partial(good, result))]
    run(jobs, Manner(records=records))
    assert plan(jobs, Manner(records=records)).todo == ()
    result.unlink()
    assert len(plan(jobs, Manner(records=records)).todo) == 1


def test_what_does_not_fit_in_memory_is_told_with_the_jobs_that_do(jobs, monkeypatch):
    monkeypatch.setattr("voxbench.jobs.planning.free_mib", lambda: 250.0)
    assert plan(jobs, Manner(2, need=Need(100.0, 3.0))).workers_that_fit is None
    assert plan(jobs, Manner(3, need=Need(100.0, 3.0))).workers_that_fit == 2
    assert plan(jobs, Manner(3, need=Need(300.0, 0.0))).workers_that_fit == 1
    assert plan(jobs, Manner(scheduler="tcp://h:1", need=Need(300.0, 0.0))).workers_that_fit is None
    assert plan(jobs, Manner(3)).at_once_mib is None


def test_one_header_that_cannot_be_read_leaves_only_its_case_unknown(jobs, tmp_path):
    (tmp_path / "1.nii.gz").write_text("no image")
    jobs[1] = Job("1", jobs[1].work, {"image": tmp_path / "1.nii.gz", "missing": tmp_path / "none.nii.gz"})
    found = plan(jobs, Manner(2, need=Need(100.0, 3.0)))
    assert [case.memory_mib for case in found.cases] == [103, None, 109]
    assert found.at_once_mib == 212
