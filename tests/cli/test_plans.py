"""`--dry-run` of the commands over many cases: the plan, nothing done; and what a run says of the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from voxbench.cli.cases import Counter, Teller
from voxbench.cli.plans import NEEDS
from voxbench.cli.progress import Lines
from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels
from voxbench.jobs import Need, Outcome

GRID = Grid.from_parts((6, 9, 14), (4.0, 0.6, 0.6))


@pytest.fixture
def words(tmp_path):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:5, 4:8, 1:4], labels[1:5, 4:8, 4:9], labels[1:5, 4:8, 9:13], labels[2:4, 1:3] = 1, 201, 2, 100
    for folder in ("references", "predictions"):
        (tmp_path / folder).mkdir()
        for n in range(3):
            write_labels(tmp_path / folder / f"{n}_t2.mha", LabelMap(labels, GRID))
    folders = ("--predictions", tmp_path / "predictions", "--references", tmp_path / "references")
    return ["evaluate", "spider", *folders, "--out", tmp_path / "out"]


def test_a_dry_run_prints_the_plan_and_does_nothing(voxbench, words, tmp_path, monkeypatch):
    monkeypatch.setitem(NEEDS, "evaluate spider", Need(200.0, 1024.0))
    done = voxbench(*words, "--jobs", "2", "--dry-run", "--json")
    assert done.code == 0
    assert "plan   voxbench evaluate spider, 3 cases with 2 at a time" in done.err
    assert "cases  3 to do, 0 kept\n" in done.err
    assert "memory about 201 MiB a case, 403 MiB at a time" in done.err
    assert "time   unknown: no case was done here before" in done.err
    assert "nothing was done: leave --dry-run out to begin" in done.err
    assert not (tmp_path / "out").exists()
    said = json.loads(done.out)
    assert (said["command"], said["todo"], said["workers"], said["seconds"]) == ("evaluate spider", 3, 2, None)
    assert [case["case"] for case in said["cases"]] == ["0_t2", "1_t2", "2_t2"]
    assert voxbench(*words).code == 0
    (tmp_path / "predictions/1_t2.mha").write_bytes((tmp_path / "predictions/0_t2.mha").read_bytes() + b" ")
    later = voxbench(*words, "--dry-run").err
    assert "cases  1 to do, 2 kept (by settings and dates)" in later
    assert ", by 3 cases done here before" in later


def test_too_little_memory_is_told_before_the_run_too(voxbench, words, monkeypatch):
    monkeypatch.setitem(NEEDS, "evaluate spider", Need(300.0, 0.0))
    monkeypatch.setattr("voxbench.jobs.planning.free_mib", lambda: 350.0)
    short = "the largest cases need about 600 MiB at a time, 350 MiB are free; --jobs 1 fits"
    assert short in voxbench(*words, "--jobs", "2", "--dry-run").err
    monkeypatch.setattr("voxbench.jobs.planning.free_mib", lambda: 250.0)
    assert "warning: the largest cases need about 300 MiB at a time, 250 MiB are free; --jobs 1 may not" in (
        voxbench(*words).err
    )


def test_a_dry_run_refuses_what_the_run_would(voxbench, words, tmp_path):
    (tmp_path / "predictions/1_t2.mha").unlink()
    done = voxbench(*words, "--dry-run")
    assert done.code == 1
    assert "1_t2.mha" in done.err
    assert voxbench(*words, "--jobs", "0", "--dry-run").code == 2


def test_a_check_plans_too(voxbench, words, tmp_path):
    done = voxbench("check", tmp_path / "references", "--dry-run", "--json")
    assert done.code == 0
    assert json.loads(done.out)["todo"] == 3
    done = voxbench("check", tmp_path / "references", "--jobs", "2", "--scheduler", "tcp://h:1")
    assert (done.code, "not both" in done.err) == (2, True)


@pytest.mark.parametrize("verb", ["evaluate", "predict", "prepare"])
def test_every_command_over_many_cases_has_the_same_four_options(verb, voxbench):
    from importlib import import_module

    app = import_module(f"voxbench.cli.{verb}").app
    for name in (name for name in app if not name.startswith("-")):
        told = voxbench(verb, name, "--help").out
        for option in ("--jobs", "--scheduler", "--dry-run", "--force"):
            assert option in told, (name, option)


@dataclass
class Heard(Lines):
    said: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)

    def __call__(self, line):
        self.said.append(line)

    def doing(self, what):
        self.rest.append(what)


def test_the_rest_is_told_by_what_was_computed_not_by_what_was_kept(monkeypatch):
    now = iter([0.0, 10.0, 30.0])
    monkeypatch.setattr("voxbench.cli.cases.time.perf_counter", lambda: next(now))
    heard = Heard()
    teller = Teller(heard, lambda record: f"value {record['value']}\nmore", 4)
    teller(Outcome("a", {"value": 1}, reused=True))
    teller(Outcome("b", {"value": 2}, seconds=10.0))
    teller(Outcome("c", None, "broken\nsee there"))
    teller(Outcome("d", {"value": 4}, seconds=1.23))
    assert heard.said == [
        "[1/4] value 1  (kept)\nmore",
        "[2/4] value 2  10.0 s\nmore",
        "[3/4] c  failed: broken",
        "[4/4] value 4  1.2 s\nmore",
    ]
    assert heard.rest == ["2 of 4 done, 2 left, about 20 s", "3 of 4 done, 1 left, about 15 s"]
    assert (teller.done, teller.count) == (3, 4)


def test_a_log_hears_of_the_rest_now_and_then(capsys, monkeypatch):
    from voxbench.cli.progress import lines

    with lines("x") as tell:
        counter = Counter(tell, 3)
        counter(Outcome("a", {}))
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("voxbench.cli.progress.SELDOM", -1.0)
        counter(Outcome("b", {}))
        assert "2 of 3 done, 1 left, about 0 s" in capsys.readouterr().err
