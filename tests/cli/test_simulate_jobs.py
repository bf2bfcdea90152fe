"""`voxbench simulate` of independent cases: the same bytes in processes, a plan, failures named, whole or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from voxbench.challenges.lumbarsr import simulation as lumbarsr
from voxbench.challenges.ssrkd import simulation as ssrkd
from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels
from voxbench.simulate.phantoms.spine import spine_phantom

GRID = Grid.from_parts((24, 30, 36), (2.5, 6.0, 6.0))
SPIDER = ("--inplane-mm", 6, "--slice-mm", 6, 6, "--space-every", 0)


@pytest.fixture
def labels(tmp_path: Path) -> tuple[Path, Path]:
    for number in (1, 2):
        write_labels(tmp_path / f"{number}.nii.gz", spine_phantom(GRID, number, mark_partial=False).labels)
    return tmp_path / "1.nii.gz", tmp_path / "2.nii.gz"


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_processes_make_the_same_bytes_and_the_rest_is_told(voxbench, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("voxbench.cli.progress.SELDOM", -1.0)
    words = ("simulate", "spider", "--labels", *labels, *SPIDER, "--seed", 3)
    one = voxbench(*words, "--out", tmp_path / "one")
    assert one.code == 0
    assert "[1/2] 1  1_t1, 1_t2  " in one.err
    assert "1 of 2 done, 1 left, about " in one.err
    two = voxbench(*words, "--out", tmp_path / "two", "--jobs", 2, "--json")
    assert (two.code, set(json.loads(two.out)["patients"])) == (0, {"1", "2"})
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len(content(tmp_path / "one")) == 2 * 2 * 2 + 3
    assert {path.name for path in tmp_path.iterdir()} == {"1.nii.gz", "2.nii.gz", "one", "two"}


def test_a_case_does_not_depend_on_those_before_it(tmp_path):
    settings = lumbarsr.LumbarsrSimulation(cases=2, size=(32, 32, 32))
    orders = {"alone": (1,), "after": (0, 1)}
    for name, order in orders.items():
        (tmp_path / name).mkdir()
        for number in order:
            lumbarsr.jobs(tmp_path / name, settings)[number].work()
    alone, after = content(tmp_path / "alone"), content(tmp_path / "after")
    assert len(alone) == 27
    assert {name: after[name] for name in alone} == alone


def test_a_case_whose_worker_died_is_made_again_over_what_it_left(tmp_path):
    settings = ssrkd.SsrkdSimulation(cases=1, size=32, shapes="formulas", points=20, angles=(0.0,))
    tried = (*ssrkd.jobs(tmp_path / "knees", settings),)
    tried += lumbarsr.jobs(tmp_path / "spines", lumbarsr.LumbarsrSimulation(cases=1, size=(32, 32, 32)))
    for job in tried:
        (tmp_path / "knees").mkdir(exist_ok=True)
        first = job.work()
        before = content(tmp_path)
        assert job.work() == first
        assert content(tmp_path) == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_cases_that_fail_are_named_the_others_are_tried_and_no_data_set_is_there(voxbench, labels, tmp_path, jobs):
    write_labels(tmp_path / "bad.nii.gz", LabelMap(np.full((4, 4, 4), 255, np.uint8), Grid.from_parts((4, 4, 4))))
    (tmp_path / "text.nii.gz").write_text("no image")
    given = (tmp_path / "bad.nii.gz", labels[0], tmp_path / "text.nii.gz")
    words = ("simulate", "spider", "--labels", *given, *SPIDER, "--out", tmp_path / "out", "--jobs", jobs)
    done = voxbench(*words)
    assert done.code == 1
    assert "voxbench: 2 of 3 cases failed; no data set is written\n" in done.err
    assert "1: " in done.err
    assert "bad.nii.gz: label 255 means nothing" in done.err
    assert "] 2  2_t1, 2_t2  " in done.err
    assert "3: " in done.err
    assert "text.nii.gz: " in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"bad.nii.gz", "text.nii.gz", "1.nii.gz", "2.nii.gz"}


@dataclass(frozen=True)
class Verb:
    words: tuple[object, ...]
    cases: list[str]


VERBS = {
    "lnq2023": Verb(("--cases", 1, "--test", 1), ["lnq2023-train-0001", "lnq2023-test-0002"]),
    "lumbarsr": Verb(("--cases", 2), ["Lumbar_26", "Lumbar_27"]),
    "spider": Verb(("--cases", 2), ["1", "2"]),
    "ssrkd": Verb(
        ("--cases", 2, "--seed", 1), [one.case for one in ssrkd.planned(ssrkd.SsrkdSimulation(cases=2, seed=1))]
    ),
}


@pytest.mark.parametrize("name", VERBS)
def test_a_dry_run_names_the_cases_and_makes_nothing(name, voxbench, tmp_path):
    words = ("simulate", name, "--out", tmp_path / "out", *VERBS[name].words)
    done = voxbench(*words, "--dry-run", "--jobs", 2, "--json")
    assert done.code == 0
    said = json.loads(done.out)
    assert (said["command"], said["todo"], said["workers"]) == (f"simulate {name}", 2, 2)
    assert [case["case"] for case in said["cases"]] == VERBS[name].cases
    assert f"plan   voxbench simulate {name}, 2 cases with 2 at a time" in done.err
    assert "memory unknown" in done.err
    assert not list(tmp_path.iterdir())
    told = voxbench("simulate", name, "--help").out
    assert "appears whole, so a second start begins anew" in " ".join(told.replace("│", "").split())
    refused = voxbench(*words, "--jobs", 0)
    assert (refused.code, "--jobs must be at least 1; got 0" in refused.err) == (2, True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    refused = voxbench(*words, "--dry-run", "--force")
    assert (refused.code, "not a simulated data set" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("spider", "--labels", "a.nii.gz", "b.nii.gz"), "label map"),
        (("lumbarsr", "--microct", "a.nii.gz", "b.nii.gz"), "micro-CT"),
        (("lnq2023", "--dry-run", "--ct", "a.nii.gz", "--mask", "b.nii.gz"), "image"),
    ],
)
def test_files_that_are_not_there_are_all_named_before_the_work(words, what, voxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = voxbench("simulate", *words, "--out", "out")
    assert (done.code, f"no such {what}\n  a.nii.gz\n  b.nii.gz\n" in done.err) == (1, True)
    assert not list(tmp_path.iterdir())
