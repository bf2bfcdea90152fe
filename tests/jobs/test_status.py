"""What a run says of itself while it is under way, what it leaves when it is killed, and that it ends politely."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest

from voxbench.errors import InputError
from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels
from voxbench.io.atomic import atomic, part_name
from voxbench.jobs import Job, Manner, Records, run
from voxbench.jobs.leftovers import WORKER, run_name, sweep


def good():
    return {"value": 1}


def bad():
    raise InputError("no such thing\nsee there")


def waits_for(path):
    while not path.exists():
        time.sleep(0.01)
    return {"value": 1}


def dies_writing(target):
    with atomic(target) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def grows(flag):
    """Takes memory until it is ended for it."""
    flag.write_text(flag.read_text() + "x" if flag.exists() else "x")
    held = []
    while True:
        held.append(bytearray(b"x" * 2**25))
        time.sleep(0.02)


@pytest.fixture
def records(tmp_path):
    made = Records(tmp_path / "cases")
    made.open("test")
    return made


def states(records):
    return {case["case"]: case["state"] for case in json.loads(records.status.read_text())["cases"]}


def test_the_status_names_every_case_with_what_became_of_it(records):
    run([Job("a", good), Job("b", bad)], Manner(records=records))
    status = json.loads(records.status.read_text())
    assert (status["state"], status["counts"], status["host"]) == ("ended", {"done": 1, "failed": 1}, platform.node())
    first, second = status["cases"]
    assert first["case"] == "a"
    assert first["pid"] == status["pid"] == os.getpid()
    assert first["start"].endswith("+00:00")
    assert first["seconds"] >= 0
    assert first["peak_mib"] > 10
    assert "error" not in first
    assert second["error"] == "no such thing\nsee there"
    run([Job("a", good), Job("b", good)], Manner(records=records))
    assert states(records) == {"a": "kept", "b": "done"}


def test_the_status_can_be_read_while_the_run_is_under_way(records, tmp_path):
    jobs = [Job("first", good), Job("held", partial(waits_for, tmp_path / "flag")), Job("last", good)]
    running = threading.Thread(target=run, args=(jobs, Manner(records=records)))
    running.start()
    wanted = {"first": "done", "held": "running", "last": "waiting"}
    end = time.monotonic() + 20
    while not (records.status.exists() and states(records) == wanted) and time.monotonic() < end:
        time.sleep(0.02)
    seen, state = states(records), json.loads(records.status.read_text())["state"]
    (tmp_path / "flag").touch()
    running.join()
    assert (seen, state) == (wanted, "running")
    assert set(states(records).values()) == {"done"}


def test_a_run_that_is_stopped_says_so_and_keeps_what_is_done(records):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([Job("a", good), Job("b", good)], Manner(records=records), stop)
    assert json.loads(records.status.read_text())["state"] == "stopped"
    assert states(records) == {"a": "done", "b": "waiting"}
    assert records.kept("a")["status"] == "done"


def test_a_status_that_cannot_be_written_stops_nothing(records):
    records.status.mkdir()
    assert run([Job("a", good)], Manner(records=records))[0].record == {"value": 1}


@pytest.mark.parametrize("state", ["running", "ended"])
@pytest.mark.parametrize(("pid", "gone"), [("dead", True), ("alive", False), ("elsewhere", False), (None, False)])
def test_what_a_killed_run_left_half_written_goes_at_the_next_start_and_nothing_else(
    pid, gone, records, tmp_path, state
):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    about = {"state": state, "run": "0123abcd", "host": platform.node(), "pid": dead.pid}
    about |= {"alive": {"pid": os.getpid()}, "elsewhere": {"host": "another"}}.get(pid, {})
    records.status.write_text(json.dumps(about) if pid else "{")
    folder = tmp_path / "deeper" / ".0123abcdw11111111.part.case"
    folder.mkdir(parents=True)
    (folder / "x").touch()
    mine, theirs = tmp_path / ".0123abcd11111111.part.a.mha", tmp_path / ".ffffffff11111111.part.b.mha"
    mine.touch(), theirs.touch(), (tmp_path / "0123abcd.part.c").touch()
    run([Job("a", good)], Manner(records=records))
    assert (mine.exists(), folder.exists()) == (not gone, not gone)
    assert theirs.exists()
    assert (tmp_path / "0123abcd.part.c").exists()


def test_half_written_files_are_known_by_the_run_and_told_from_its_workers(tmp_path):
    assert part_name("a.mha").startswith(f".{run_name()}")
    assert part_name("a.mha").endswith(".part.a.mha")
    (tmp_path / part_name("mine")).touch()
    (tmp_path / f".{run_name()}{WORKER}00000000.part.a").touch()
    sweep(tmp_path, run_name() + WORKER)
    assert [path.name.rpartition(".")[2] for path in tmp_path.iterdir()] == ["mine"]


def test_a_worker_that_dies_while_it_writes_leaves_nothing_half_written(records, tmp_path):
    jobs = [Job("a", good), Job("dies", partial(dies_writing, tmp_path / "result.json"))]
    outcomes = run(jobs, Manner(workers=2, records=records))
    assert [o.record is None for o in outcomes] == [False, True]
    about = json.loads(records.status.read_text())["cases"][1]
    assert (about["state"], about["tries"]) == ("failed", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases"]


def test_a_worker_ended_for_its_memory_costs_only_its_case_which_is_tried_twice(records, tmp_path, monkeypatch):
    monkeypatch.setattr("voxbench.jobs.cluster.memory_of", lambda workers: "400 MiB")
    jobs = [Job("grows", partial(grows, tmp_path / "tries")), *(Job(f"{n}", good) for n in range(4))]
    outcomes = run(jobs, Manner(workers=2, records=records))
    assert [o.record for o in outcomes] == [None, *[{"value": 1}] * 4]
    assert outcomes[0].error.startswith("the worker died twice on this case, the second time with nothing beside it")
    assert (tmp_path / "tries").read_text() == "xx"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("jobs", "number", "code", "says"),
    [(1, signal.SIGTERM, 143, "terminated"), (2, signal.SIGINT, 130, "interrupted")],
)
def test_a_stopped_command_ends_politely_and_goes_on_from_there(jobs, number, code, says, tmp_path):
    grid = Grid.from_parts((20, 160, 200), (4.0, 0.6, 0.6))
    array = np.zeros(grid.shape, np.uint8)
    array[2:18, 20:60, 20:60], array[2:18, 20:60, 90:140], array[2:18, 20:60, 62:88], array[4:16, 80:90] = (
        1,
        2,
        201,
        100,
    )
    for folder in ("references", "predictions"):
        (tmp_path / folder).mkdir()
        for n in range(12):
            write_labels(tmp_path / folder / f"{n}_t2.mha", LabelMap(array, grid))
    words = ["evaluate", "spider", "--jobs", str(jobs), "--out", str(tmp_path / "out")]
    words += [w for name in ("references", "predictions") for w in (f"--{name}", str(tmp_path / name))]
    process = subprocess.Popen(
        [sys.executable, "-m", "voxbench", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    assert "[ 1/12]" in said
    assert "failed" not in said
    os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(process.pid, number)
    said += process.communicate(timeout=120)[1]
    assert process.returncode == code, said
    assert f"voxbench: {says}" in said
    assert "of 12 cases are done and kept; the same command goes on from there" in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob(".*.part.*"))
    out = tmp_path / "out"
    assert json.loads((out / "cases/status.json").read_text())["state"] == "stopped"
    done = len(list((out / "cases").glob("*_t2.json")))
    assert 1 <= done < 12
    again = subprocess.run(
        [sys.executable, "-m", "voxbench", *words[:2], *words[4:]], capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stderr.count("(kept)")) == (0, done)


FORKED = """
import os
from voxbench.jobs.leftovers import run_name
ours = run_name()
pid = os.fork()
if pid == 0:
    os._exit(0 if run_name() != ours else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert run_name() == ours
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_a_name_of_its_own() -> None:
    assert subprocess.run([sys.executable, "-c", FORKED], check=False).returncode == 0
