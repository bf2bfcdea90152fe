"""`voxbench report`: a page from an evaluation, with pictures; nothing of the patient or the machine on it."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from tests.io.test_dicom import write_series
from tests.report.browser import PROGRAM, browser
from tests.report.test_html import Page

from voxbench.geometry import LabelMap
from voxbench.io import read_volume, write_labels
from voxbench.io.samples import cache_folder, is_cached, sample

CASES = tuple(f"lnq2023-test-{n:04d}" for n in (2, 3))
NASTY = "<script>alert(1)</script>"
PLANTED = ("Doe", "Jane", "secret-7", "19470813", "1947-08-13", "Station-9")


def planted(series: object, number: int) -> None:
    """What a scanner writes beside the pixels."""
    series.StudyDate, series.StationName = "19470813", "Station-9"  # type: ignore[attr-defined]


@pytest.fixture
def scored(voxbench, tmp_path):
    """Two scored cases whose images are DICOM series of a named patient, and whose label has a nasty name."""
    rng = np.random.default_rng(0)
    for case in CASES:
        write_series(tmp_path / "images" / case, rng.integers(0, 3000, (6, 24, 20)).astype(np.int16), planted)
        grid = read_volume(tmp_path / "images" / case).grid
        mask = np.zeros(grid.shape, np.uint8)
        mask[4:12, 5:15, 1:4] = 1
        for name, shift in (("references", 0), ("predictions", 2)):
            (tmp_path / name).mkdir(exist_ok=True)
            labels = LabelMap(np.roll(mask, shift, 0), grid, {1: NASTY})
            write_labels(tmp_path / name / "a.seg.nrrd", labels)
            (tmp_path / name / "a.seg.nrrd").rename(tmp_path / name / f"{case}-seg.nrrd")
    words = ["--predictions", tmp_path / "predictions", "--references", tmp_path / "references"]
    done = voxbench("evaluate", "lnq2023", *words, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert "report.html" in done.err
    return tmp_path / "run", [*words, "--images", tmp_path / "images"]


def test_the_evaluation_leaves_a_page_and_it_says_nothing_of_the_machine(scored, tmp_path):
    run, _ = scored
    text = (run / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    seen = Page(text)
    assert seen.tags["h1"] == 1
    assert "LNQ 2023: run" in seen.text
    assert seen.tags["script"] == 0


def test_pictures_name_no_patient_and_no_label_becomes_markup(voxbench, scored, tmp_path):
    run, words = scored
    out = tmp_path / "page.html"
    done = voxbench("report", run, *words, "--dir", tmp_path / "empty", "--worst", 1, "--out", out)
    assert (done.code, done.out) == (0, "")
    text = out.read_text(encoding="utf-8")
    assert [word for word in (str(tmp_path), NASTY) if word in text] == []
    words_only = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)  # in which three letters in a row are chance
    assert [word for word in PLANTED if word in words_only] == []
    seen = Page(text)
    assert seen.tags["img"] == 1
    assert "voxbench samples niivue" in seen.text
    assert "ml only in reference" in seen.text
    again = voxbench("report", run, *words, "--cases", *CASES, "--no-viewer", "--out", out, "--force")
    assert again.code == 0
    both = Page(out.read_text(encoding="utf-8"))
    assert both.tags["img"] == 2
    assert "niivue" not in both.text


def test_two_runs_stand_side_by_side_and_a_missing_file_is_said_on_the_page(voxbench, scored, tmp_path):
    run, words = scored
    shutil.copytree(tmp_path / "predictions", tmp_path / "worse")
    (tmp_path / "worse" / f"{CASES[0]}-seg.nrrd").unlink()
    words = [*words[:2], tmp_path / "worse", *words[2:]]
    done = voxbench(
        "report",
        f"ours={run}",
        f"theirs={run}",
        *words,
        "--cases",
        CASES[0],
        "--no-viewer",
        "--out",
        tmp_path / "a.html",
    )
    assert done.code == 0, done.err
    seen = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "theirs minus ours, case by case" in seen.text
    assert seen.tags["img"] == 1
    assert "No picture: " in seen.text
    assert str(tmp_path) not in seen.text


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        ((), 2, "no run named"),
        (("RUN", "--worst", -1), 2, "--worst"),
        (("RUN", "--cases", "x"), 2, "--cases shows nothing without --predictions"),
        (("RUN", "--references", "REF"), 2, "--references shows nothing without --predictions"),
        (("RUN", "--predictions", "REF"), 2, "without --references"),
        (("RUN", "--predictions", "REF", "REF", "--references", "REF"), 2, "2 folders for 1 runs"),
        (("RUN", "--predictions", "nowhere", "--references", "REF"), 1, "nowhere: no such folder"),
        (("RUN", "--predictions", "REF", "--references", "REF", "--cases", "x"), 1, "no such case in this run"),
        (("RUN", "RUN"), 1, "NAME=FOLDER"),
        (("REF",), 1, "holds no scores.json"),
        (("RUN", "--bootstrap", 0), 2, "bootstrap"),
        (("RUN", "--out", "nowhere/a.html"), 1, "does not exist"),
    ],
)
def test_bad_input_gives_one_message_and_no_page(more, code, says, voxbench, scored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {"RUN": scored[0], "REF": tmp_path / "references"}
    done = voxbench("report", *(known.get(word, word) for word in more))
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_is_there_is_kept_without_force(voxbench, scored, tmp_path):
    (tmp_path / "a.html").write_text("mine")
    done = voxbench("report", scored[0], "--out", tmp_path / "a.html")
    assert done.code == 1
    assert (tmp_path / "a.html").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")
@pytest.mark.skipif(not is_cached(sample("niivue")), reason="needs voxbench samples niivue")
def test_in_a_browser_the_viewer_draws_the_volume_and_nothing_is_asked_of_anyone(voxbench, scored, tmp_path):
    """The sizes of what is drawn, not its looks: those are looked at by people."""
    from PIL import Image

    run, words = scored
    out = tmp_path / "page.html"
    done = voxbench("report", run, *words, "--dir", cache_folder(), "--worst", 2, "--out", out)
    assert done.code == 0, done.err
    with browser(tmp_path / "profile") as page:
        page.open(out)
        page.until("!!document.documentElement.dataset.viewer")
        assert page.value("document.documentElement.dataset.viewer") == "ready"
        names = page.value(
            "[...document.querySelectorAll('#viewer-layers label')].map((one) => one.textContent.trim())"
        )
        assert names == ["image", "reference", "prediction", "differences"]
        place = page.value(
            "(() => { const r = document.querySelector('.stage').getBoundingClientRect();"
            " return {x: r.x, y: r.y + scrollY, width: r.width, height: r.height} })()"
        )
        page.until("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
        (tmp_path / "view.png").write_bytes(page.screenshot(place))
        pixels = np.asarray(Image.open(tmp_path / "view.png").convert("RGB")).astype(int)
        background = np.array([16, 18, 20])
        drawn = np.abs(pixels - background).max(axis=2) > 24
        coloured = (pixels.max(axis=2) - pixels.min(axis=2)) > 60
        assert drawn.mean() > 0.05
        assert coloured.mean() > 0.002
        right = drawn[:, drawn.shape[1] * 2 // 3 :]
        assert right.mean() > 0.02  # the 3-D part
        assert page.requests() == [out.resolve().as_uri()]
        assert page.complaints() == []
        assert page.value("document.title").startswith("LNQ 2023")
        assert page.value("typeof alerted") == "undefined"
