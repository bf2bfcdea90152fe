"""Cases run, resumed and failed: here, and on workers."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest

from voxbench.errors import FileReadError, JobError, UsageError
from voxbench.jobs import Job, Manner, Records, require_all, run


def doubled(path, log):
    with log.open("a") as file:
        file.write(path.name + "\n")
    if not path.exists():
        raise FileReadError(f"{path.name}: no such file")
    return {"value": 2 * int(path.read_text()), "none": float("nan"), "pair": (1, 2)}


def dies(path):
    os.kill(os.getpid(), 9)


def dies_once(path):
    if not path.exists():
        path.write_text("x")
        os.kill(os.getpid(), 9)
    return {"value": 1}


def broken():
    raise KeyError("x")


@pytest.fixture
def jobs(tmp_path):
    made = []
    for n in range(4):
        (tmp_path / f"{n}.txt").write_text(str(n))
        path = tmp_path / f"{n}.txt"
        made.append(Job(f"case <{n}>", partial(doubled, path, tmp_path / "log"), {"file": path}, {"factor": 2}))
    return made


def kept(tmp_path):
    records = Records(tmp_path / "cases")
    records.open("test")
    return Manner(records=records)


def log(tmp_path):
    path = tmp_path / "log"
    return path.read_text().split() if path.exists() else []


def test_outcomes_come_in_the_order_of_the_jobs_with_hashes_and_plain_records(jobs, tmp_path):
    told = []
    outcomes = run(jobs, Manner(), told.append)
    assert [o.key for o in outcomes] == [o.key for o in told] == [f"case <{n}>" for n in range(4)]
    assert [o.record["value"] for o in outcomes] == [0, 2, 4, 6]
    assert outcomes[0].record["pair"] == [1, 2]
    assert outcomes[0].record["none"] != outcomes[0].record["none"]
    assert all(len(o.inputs["file"]) == 64 and not o.reused for o in outcomes)


def test_a_second_start_does_only_what_changed(jobs, tmp_path):
    manner = kept(tmp_path)

    first = run(jobs, manner)
    (tmp_path / "2.txt").write_text("7")
    second = run(jobs, manner)
    assert log(tmp_path) == ["0.txt", "1.txt", "2.txt", "3.txt", "2.txt"]
    assert [o.reused for o in second] == [True, True, False, True]
    assert second[2].record["value"] == 14
    assert second[0].seconds == pytest.approx(first[0].seconds, abs=1e-3)
    run(jobs, Manner(records=manner.records, afresh=True))
    assert len(log(tmp_path)) == 9


def test_other_settings_make_another_case(jobs, tmp_path):
    manner = kept(tmp_path)
    run(jobs, manner)
    run([Job(j.key, j.work, j.inputs, {"factor": 3}) for j in jobs], manner)
    assert len(log(tmp_path)) == 8


def test_a_bad_case_stops_no_other_and_is_tried_again_at_the_next_start(jobs, tmp_path):
    manner = kept(tmp_path)
    (tmp_path / "1.txt").unlink()
    outcomes = run(jobs, manner)
    assert [o.record is None for o in outcomes] == [False, True, False, False]
    assert outcomes[1].inputs == {"file": None}
    with pytest.raises(JobError, match=r"1 of 4 cases failed\ncase <1>: 1.txt: no such file"):
        require_all(outcomes)
    on_file = json.loads(manner.records.path("case <1>").read_text())
    assert (on_file["status"], on_file["error"]) == ("failed", "1.txt: no such file")
    (tmp_path / "1.txt").write_text("1")
    require_all(run(jobs, manner))
    assert log(tmp_path)[4:] == ["1.txt"]


def test_a_defect_of_ours_is_named_and_costs_only_its_case(jobs):
    outcomes = run([Job("bad", broken), *jobs])
    assert outcomes[0].error.startswith("unexpected KeyError: 'x' (broken, line")
    assert all(o.record for o in outcomes[1:])


def test_a_damaged_record_is_made_anew(jobs, tmp_path):
    manner = kept(tmp_path)
    run(jobs, manner)
    manner.records.path(jobs[0].key).write_text("{")
    assert run(jobs, manner)[0].reused is False


def test_names_that_differ_only_in_what_files_cannot_hold_stay_apart(tmp_path):
    records = Records(tmp_path)
    paths = {records.path(key) for key in ("a/b", "a<b", "a_b", "..", "x" * 300, "x" * 301)}
    assert len(paths) == 6
    assert all(path.parent == tmp_path and len(path.name) < 130 for path in paths)


def test_cases_no_longer_asked_for_leave_the_folder(jobs, tmp_path):
    records = Records(tmp_path / "cases")
    records.open("test")
    run(jobs, Manner(records=records))
    records.drop_others([jobs[0].key])
    assert len(list(records.folder.iterdir())) == 3  # run.json, status.json, the case
    assert records.kind == "test"


def test_two_cases_of_one_name_and_no_workers_are_refused(jobs):
    with pytest.raises(UsageError, match="named twice"):
        run([jobs[0], jobs[0]])
    with pytest.raises(UsageError, match="at least 1; got 0"):
        Manner(workers=0)
    with pytest.raises(UsageError, match="not both"):
        Manner(workers=2, scheduler="tcp://127.0.0.1:1")


def test_processes_give_the_same_as_one_and_a_killed_one_costs_only_its_case(jobs, tmp_path):
    outcomes = run([*jobs, Job("killed", partial(dies, tmp_path))], Manner(workers=2))
    assert [o.record["value"] for o in outcomes[:4]] == [0, 2, 4, 6]
    assert "died twice" in outcomes[4].error


def test_a_case_killed_once_is_tried_again_alone(jobs, tmp_path):
    outcomes = run([Job("killed once", partial(dies_once, tmp_path / "flag")), *jobs], Manner(workers=2))
    assert outcomes[0].record == {"value": 1}
    assert [o.record["value"] for o in outcomes[1:]] == [0, 2, 4, 6]


def test_a_scheduler_that_is_not_there_is_named(jobs, monkeypatch):
    monkeypatch.setattr("voxbench.jobs.cluster._PATIENCE", "1 s")
    with pytest.raises(JobError, match=r"tcp://127.0.0.1:9: no Dask scheduler answers"):
        run(jobs, Manner(scheduler="tcp://127.0.0.1:9"))


def test_a_cluster_s_workers_do_the_cases(jobs):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        outcomes = run(jobs, Manner(scheduler=cluster.scheduler_address))
    assert [o.record["value"] for o in outcomes] == [0, 2, 4, 6]


def test_a_folder_among_the_inputs_is_known_by_what_it_holds(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / "1.dcm").write_text("1")
    job = Job("one", partial(doubled, folder / "1.dcm", tmp_path / "log"), {"series": folder})
    manner = kept(tmp_path)
    assert not run([job], manner)[0].reused
    assert run([job], manner)[0].reused
    (folder / "2.dcm").write_text("2")
    assert not run([job], manner)[0].reused
    assert log(tmp_path) == ["1.dcm", "1.dcm"]
