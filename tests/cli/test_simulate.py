"""voxbench simulate lumir25: options are checked before any work, and the data set is there afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voxbench.cli.degrees import degrees_of
from voxbench.cli.simulate import app
from voxbench.errors import UsageError


def run(*words: str) -> None:
    app(["lumir25", *words], exit_on_error=False, result_action="return_value")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--size", "160x224"), "--size: three whole numbers joined by x, e.g. 160x224x192; got 160x224"),
        (("--size", "8x8x8"), "--size: .* greater than or equal to 32, got 8"),
        (("--cases", "0"), "--cases: .* greater than or equal to 1, got 0"),
        (("--amplitude-mm", "13"), "--amplitude-mm: .* less than or equal to 12, got 13"),
    ],
)
def test_misuse_is_one_message_naming_the_flag_and_leaves_nothing(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run("--out", str(tmp_path / "data"), *words)
    assert not (tmp_path / "data").exists()


def test_json_says_what_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    run("--out", str(out), "--cases", "1", "--size", "32x45x38", "--json")
    made = json.loads(capsys.readouterr().out)
    assert made["folder"] == str(out)
    assert (made["training"], made["people"], made["pairs"]) == (1, 8, 4)
    assert len(list((out / "imagesVal").iterdir())) == 10


def test_knees_are_made_and_a_geometry_that_sees_little_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ssrkd", "--out", str(tmp_path / "data"), "--cases", "1", "--size", "32", "--shapes", "formulas"]
    given = [*words, "--views", "0,90", "--geometry", "released", "--json"]
    app(given, exit_on_error=False, result_action="return_value")
    printed = capsys.readouterr()
    (case,) = json.loads(printed.out)["cases"]
    assert (tmp_path / "data" / "processed" / case / "projs.npz").is_file()
    assert "sees 59 % of a knee's bones" in printed.err


@pytest.mark.parametrize(
    ("text", "degrees"),
    [("0,90", (0, 90)), ("0:360:10", tuple(range(0, 361, 10))), ("5", (5,)), ("0:1:0.3", (0, 0.3, 0.6, 0.9))],
)
def test_views_are_lists_or_ranges(text: str, degrees: tuple[float, ...]) -> None:
    assert degrees_of(text) == pytest.approx(degrees)


@pytest.mark.parametrize("text", ["", "front", "0:90", "90:0:10", "0:90:0", "0:90:10,5", "nan", "0:90:-1"])
def test_views_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--views: degrees joined by commas"):
        degrees_of(text)
