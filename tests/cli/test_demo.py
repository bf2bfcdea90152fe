"""The demo's frame: parts one after another, one page over all, what fails is named and stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxbench.cli import demo, main
from voxbench.cli.demo_steps import Steps
from voxbench.errors import JobError
from voxbench.report import Quantity
from voxbench.report.chapters import Chapter


def stand_in(name: str):
    def do(out: Path, say, samples):
        say(f"doing {name}")
        if name == "nodes":
            raise JobError("no network <today>")
        out.mkdir(parents=True, exist_ok=True)
        return Chapter(f"Chapter of {name}", "What was done.", [f"voxbench {name}"], [Quantity("size", 1.5, "mm")])

    return do


@pytest.fixture(autouse=True)
def _no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_doing", stand_in)


def test_every_part_has_a_chapter_and_one_that_fails_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 1
    page = (out / "report.html").read_text(encoding="utf-8")
    for name in ("brain", "radiographs", "knee", "vertebra", "spine"):
        assert f"Chapter of {name}</h2>" in page
        assert f"voxbench {name}</code>" in page
    assert "nodes" not in page
    told = capsys.readouterr().err
    assert "1 of 6 parts failed: nodes" in told
    assert "no network <today>" in told


def test_only_the_parts_asked_for_are_done_and_an_earlier_demo_needs_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--out", str(tmp_path / "demo"), "--parts", "spine", "brain"]
    assert main(command) == 0
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("==")] == [
        "== brain ==",
        "== spine ==",
    ]
    assert main(command) == 1
    assert "holds a demo already; --force replaces it" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_a_folder_of_something_else_is_never_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(["demo", "--out", str(tmp_path), "--force"]) == 1
    assert "holds something that is not a demo" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_commands_are_shown_as_typed_from_the_demo_s_folder_and_their_failure_ends_the_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    steps = Steps(tmp_path / "spine", told.append)
    with pytest.raises(JobError, match=r"exit code 1 of: voxbench info spine/nothing\.nii\.gz"):
        steps("info", tmp_path / "spine" / "nothing.nii.gz")
    assert told == ["$ voxbench info spine/nothing.nii.gz"]
    assert "nothing.nii.gz" in capsys.readouterr().err
