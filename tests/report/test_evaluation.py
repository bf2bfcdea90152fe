"""The report of evaluations: what it counts, in which order it names cases, and what it must never say."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.test_html import Page

from voxbench.challenges.tables import score_table
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Grid, LabelMap, Mesh, Volume
from voxbench.io import write_json, write_volume
from voxbench.metrics.intervals import bootstrap_interval
from voxbench.metrics.scores import Metric
from voxbench.report.case_labels import EXTRA, MISSED, OTHER, Compared, label_case, matched
from voxbench.report.case_registration import find_pair
from voxbench.report.evaluation import CasePictures, evaluation_page, worst_cases
from voxbench.report.evaluation_html import write_evaluation_report
from voxbench.report.figures import fullest_cut
from voxbench.report.measures import Measure
from voxbench.report.numbers import ReportSettings
from voxbench.report.privacy import without_paths
from voxbench.report.scene import MOST_VOXELS, Scene, fitting, scene_of_meshes, scene_of_volumes
from voxbench.report.scored import read_scored
from voxbench.report.strips import strips_of
from voxbench.report.viewer import Viewer, as_json, as_script

METRICS = (Metric("dice", "higher"), Metric("hd95", "lower", "mm"), Metric("detection_rate", "higher"))
FEW = ReportSettings(bootstrap=50)
NASTY = "<script>alert(1)</script>"


def run(folder: Path, cases: dict[str, dict[str, Any]], challenge: str = "lnq2023", **more: Any) -> Path:
    """What an evaluation leaves, of made-up values."""
    folder.mkdir(parents=True)
    table = score_table(METRICS, cases)
    about = {name: {key: value for key, value in own.items() if key not in table} for name, own in cases.items()}
    content = {"challenge": challenge, "voxbench": "0.1.0", "numpy": "2", "settings": {"allow_missing": True}}
    content |= {"scored": f"{len(cases)} of {len(cases)} scored"} | more
    write_json(folder / "scores.json", content | {"cases": about, "table": table})
    return folder


def values(dice: float, hd95: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"dice": dice, "hd95": hd95, "detection_rate": 1.0} | more


def honest(nodes: int, found: int, predicted: int) -> dict[str, Any]:
    return {"honest": {"nodes": nodes, "nodes_detected": found, "nodes_predicted": predicted}}


def test_means_medians_counts_and_intervals_are_those_of_the_defined_values(tmp_path):
    dice = [0.5, 0.7, 0.8, 0.9, 0.95, 0.6]
    cases = {f"c{n}": values(d, float("nan") if n == 2 else n + 1.0) for n, d in enumerate(dice)}
    page = evaluation_page([read_scored(run(tmp_path / "r", cases))], FEW)
    rows = {row[0]: row for row in page.numbers[0].rows}
    interval = bootstrap_interval(np.array(dice), np.random.default_rng((0, 1)), resamples=50)
    assert rows["Dice"][4:] == [
        6, 0, np.mean(dice), f"{interval.low:.4g} to {interval.high:.4g}", 0.75, 0.5, 0.95,
    ]  # fmt: skip
    assert rows["HD95"][2:6] == ["mm", "lower", 5, 1]
    assert [row[0] for row in page.glance.rows] == ["Dice", "detection rate", "HD95"]
    assert "drawn 50 times with seed 0" in page.interval


def test_fewer_than_five_cases_get_no_interval(tmp_path):
    page = evaluation_page([read_scored(run(tmp_path / "r", {f"c{n}": values(n / 4) for n in range(4)}))], FEW)
    assert page.numbers[0].rows[0][7] == ""


def test_runs_are_compared_case_by_case_and_better_follows_the_quantity(tmp_path):
    rng = np.random.default_rng(0)
    base = {f"c{n}": rng.uniform(0.4, 0.6) for n in range(8)}
    one = run(tmp_path / "one", {name: values(d, 2.0) for name, d in base.items()})
    other = {name: values(d + 0.1 + 0.01 * n, 3.0 + 0.1 * n) for n, (name, d) in enumerate(base.items())}
    two = run(tmp_path / "two", {name: other[name] for name in list(other)[:6]} | {"new": values(0.1)})
    glance, table = evaluation_page([read_scored(one), read_scored(two)], FEW).differences
    assert glance.caption == "two minus one, case by case"
    assert [row[0] for row in glance.rows] == ["Dice", "detection rate", "HD95"]
    assert table.caption.endswith(": all numbers")
    rows = {row[0]: row for row in table.rows}
    assert (rows["Dice"][3], rows["Dice"][4], rows["Dice"][7:]) == (6, "+0.125", ["6 of 6", "better"])
    assert (rows["HD95"][4], rows["HD95"][7:]) == ("+1.25", ["0 of 6", "worse"])
    assert rows["detection rate"][8] == "no difference shown"


def test_the_worst_comes_first_failed_and_missing_before_missed_before_the_rest(tmp_path):
    cases = {
        "fine": values(0.95),
        "poor": values(0.2),
        "one missed": values(0.9, **honest(3, 2, 2)),
        "three missed": values(0.9, **honest(4, 1, 1)),
        "noted": values(0.97, note="the prediction has the value 7"),
        "absent": values(0.0, float("inf"), missing="absent: /home/jane doe/absent-seg.mha: no such file"),
    }
    folder = run(tmp_path / "r", cases)
    (folder / "cases").mkdir()
    failed = {"key": "broken", "status": "failed", "error": "broken: /data/secret/broken.mha: damaged\nmore"}
    write_json(folder / "cases" / "broken.json", failed)
    page = evaluation_page([read_scored(folder)], FEW)
    order = [row.case for row in page.runs[0].rows]
    assert order == ["broken", "absent", "three missed", "one missed", "poor", "fine", "noted"]
    assert worst_cases(page.runs[0], 2) == ("broken", "absent")
    said = {row.case: row.wrong for row in page.runs[0].rows}
    assert said["broken"] == "could not be scored: broken.mha: damaged"
    assert said["absent"] == "worst values: absent-seg.mha: no such file"
    assert said["three missed"].startswith("3 of 4 nodes missed")
    assert page.summary == (
        "r: 6 of 6 scored. 1 case could not be scored and is in no number below. 1 case got the worst values for want "
        "of a usable prediction. In 2 cases something was missed or invented.",
    )


def test_runs_that_cannot_stand_side_by_side_are_refused(tmp_path):
    one, two = (run(tmp_path / name / "r", {"c": values(0.5)}) for name in "ab")
    other = run(tmp_path / "c", {"c": values(0.5)}, challenge="ssrkd")
    with pytest.raises(InputError, match="NAME=FOLDER"):
        evaluation_page([read_scored(one), read_scored(two)], FEW)
    with pytest.raises(InputError, match="two challenges"):
        evaluation_page([read_scored(one), read_scored(other)], FEW)
    with pytest.raises(FileReadError, match="not a folder"):
        read_scored(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("1_t2: /home/jane doe/x/1_t2.mha: cannot be read", "1_t2: 1_t2.mha: cannot be read"),
        ("C:\\Users\\jane\\a.nii.gz: damaged", "a.nii.gz: damaged"),
        ("read ../jane/a.mha and ~/b.mha", "read b.mha"),
        ("jane/preds/a.mha: gone", "a.mha: gone"),
        ("Tb.N in 1/mm", "Tb.N in 1/mm"),
        ("DSC and/or HD", "DSC and/or HD"),
    ],
)
def test_paths_are_cut_to_the_name_of_the_file(text, left):
    assert without_paths(text) == left


def measure(numbers: dict[str, float], unit: str = "mm") -> Measure:
    return Measure("HD", "femur", "lower", unit, numbers)


def test_a_strip_shows_every_finite_value_within_round_ends_and_counts_the_others():
    numbers = {f"c{n}": float(v) for n, v in enumerate([1.2, 3.4, 3.4, 7.9, np.inf, np.nan, 2.0, 5.0])}
    strips = strips_of([("r", [measure(numbers)])])
    (strip,) = strips.strips
    said = [line for dot in strip.dots for line in dot.said.split("\n")]
    assert sorted(said) == sorted(f"{name}: {v:.4g} mm" for name, v in numbers.items() if np.isfinite(v))
    assert all(strips.left <= dot.x <= strips.right for dot in strip.dots)
    assert len({(dot.x, dot.y) for dot in strip.dots}) == 6
    assert strip.note == "median 3.4, 1 infinite, 1 undefined"
    assert float(strips.ticks[0][1]) <= 1.2
    assert float(strips.ticks[-1][1]) >= 7.9
    assert strip.box is not None
    assert strip.box.low <= strip.box.first <= strip.box.median <= strip.box.third <= strip.box.high


@pytest.mark.parametrize("same", [0.0, 1.0, -3.5e-12, 1e6])
def test_one_value_in_all_cases_can_be_drawn(same):
    strips = strips_of([("r", [measure({f"c{n}": same for n in range(6)})])])
    assert all(np.isfinite(x) and strips.left <= x <= strips.right for x, _ in strips.ticks)
    assert all(strips.left < dot.x < strips.right for dot in strips.strips[0].dots)


def test_many_cases_become_few_dots():
    numbers = {f"c{n}": float(v) for n, v in enumerate(np.random.default_rng(0).normal(size=20_000))}
    assert len(strips_of([("r", [measure(numbers)])]).strips[0].dots) < 1000


def test_every_metric_of_every_challenge_has_a_name():
    from voxbench.challenges.lnq2023 import scoring as lnq
    from voxbench.challenges.lumbarsr import scoring as lumbarsr
    from voxbench.challenges.lumbarsr.bones import RANKED
    from voxbench.challenges.lumbarsr.cases import MODES, WINDOWS
    from voxbench.challenges.spider import scoring as spider
    from voxbench.challenges.ssrkd.cases import BONES
    from voxbench.challenges.ssrkd.scoring import PUBLISHED, SURFACE
    from voxbench.report import measures

    quantities = (*lumbarsr.OFFICIAL, *lumbarsr.FURTHER)
    tables = {
        "spider": (*spider.OFFICIAL, *spider.ASD, *spider.HONEST),
        "lnq2023": (lnq.DICE, lnq.ASSD, *lnq.HIGHER, *lnq.LOWER),
        "lumbarsr": (*(f"{q} {m} {w}" for q in quantities for m in MODES for w in WINDOWS), "lbc_ratio", *RANKED),
        "ssrkd": tuple(f"{n}{b}" for n in PUBLISHED + SURFACE for b in ("", *(f" {bone}" for bone in BONES))),
        "lumir25": ("DSC", "HD95", "TRE_lm", "Non-diffeomorphic Volumes"),
    }
    for challenge, names in tables.items():
        known = measures._NAMES[challenge]
        assert set(names) <= set(known), challenge
        assert len({known[name] for name in names}) == len(names), challenge
        assert set(measures._HEADLINES[challenge]) <= set(known.values()), challenge


def written(tmp_path: Path, viewer: Viewer = Viewer(), **more: Any) -> str:
    cases = {f"{NASTY} {n}": values(n / 10, missing=NASTY if n == 3 else "") for n in range(8)}
    page = evaluation_page([read_scored(run(tmp_path / "r", cases, **more), NASTY)], FEW)
    write_evaluation_report(tmp_path / "report.html", page, viewer)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_names_of_runs_cases_and_settings_are_escaped_and_nothing_is_asked_for(tmp_path):
    text = written(tmp_path, settings={NASTY: NASTY})
    seen = Page(text)
    assert seen.tags["script"] == 0
    assert NASTY not in text
    assert seen.text.count(NASTY) > 20
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in text
    assert str(tmp_path) not in text


def test_headings_are_in_order_and_what_is_drawn_is_also_said(tmp_path):
    seen = Page(written(tmp_path))
    levels = [int(tag[1]) for tag, _ in seen.attributes if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    drawn = [attrs for tag, attrs in seen.attributes if tag == "svg" and attrs.get("role") == "img"]
    assert drawn
    assert all("values from" in str(attrs["aria-label"]) for attrs in drawn)
    targets = {attrs["href"] for tag, attrs in seen.attributes if tag == "a"}
    assert targets <= {f"#{attrs['id']}" for _, attrs in seen.attributes if "id" in attrs}
    assert seen.tags["table"] == seen.tags["caption"]


def test_scripts_stand_in_the_policy_by_their_hash_and_data_cannot_end_their_element(tmp_path):
    scene = Scene(f"{NASTY}", (), "</script><!--")
    text = written(tmp_path, Viewer("var a = '</script>';\r\n", (scene,)))
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in text
    assert "unsafe-inline'; script-src 'sha256-" in text
    data = re.findall(r'<script type="application/json" id="viewer-scenes">(.*?)</script>', text, flags=re.DOTALL)
    assert json.loads(data[0])[0]["note"] == "</script><!--"
    assert NASTY not in text


@pytest.mark.parametrize("text", ["</script>", "<!--", "&amp;", "\u2028", "]]>"])
def test_data_and_scripts_survive_being_put_into_a_page(text):
    assert json.loads(as_json(text)) == text
    assert not set("<>&") & set(as_json(text))
    assert "</script" not in as_script(text)


def test_no_viewer_is_told_with_the_way_to_get_it(tmp_path):
    page = evaluation_page([read_scored(run(tmp_path / "r", {"c": values(0.5)}))], FEW)
    page = replace(page, pictures=(CasePictures("c", "wrong", note="No picture: x"),))
    write_evaluation_report(tmp_path / "a.html", page, Viewer(note="voxbench samples niivue"))
    text = Page((tmp_path / "a.html").read_text()).text
    assert "voxbench samples niivue" in text
    assert "No picture: x" in text


GRID = Grid.from_parts((12, 10, 8), (1.0, 1.0, 3.0), (5.0, -4.0, 2.0))


def maps() -> tuple[np.ndarray, np.ndarray]:
    """Two structures; of the second one layer is missing, the third is predicted where there is none."""
    one = np.zeros(GRID.shape, np.uint8)
    one[2:5, 2:8, 2:6], one[6:10, 2:8, 2:6] = 3, 205
    other = np.zeros(GRID.shape, np.uint8)
    other[2:5, 2:8, 2:6], other[6:9, 2:8, 2:6], other[0, 0, 0] = 40, 7, 9
    return one, other


def test_predicted_objects_take_the_number_of_what_they_match():
    one, other = maps()
    found = matched(LabelMap(one, GRID), LabelMap(other, GRID)).array
    assert set(np.unique(found)) == {0, 3, 205, 206}
    assert (found[2:5, 2:8, 2:6] == 3).all()
    compared = Compared("c", LabelMap(one, GRID), LabelMap(found, GRID), None, {})
    errors = compared.errors
    assert (errors == MISSED).sum() == 6 * 4
    assert (errors == EXTRA).sum() == 1
    assert not (errors == OTHER).any()
    assert fullest_cut(errors != 0, GRID)[0] == 5.0 + 9
    assert fullest_cut(np.zeros(GRID.shape, bool), GRID) is None


def test_a_segmented_case_is_drawn_with_and_without_its_image_and_even_if_all_is_empty():
    one, other = maps()
    image = Volume(np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32), GRID)
    for labels, below in ((one, image), (one, None), (np.zeros_like(one), image)):
        compared = Compared("c", LabelMap(labels, GRID), LabelMap(other, GRID), below, {3: NASTY})
        (picture,), scene = label_case(compared)
        assert picture.size[0] > 1000
        assert "ml" in picture.alt
        assert [layer.kind for layer in scene.layers] == ["image"] * (below is not None) + ["labels"] * 3


def test_scenes_hold_dense_labels_cropped_and_coarsened():
    one, other = maps()
    labels = {"reference": LabelMap(one, GRID), "prediction": LabelMap(other, GRID)}
    scene = scene_of_volumes("c", (np.array([6.0, -3, 5]), np.array([15.0, 3, 20])), {}, labels)
    layer = scene.layers[0]
    raw = gzip.decompress(layer.content)
    shape = struct.unpack("<8h", raw[40:56])[1:4]
    assert shape == (10, 7, 6)
    assert struct.unpack("<h", raw[70:72])[0] == 2  # uint8
    dense = np.frombuffer(raw[352:], np.uint8).reshape(shape, order="F")
    assert set(np.unique(dense)) == {0, 1, 5}  # of 3, 7, 9, 40, 205
    assert layer.names == ("", "label 3", "label 7", "label 9", "label 40", "label 205")
    assert len(layer.colours) == 6
    assert "as in the files" in scene.note
    large = Grid.from_parts((400, 300, 40), (0.5, 0.5, 4.0))
    image = Volume(np.arange(large.size, dtype=np.float32).reshape(large.shape), large)
    ends = large.corners.min(axis=0), large.corners.max(axis=0)
    (layer,) = scene_of_volumes("c", ends, {"image": image}, {}).layers
    sizes = struct.unpack("<8h", gzip.decompress(layer.content)[40:56])[1:4]
    assert MOST_VOXELS / 2 < np.prod(sizes) <= MOST_VOXELS


def test_surfaces_are_stored_as_mz3_and_pages_stay_within_their_budget():
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    scene = scene_of_meshes("c", {"a": (mesh, np.array([[1, 2, 3]] * 3, np.uint8)), "b": (mesh, None)})
    assert scene is not None
    raw = gzip.decompress(scene.layers[0].content)
    assert struct.unpack("<HHIII", raw[:16]) == (0x5A4D, 7, 1, 3, 0)
    assert raw[16 + 12 + 36 :] == bytes([1, 2, 3, 255]) * 3
    assert [layer.shown for layer in scene.layers] == [True, False]
    kept, left_out = fitting([scene] * 3, 2 * scene.size)
    assert (len(kept), left_out) == (2, ["c"])


def test_pairs_are_found_by_their_key(tmp_path):
    (tmp_path / "imagesVal").mkdir()
    for name in ("LUMIRMRI_3455_0000", "LUMIRMRI_3454_0001"):
        write_volume(
            tmp_path / "imagesVal" / f"{name}.nii.gz",
            Volume(np.zeros((2, 2, 2), np.uint8), Grid.from_parts((2, 2, 2), (1.0, 1.0, 1.0))),
        )
    pair = find_pair("3455_0000<--3454_0001", tmp_path)
    assert pair.key == "3455_0000<--3454_0001"
    assert pair.image("fixed", tmp_path).is_file()
    for case in ("3455_0000<--3456_0000", "nothing"):
        with pytest.raises(FileReadError):
            find_pair(case, tmp_path)
