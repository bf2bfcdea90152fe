"""What every evaluation does around its numbers: resumes, names what failed, keeps the rest."""

from __future__ import annotations

import json
from functools import partial

import pytest

from voxbench.cli.scoring import scoring
from voxbench.errors import FileReadError, FileWriteError, JobError
from voxbench.io import write_json
from voxbench.jobs import Job, Manner


def work(path):
    if not path.exists():
        raise FileReadError(f"{path.name}: no such file\n  look again")
    return {"value": int(path.read_text())}


def jobs(tmp_path, count=3):
    return [
        Job(f"case {n}", partial(work, tmp_path / f"{n}.txt"), {"file": tmp_path / f"{n}.txt"}) for n in range(count)
    ]


@pytest.fixture
def data(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text(str(n))
    return tmp_path


def score(data, out, manner=Manner(), count=3):
    with scoring(out, "toy", ("scores.json",), manner) as run:
        outcomes = run.outcomes(jobs(data, count), lambda record: f"value {record['value']}")
        write_json(run.folder / "scores.json", {o.key: o.record for o in outcomes})


def test_a_bad_case_is_named_the_others_are_kept_and_no_result_is_written(data, capsys):
    (data / "1.txt").unlink()
    with pytest.raises(JobError, match=r"(?s)1 of 3 cases failed; .*the other 2 are kept.*case 1: 1.txt: no such file"):
        score(data, data / "out")
    assert "[2/3] case 1  failed: 1.txt: no such file" in capsys.readouterr().err
    assert not (data / "out/scores.json").exists()
    (data / "1.txt").write_text("9")
    score(data, data / "out")
    assert capsys.readouterr().err.count("(kept)") == 2
    assert json.loads((data / "out/scores.json").read_text())["case 1"] == {"value": 9}


def test_when_every_case_fails_nothing_is_left(data):
    (data / "0.txt").unlink()
    with pytest.raises(JobError, match=r"1 of 1 cases failed\ncase 0"):
        score(data, data / "new/out", count=1)
    assert not (data / "new").exists()


def test_two_processes_write_what_one_does(data):
    score(data, data / "one")
    score(data, data / "two", Manner(workers=2))
    assert (data / "one/scores.json").read_bytes() == (data / "two/scores.json").read_bytes()


def test_the_folder_of_another_evaluation_needs_force(data):
    score(data, data / "out")
    with (
        pytest.raises(FileWriteError, match=r"(?s)there   toy.*wanted  other.*--force"),
        scoring(data / "out", "other", (), Manner()),
    ):
        pass
    with scoring(data / "out", "other", ("scores.json",), Manner(afresh=True)):
        pass
    assert not (data / "out/scores.json").exists()


def test_a_case_that_is_no_longer_asked_for_leaves_the_records(data):
    score(data, data / "out")
    score(data, data / "out", count=2)
    assert len(list((data / "out/cases").glob("case*"))) == 2
